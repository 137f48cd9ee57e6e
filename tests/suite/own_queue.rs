//! A queue of the host's decides what is driven: `engine.drive(run)` is its job.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AiEngine, AssistantThread, Busy, Error, Messageable, Reason, Run, RunStatus, prelude::*,
};
use futures_util::FutureExt;

use crate::enqueue::without_provider;
use crate::support::*;

on_each_database!(
    driving_a_run_drives_what_stands_before_it_and_waits_for_its_last_hooks,
    an_ended_run_answers_at_once_whoever_is_asked,
    a_run_that_another_process_drives_is_followed,
    a_run_behind_one_of_a_dead_process_is_driven,
    what_cannot_be_driven_is_refused_and_stays_queued,
    a_shutdown_ends_the_waiting_for_another_process,
    a_job_that_is_dropped_leaves_its_run_going,
    a_job_ends_when_its_run_ends_or_is_deleted_while_it_waits,
    an_engine_that_takes_nothing_drives_what_it_is_told_to,
    an_engine_that_takes_nothing_still_looks_after_what_dead_processes_left,
    an_engine_that_takes_nothing_drives_what_was_submitted_to_it_behind_a_run_of_another_one,
);

async fn enqueue<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, text: &str) -> Run {
    let request = host.teller.ai_engine_run(&host.engine, thread, text).when_busy(Busy::Queue);
    request.enqueue().await.unwrap()
}

/// Another process, which only drives what it is told to.
fn told<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    engine(&host.db, &host.fake, &host.hub, |builder| builder.take_queued(false))
}

const SOME: usize = 3;

/// Has other runs driven to their ends: time enough for what would begin.
async fn drive_some<D: TestDatabase>(host: &Host<D>, engine: &AiEngine) {
    for _ in 0..SOME {
        let other = host.thread().await;
        host.teller.ai_engine_run(engine, &other, "Tell me").await.unwrap();
    }
}

async fn status<D: TestDatabase>(host: &Host<D>, run: &Run) -> RunStatus {
    host.engine.find_run(run.id).await.unwrap().status
}

async fn driving_a_run_drives_what_stands_before_it_and_waits_for_its_last_hooks<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    host.fake.reply_to("one", Reply::text("1"));
    host.fake.reply_to("two", Reply::text("2"));
    let first = enqueue(&host, &thread, "one").await;
    let second = enqueue(&host, &thread, "two").await;
    // No engine was started.
    let answer = host.engine.drive(second.id).await.unwrap();
    assert_eq!((answer.run.id, answer.text().as_str()), (second.id, "2"));
    let told = host.hub.of_run(second.id);
    assert!(
        matches!(told.last(), Some(Heard::Run(run)) if run.status == RunStatus::Completed),
        "{told:?}"
    );
    assert_eq!(status(&host, &first).await, RunStatus::Completed);
}

async fn an_ended_run_answers_at_once_whoever_is_asked<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let run = enqueue(&host, &thread, "one").await;
    let first = host.engine.drive(run.id).await.unwrap();
    host.fake.reply(Reply::status(400, serde_json::json!({ "error": { "message": "no" } })));
    let failed = enqueue(&host, &thread, "two").await;
    assert!(matches!(host.engine.drive(failed.id).await, Err(Error::RunFailed { .. })));
    let calls = host.fake.responses_created();
    for engine in [&host.engine, &told(&host), &without_provider(&host)] {
        // The job may be done again.
        assert_eq!(engine.drive(run.id).await.unwrap().text(), first.text());
        assert!(matches!(engine.drive(failed.id).await, Err(Error::RunFailed { .. })));
    }
    assert_eq!(host.fake.responses_created(), calls);
}

async fn a_run_that_another_process_drives_is_followed<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply_to("one", Reply::text("1").hold_at(0, gate.clone()));
    host.fake.reply_to("two", Reply::text("2"));
    let elsewhere = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let first = host.teller.ai_engine_run(&elsewhere, &thread, "one").submit().await.unwrap();
    gate.reached().await;
    let second = enqueue(&host, &thread, "two").await;
    let drivers = told(&host);
    let (mut of_first, mut of_second) =
        (Box::pin(drivers.drive(first.id)), Box::pin(drivers.drive(second.id)));
    tokio::select! {
        early = &mut of_first => panic!("{early:?}"),
        early = &mut of_second => panic!("{early:?}"),
        () = drive_some(&host, &drivers) => {}
    }
    assert_eq!(host.fake.responses_created(), 1 + SOME);
    gate.open();
    assert_eq!(of_first.await.unwrap().text(), "1");
    assert_eq!(of_second.await.unwrap().text(), "2");
    assert_eq!(host.fake.responses_created(), 2 + SOME, "asked twice");
}

