//! Processes that work on one database: they drive what others submit, recover what others left, stop what others cancel,
//! and go away in good order.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AiEngine, AssistantThread, Error, Recovered, Recovery, Run, RunStatus, prelude::*,
};

use crate::support::*;

on_each_database!(
    a_working_process_drives_what_others_submit,
    a_working_process_ends_when_what_it_drove_has_ended,
    a_working_process_recovers_what_a_dead_one_left,
    a_run_of_another_process_is_cancelled_before_its_first_word,
    a_dead_run_that_was_to_be_cancelled_is,
    a_dead_run_without_a_word_is_asked_again_where_that_is_wanted,
    a_run_may_want_another_recovery_than_its_engine,
    a_run_that_kills_its_processes_is_given_up,
    a_process_whose_run_was_asked_again_elsewhere_changes_nothing,
    shutdown_lets_runs_end_and_takes_no_new_one,
    shutdown_gives_up_what_does_not_end_and_another_process_goes_on,
    shutdown_leaves_what_waits_to_others,
);

/// Another process on the same database and provider.
fn another<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    engine(&host.db, &host.fake, &Hub::default(), |builder| builder)
}

fn work(engine: &AiEngine) -> tokio::task::JoinHandle<ai_engine::Result<()>> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.work().await })
}

/// A run whose process died without a word of the answer.
async fn dead<D: TestDatabase>(
    host: &Host<D>,
    thread: &AssistantThread,
    recovery: Option<Recovery>,
) -> Run {
    let gate = Gate::new();
    host.fake.reply(Reply::text("lost").hold_at(0, gate.clone()));
    // Its own engine, which is forgotten in mid-call as a killed process is.
    let process = another(host);
    let mut request = host.teller.ai_engine_run(&process, thread, "Tell me");
    if let Some(recovery) = recovery {
        request = request.recovery(recovery);
    }
    let run = request.submit().await.unwrap();
    gate.reached().await;
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
    run
}

async fn a_working_process_drives_what_others_submit<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let working = work(&host.engine);
    let run = submit_undriven(&host, &thread);
    assert_eq!(host.engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
    host.engine.shutdown(Duration::from_secs(10)).await.unwrap();
    working.await.unwrap().unwrap();
}

async fn a_working_process_ends_when_what_it_drove_has_ended<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, gate) = (host.thread().await, Gate::new());
    host.fake.reply(Reply::text("Once upon a time").hold_at(0, gate.clone()));
    let mut working = work(&host.engine);
    let run = submit_undriven(&host, &thread);
    gate.reached().await;
    let ending = host.engine.clone();
    let ending = tokio::spawn(async move { ending.shutdown(Duration::from_mins(1)).await });
    while host.engine.start().await.is_ok() {}
    let early = tokio::time::timeout(Duration::from_millis(100), &mut working).await;
    assert!(early.is_err(), "the program would end in mid-answer");
    gate.open();
    working.await.unwrap().unwrap();
    assert_eq!(host.engine.find_run(run.id).await.unwrap().status, RunStatus::Completed);
    ending.await.unwrap().unwrap();
}

async fn a_working_process_recovers_what_a_dead_one_left<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.lease(Duration::from_secs(1))).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let working = work(&host.engine);
    host.hub.forget();
    host.db.execute(
        "UPDATE ai_engine_runs SET status = 'in_progress', announced_at = NULL, lease_owner = 'dead'",
    );
    host.hub
        .until(|heard| matches!(heard, Heard::Run(run) if run.status == RunStatus::Incomplete))
        .await;
    assert_eq!(
        host.engine.find_run(answer.run.id).await.unwrap().reason.as_deref(),
        Some("interrupted")
    );
    working.abort();
}

async fn a_run_of_another_process_is_cancelled_before_its_first_word<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("never").hold_at(0, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    gate.reached().await;
    thread.cancel(&another(&host)).await.unwrap();
    host.fake.disconnected(1).await;
    assert_eq!(host.engine.answer(run.id).await.unwrap().run.status, RunStatus::Cancelled);
    host.hub
        .until(|heard| matches!(heard, Heard::Run(run) if run.status == RunStatus::Cancelled))
        .await;
}

async fn a_dead_run_that_was_to_be_cancelled_is<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.db.execute("UPDATE ai_engine_runs SET status = 'in_progress', announced_at = NULL, lease_owner = 'dead'");
    // Whoever cancels it ends it: nobody else is there to be asked.
    assert_eq!(answer.run.cancel(&host.engine).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(host.engine.find_run(answer.run.id).await.unwrap().status, RunStatus::Cancelled);
    until_announced(&host.db).await;
    assert_eq!(host.engine.recover().await.unwrap(), Recovered::default());
}

async fn a_dead_run_without_a_word_is_asked_again_where_that_is_wanted<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.recovery(Recovery::Retry)).await;
    let thread = host.thread().await;
    let run = dead(&host, &thread, None).await;
    host.fake.reply(Reply::text("found"));
    assert_eq!(host.engine.recover().await.unwrap().retried, 1);
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Completed, "found"));
    assert_eq!((answer.run.attempts, host.fake.responses_created()), (2, 2));

    // With a word stored it ends with that: another answer would be another one.
    let (thread, gate) = (host.thread().await, Gate::new());
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let process = another(&host);
    let run = host.teller.ai_engine_run(&process, &thread, "Tell me").submit().await.unwrap();
    let stored = "SELECT count(*) FROM ai_engine_messages WHERE content = 'Once '";
    while host.db.number(stored) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
    let recovered = host.engine.recover().await.unwrap();
    assert_eq!((recovered.settled, recovered.retried), (1, 0));
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "Once ");
}

