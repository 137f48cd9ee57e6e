//! G5: a process that sleeps past its lease and wakes up changes nothing.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{RunStatus, prelude::*};

use crate::support::*;

on_each_database!(
    a_stopped_process_that_wakes_up_to_more_text_changes_nothing,
    a_stopped_process_that_wakes_up_to_the_end_changes_nothing,
    a_process_that_slept_before_it_asked_does_not_ask,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that is stopped in the tests here"]
async fn the_process_that_sleeps() {
    ask_and_say().await;
}

/// All of it sleeps where one thread does.
#[tokio::test]
#[ignore = "the process that falls asleep in the tests here"]
async fn the_process_that_falls_asleep() {
    ask_and_say().await;
}

async fn ask_and_say() {
    in_time(async {
        let hub = Hub::default();
        let engine = engine_of_this_process(&hub);
        let thread = setting("CHILD_THREAD").parse().unwrap();
        let thread = ada().assistant_threads(&engine).find(thread).await.unwrap();
        let run = scheherazade().ai_engine_run(&engine, &thread, "Tell me").submit().await.unwrap();
        // Returns when its task is over: it has noticed.
        let answer = engine.answer(run.id).await.unwrap();
        say(&format!("{} {:?}", answer.run.status, answer.text()));
        // Nothing comes later either.
        engine.shutdown(Duration::ZERO).await.unwrap();
    })
    .await;
}

async fn a_stopped_process_that_wakes_up_to_more_text_changes_nothing<D: TestDatabase>(db: D) {
    wakes_up_to(db, |reply| reply.stall_at(6)).await;
}

async fn a_stopped_process_that_wakes_up_to_the_end_changes_nothing<D: TestDatabase>(db: D) {
    wakes_up_to(db, |reply| reply).await;
}

async fn wakes_up_to<D: TestDatabase>(db: D, goes_on: impl Fn(Reply) -> Reply) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    let reply = Reply::deltas(["Once ", "upon ", "a time"]).hold_at(5, gate.clone());
    host.fake.reply(goes_on(reply));
    let id = thread.id.to_string();
    let test = "processes::stopped::the_process_that_sleeps";
    let mut sleeper = Process::start(&host, test, &[("CHILD_THREAD", &id)]);
    gate.reached().await;
    let stored = "SELECT count(*) FROM ai_engine_messages WHERE content = 'Once '";
    // The other process's write: nothing but the database can tell.
    while host.db.number(stored) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sleeper.stop();
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
    assert_eq!(host.engine.recover().await.unwrap().settled, 1);
    until_announced(&host.db).await;
    let before = all_rows(&host.db);
    assert!(before.iter().any(|row| row.contains("Once ")), "{before:?}");

    gate.open();
    sleeper.go_on();
    let heard = sleeper.hear();
    assert!(sleeper.ended().success());
    assert_eq!(heard.as_deref(), Some("incomplete \"Once \""));
    assert_eq!(all_rows(&host.db), before);
    let run = thread.runs(&host.engine, ai_engine::Page::default()).await.unwrap().remove(0);
    assert_eq!(run.status, RunStatus::Incomplete);
}

/// G13: between the note of a call and the call itself.
async fn a_process_that_slept_before_it_asked_does_not_ask<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let id = thread.id.to_string();
    let settings =
        [("CHILD_THREAD", &*id), ("CHILD_LEASE", "1000"), ("AI_ENGINE_SLEEP_AT", "call.committed")];
    let test = "processes::stopped::the_process_that_falls_asleep";
    let mut sleeper = Process::start(&host, test, &settings);
    let mut settled = 0;
    while settled == 0 {
        settled = host.engine.recover().await.unwrap().settled;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = sleeper.hear();
    assert!(sleeper.ended().success());
    assert_eq!(heard.as_deref(), Some("incomplete \"\""));
    assert_eq!(host.fake.requests().len(), 0, "it asked for a run that was another's");
}

/// All rows of our tables but the workers': a process that wakes up may say that it lives, which holds no run.
fn all_rows<D: TestDatabase>(db: &D) -> Vec<String> {
    let mut all = Vec::new();
    for table in [
        "assistants",
        "assistant_threads",
        "chats",
        "runs",
        "responses",
        "messages",
        "message_deltas",
        "run_items",
        "remote_deletions",
    ] {
        all.extend(db.rows(&format!("ai_engine_{table}")));
    }
    all
}