/// The process that is told to drive need not be one that looks by itself.
async fn a_run_behind_one_of_a_dead_process_is_driven<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let dead = enqueue(&host, &thread, "one").await;
    let behind = enqueue(&host, &thread, "two").await;
    // Its lease ends while the job waits.
    host.db.execute(&format!(
        "UPDATE ai_engine_runs SET status = 'in_progress', lease_owner = 'dead', started_at = created_at WHERE id = {}; \
         INSERT INTO ai_engine_workers (id, started_at, lease_ends_at) VALUES ('dead', 0, 4000000000000)",
        dead.id
    ));
    let drivers = told(&host);
    let mut driving = Box::pin(drivers.drive(behind.id));
    tokio::select! {
        early = &mut driving => panic!("{early:?}"),
        () = drive_some(&host, &drivers) => {}
    }
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0 WHERE id = 'dead'");
    assert_eq!(driving.await.unwrap().run.status, RunStatus::Completed);
    let ended = drivers.drive(dead.id).await.unwrap();
    assert_eq!(
        (ended.run.status, ended.run.reason),
        (RunStatus::Incomplete, Some(Reason::Interrupted))
    );
}

async fn what_cannot_be_driven_is_refused_and_stays_queued<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let run = enqueue(&host, &thread, "one").await;
    let unknown = host.engine.drive(run.id + 1).await.unwrap_err();
    assert!(matches!(unknown, Error::NotFound { .. }), "{unknown}");
    let nobody = without_provider(&host).drive(run.id).await.unwrap_err();
    assert!(matches!(nobody, Error::Configuration(_)), "{nobody}");
    let stranger = AiEngine::builder(host.db.database()).openai(host.fake.openai().unwrap());
    let strange = stranger.build().unwrap().drive(run.id).await.unwrap_err();
    assert!(matches!(strange, Error::NoLoader(_)), "{strange}");
    let closing = told(&host);
    closing.shutdown(Duration::from_secs(1)).await.unwrap();
    let closed = closing.drive(run.id).await.unwrap_err();
    assert!(matches!(closed, Error::ShuttingDown), "{closed}");
    assert_eq!(status(&host, &run).await, RunStatus::Queued);
    assert_eq!(host.fake.responses_created(), 0);
}

async fn a_shutdown_ends_the_waiting_for_another_process<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let (thread, own) = (host.thread().await, host.thread().await);
    let (theirs, ours) = (Gate::new(), Gate::new());
    host.fake.reply_to("theirs", Reply::text("1").hold_at(0, theirs.clone()));
    host.fake.reply_to("ours", Reply::text("2").hold_at(0, ours.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "theirs").submit().await.unwrap();
    theirs.reached().await;
    let drivers = told(&host);
    let driven = enqueue(&host, &own, "ours").await;
    let (following, driving) = (drivers.clone(), drivers.clone());
    let following = tokio::spawn(async move { following.drive(run.id).await });
    let driving = tokio::spawn(async move { driving.drive(driven.id).await });
    ours.reached().await;
    let closing = drivers.clone();
    let closing = tokio::spawn(async move { closing.shutdown(Duration::from_mins(1)).await });
    // Long before the shutdown ends: what is driven here is waited for.
    let left = following.await.unwrap().unwrap_err();
    assert!(matches!(left, Error::ShuttingDown), "{left}");
    ours.open();
    assert_eq!(driving.await.unwrap().unwrap().text(), "2");
    closing.await.unwrap().unwrap();
    theirs.open();
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "1");
}

async fn a_job_that_is_dropped_leaves_its_run_going<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("whole").hold_at(0, gate.clone()));
    let run = enqueue(&host, &thread, "one").await;
    let mut driving = Box::pin(host.engine.drive(run.id));
    tokio::select! {
        early = &mut driving => panic!("{early:?}"),
        () = gate.reached() => {}
    }
    drop(driving);
    gate.open();
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "whole");
    assert_eq!(host.fake.responses_created(), 1);
}