async fn a_run_may_want_another_recovery_than_its_engine<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.recovery(Recovery::Retry)).await;
    let thread = host.thread().await;
    let run = dead(&host, &thread, Some(Recovery::Settle)).await;
    assert_eq!(host.engine.recover().await.unwrap().settled, 1);
    assert_eq!(host.engine.find_run(run.id).await.unwrap().status, RunStatus::Incomplete);
    let run = dead(&host, &thread, Some(Recovery::Retry)).await;
    let settling = another(&host);
    assert_eq!(settling.recover().await.unwrap().retried, 1);
    assert_eq!(settling.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
}

async fn a_run_that_kills_its_processes_is_given_up<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.recovery(Recovery::Retry)).await;
    let thread = host.thread().await;
    let run = dead(&host, &thread, None).await;
    host.db.execute("UPDATE ai_engine_runs SET attempts = 3");
    let recovered = host.engine.recover().await.unwrap();
    assert_eq!((recovered.settled, recovered.retried), (1, 0));
    assert_eq!(host.engine.find_run(run.id).await.unwrap().status, RunStatus::Incomplete);
}

/// G5: the token that was claimed is worth nothing any more, although the status is the same.
async fn a_process_whose_run_was_asked_again_elsewhere_changes_nothing<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.recovery(Recovery::Retry)).await;
    let thread = host.thread().await;
    let (first, second) = (Gate::new(), Gate::new());
    host.fake.reply(Reply::text("of the first process").hold_at(0, first.clone()));
    host.fake.reply(Reply::deltas(["of ", "the second"]).hold_at(5, second.clone()));
    let sleeper = another(&host);
    let run = host.teller.ai_engine_run(&sleeper, &thread, "Tell me").submit().await.unwrap();
    first.reached().await;
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
    assert_eq!(host.engine.recover().await.unwrap().retried, 1);
    host.hub.until_text("of ").await;
    // The first process wakes up: its answer comes, and it wants to store and settle it.
    first.open();
    let lost = sleeper.answer(run.id);
    second.reached().await;
    second.open();
    assert_eq!(lost.await.unwrap().text(), "of the second");
    assert_eq!(
        host.db.texts("SELECT content AS line FROM ai_engine_messages ORDER BY id"),
        ["Tell me", "of the second"]
    );
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
}

async fn shutdown_lets_runs_end_and_takes_no_new_one<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    let closing = host.engine.clone();
    let closing = tokio::spawn(async move { closing.shutdown(Duration::from_mins(1)).await });
    let other = host.thread().await;
    loop {
        match host.teller.ai_engine_run(&host.engine, &other, "No").submit().await {
            Err(Error::ShuttingDown) => break,
            // It has not begun yet.
            Ok(run) => drop(host.engine.answer(run.id).await.unwrap()),
            Err(error) => panic!("{error}"),
        }
    }
    gate.open();
    closing.await.unwrap().unwrap();
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "Once upon");
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NULL"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_workers"), 0, "its lease has ended");
}

async fn shutdown_gives_up_what_does_not_end_and_another_process_goes_on<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (told, silent) = (host.thread().await, host.thread().await);
    let gate = Gate::new();
    host.fake.reply_to("Tell", Reply::deltas(["Once ", "upon ", "a time"]).stall_at(6));
    host.fake.reply_to("Wait", Reply::text("never").hold_at(0, gate.clone()));
    let told = host.teller.ai_engine_run(&host.engine, &told, "Tell me").submit().await.unwrap();
    let silent = host
        .teller
        .ai_engine_run(&host.engine, &silent, "Wait")
        .recovery(Recovery::Retry)
        .submit()
        .await
        .unwrap();
    host.hub.until_text("Once upon ").await;
    gate.reached().await;
    host.engine.shutdown(Duration::ZERO).await.unwrap();
    host.fake.disconnected(2).await;

    host.fake.reply(Reply::text("again"));
    let other = another(&host);
    let recovered = other.recover().await.unwrap();
    assert_eq!(
        (recovered.settled, recovered.retried),
        (1, 1),
        "at once, not when a lease has ended"
    );
    let answer = other.answer(told.id).await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Incomplete, "Once upon "));
    assert_eq!(other.answer(silent.id).await.unwrap().text(), "again");
    assert_eq!(host.engine.recover().await.unwrap(), Recovered::default());
}

async fn shutdown_leaves_what_waits_to_others<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply_to("one", Reply::text("1").hold_at(0, gate.clone()));
    host.teller.ai_engine_run(&host.engine, &thread, "one").submit().await.unwrap();
    gate.reached().await;
    let waiting =
        host.teller.ai_engine_run(&host.engine, &thread, "two").when_busy(ai_engine::Busy::Queue);
    let waiting = waiting.submit().await.unwrap();
    let closing = host.engine.clone();
    let closing = tokio::spawn(async move { closing.shutdown(Duration::from_mins(1)).await });
    let other = another(&host);
    let working = work(&other);
    gate.open();
    closing.await.unwrap().unwrap();
    assert_eq!(other.answer(waiting.id).await.unwrap().run.status, RunStatus::Completed);
    working.abort();
}
