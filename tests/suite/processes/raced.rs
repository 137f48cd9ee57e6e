//! Submitting is safe to repeat, also from two processes at the same moment.

use std::collections::BTreeMap;

use ai_engine::testing::Reply;
use ai_engine::{RunStatus, prelude::*};

use super::killed::questions_asked;
use crate::support::*;

on_each_database!(two_processes_that_submit_one_key_at_once_submit_one_run);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that submits in the test here"]
async fn the_process_that_submits() {
    in_time(async {
        let hub = Hub::default();
        let engine = engine_of_this_process(&hub);
        let threads = ada();
        let threads = threads.assistant_threads(&engine);
        say("ready");
        while let Some(thread) = told() {
            let thread = threads.find(thread.parse().unwrap()).await.unwrap();
            let question = format!("question {}.", thread.id);
            let teller = scheherazade();
            let request = teller.ai_engine_run(&engine, &thread, question.as_str());
            match request.idempotency_key("once").submit().await {
                Ok(run) => say(&run.id.to_string()),
                Err(error) => say(&error.to_string()),
            }
        }
    })
    .await;
}

async fn two_processes_that_submit_one_key_at_once_submit_one_run<D: TestDatabase>(db: D) {
    const ROUNDS: i64 = 50;
    let host = Host::new(db).await;
    host.fake.reply_always(Reply::text("Once."));
    let test = "processes::raced::the_process_that_submits";
    let mut racers = [Process::start(&host, test, &[]), Process::start(&host, test, &[])];
    for racer in &mut racers {
        assert_eq!(racer.hear().as_deref(), Some("ready"));
    }
    for _ in 0..ROUNDS {
        let thread = host.thread().await;
        for racer in &mut racers {
            racer.tell(&thread.id.to_string());
        }
        let runs = racers.each_mut().map(Process::hear);
        assert_eq!(runs[0], runs[1], "one run for both");
        let run = runs[0].as_ref().unwrap().parse().expect("a run");
        assert_eq!(host.engine.answer(run).await.unwrap().run.status, RunStatus::Completed);
    }
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), ROUNDS);
    let said = "SELECT count(*) FROM ai_engine_messages WHERE role = 'user'";
    assert_eq!(host.db.number(said), ROUNDS);
    let asked: BTreeMap<String, usize> = questions_asked(&host);
    assert_eq!(asked.len(), usize::try_from(ROUNDS).unwrap());
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
}