async fn an_engine_that_takes_nothing_drives_what_it_is_told_to<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let (thread, other) = (host.thread().await, host.thread().await);
    let drivers = told(&host);
    let [first, second, third] = [
        enqueue(&host, &thread, "one").await,
        enqueue(&host, &thread, "two").await,
        enqueue(&host, &thread, "three").await,
    ];
    let elsewhere = enqueue(&host, &other, "one").await;
    assert_eq!(drivers.start().await.unwrap().driven, 0);
    drivers.drive(second.id).await.unwrap();
    // A cancellation wakes its conversation, and so does a look.
    drivers.cancel_run(third.id).await.unwrap();
    let fourth = enqueue(&host, &thread, "four").await;
    drivers.recover().await.unwrap();
    // What is submitted here is driven, and is over now.
    let submitted = host.thread().await;
    host.teller.ai_engine_run(&drivers, &submitted, "Now").await.unwrap();
    assert_eq!(status(&host, &first).await, RunStatus::Completed);
    for left in [&fourth, &elsewhere] {
        assert_eq!(status(&host, left).await, RunStatus::Queued, "{}", left.id);
    }
    assert_eq!(host.fake.responses_created(), 3);
    // Also in the host's transaction, with what stands before it.
    let request = host.teller.ai_engine_run(&drivers, &thread, "five").when_busy(Busy::Queue);
    let fifth = host.db.with(|conn| request.submit_in(conn.session())).unwrap();
    assert_eq!(drivers.answer(fifth.id).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(status(&host, &fourth).await, RunStatus::Completed);
    assert_eq!(fifth.messageable, Messageable::AssistantThread(thread.id));
    assert!(drivers.drive(elsewhere.id).now_or_never().is_none());
}

async fn an_engine_that_takes_nothing_still_looks_after_what_dead_processes_left<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let run = enqueue(&host, &thread, "one").await;
    host.db.execute(
        "UPDATE ai_engine_runs SET status = 'in_progress', lease_owner = 'dead', started_at = created_at",
    );
    assert_eq!(told(&host).start().await.unwrap().settled, 1);
    host.hub.until(|heard| matches!(heard, Heard::Run(told) if told.id == run.id && told.status == RunStatus::Incomplete)).await;
}

/// Neither takes what it was not told to drive, so whoever was told must come back to it.
async fn an_engine_that_takes_nothing_drives_what_was_submitted_to_it_behind_a_run_of_another_one<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let (one, other) = (told(&host), told(&host));
    for busy in [Busy::Queue, Busy::Interrupt] {
        let thread = host.thread().await;
        let gate = Gate::new();
        host.fake.reply(Reply::text("1").hold_at(0, gate.clone()));
        host.teller.ai_engine_run(&one, &thread, "one").submit().await.unwrap();
        gate.reached().await;
        let behind = host.teller.ai_engine_run(&other, &thread, "two").when_busy(busy);
        let behind = behind.submit().await.unwrap();
        drive_some(&host, &other).await;
        gate.open();
        let answer = tokio::time::timeout(Duration::from_secs(20), other.answer(behind.id)).await;
        let answer = answer.expect("nobody drives it").unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed, "{busy:?}");
    }
}

/// Behind a run of another process, and for a place.
async fn a_job_ends_when_its_run_ends_or_is_deleted_while_it_waits<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let drivers = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.take_queued(false).max_concurrent_runs(1)
    });
    let (theirs, ours) = (Gate::new(), Gate::new());
    host.fake.reply_to("theirs", Reply::text("1").hold_at(0, theirs.clone()));
    host.fake.reply_to("ours", Reply::text("2").hold_at(0, ours.clone()));
    let (thread, own) = (host.thread().await, host.thread().await);
    host.teller.ai_engine_run(&host.engine, &thread, "theirs").submit().await.unwrap();
    theirs.reached().await;
    let first = host.teller.ai_engine_run(&drivers, &own, "ours").submit().await.unwrap();
    ours.reached().await;
    for (cancelled, deleted) in [(&thread, &thread), (&host.thread().await, &host.thread().await)] {
        let cancelled = enqueue(&host, cancelled, "cancelled").await;
        let gone = enqueue(&host, deleted, "gone").await;
        let jobs = [cancelled.id, gone.id].map(|run| {
            let drivers = drivers.clone();
            tokio::spawn(async move { drivers.drive(run).await })
        });
        for _ in 0..3 {
            drivers.recover().await.unwrap();
        }
        host.engine.cancel_run(cancelled.id).await.unwrap();
        let [of_cancelled, of_gone] = jobs;
        let answer = of_cancelled.await.unwrap().unwrap();
        assert_eq!(answer.run.status, RunStatus::Cancelled);
        host.user.assistant_threads(&host.engine).destroy(deleted.id).await.unwrap();
        let error = of_gone.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::RunGone(run) if run == gone.id), "{error}");
    }
    ours.open();
    assert_eq!(drivers.answer(first.id).await.unwrap().text(), "2");
    // No place was lost.
    let next = host.teller.ai_engine_run(&drivers, &own, "next").await.unwrap();
    assert_eq!(next.run.status, RunStatus::Completed);
    theirs.open();
}
