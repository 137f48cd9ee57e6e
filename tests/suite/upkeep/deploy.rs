//! G13: a run whose process died ends by itself, in any process that was started, also long before; and so it does when a
//! submit or a cancellation meets it.

use ai_engine::testing::Reply;
use ai_engine::{Busy, Error, Recovery, Role, RunStatus, prelude::*};

use super::{beside, dead, status};
use crate::support::*;

on_each_database!(
    a_process_that_started_earlier_ends_what_a_killed_one_left,
    a_submit_that_meets_a_dead_run_ends_it_and_goes_on,
    a_message_that_meets_a_dead_run_ends_it_as_well,
    a_submit_in_the_hosts_transaction_does_so_too,
    a_run_in_line_behind_a_dead_one_is_driven,
    an_interruption_ends_a_dead_run_at_once,
    a_cancellation_ends_a_dead_run_at_once,
    a_dead_run_that_is_to_be_asked_again_keeps_its_thread_busy_until_it_is,
    a_started_engine_drives_what_waits,
    an_engine_without_a_provider_ends_dead_runs_and_drives_none,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that is replaced in the test here"]
async fn the_process_that_is_replaced() {
    let engine = engine_of_this_process(&Hub::default());
    engine.start().await.unwrap();
    let thread = setting("CHILD_THREAD").parse().unwrap();
    let thread = ada().assistant_threads(&engine).find(thread).await.unwrap();
    scheherazade().ai_engine_run(&engine, &thread, "Tell me").submit().await.unwrap();
    // Until it is killed, or the test is over.
    assert_eq!(told(), None);
}

/// A rolling deploy: the new process is there already when the old one is killed, long after.
async fn a_process_that_started_earlier_ends_what_a_killed_one_left<D: TestDatabase>(db: D) {
    let lease = std::time::Duration::from_secs(1);
    let host = Host::with(db, |builder| builder.lease(lease)).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).stall_at(5));
    let test = "upkeep::deploy::the_process_that_is_replaced";
    let id = thread.id.to_string();
    let settings = [("CHILD_THREAD", id.as_str()), ("CHILD_LEASE", "1000")];
    let mut old = Process::start(&host, test, &settings);
    let stored = "SELECT count(*) FROM ai_engine_messages WHERE content = 'Once '";
    until(|| host.db.number(stored) == 1).await;
    let recovered = host.engine.start().await.unwrap();
    assert_eq!(recovered.settled, 0, "it lives");
    // Longer than any single look after the start would wait.
    let ends = || host.db.number("SELECT max(lease_ends_at) FROM ai_engine_workers");
    let begun = ends();
    until(|| ends() > begun + 3_000).await;
    old.kill();

    let ended =
        |heard: &Heard| matches!(heard, Heard::Run(run) if run.status == RunStatus::Incomplete);
    host.hub.until(ended).await;
    assert_eq!(host.hub.settled()[0].content, "Once ");
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}

async fn a_submit_that_meets_a_dead_run_ends_it_and_goes_on<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let lost = dead(&host, &thread).await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(status(&host.db, lost.id), "incomplete interrupted");
    until_announced(&host.db).await;
    let heard = host.hub.of_run(lost.id);
    assert!(matches!(heard.last(), Some(Heard::Run(run)) if run.status == RunStatus::Incomplete));
}

async fn a_message_that_meets_a_dead_run_ends_it_as_well<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = dead(&host, &thread).await;
    let messages = thread.messages(&host.engine);
    let said = messages.create(Role::System, "Be brief.").await.unwrap();
    assert_eq!(status(&host.db, run.id), "incomplete interrupted");
    assert!(said.seq > run.seq);
    until_announced(&host.db).await;
}

async fn a_submit_in_the_hosts_transaction_does_so_too<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let lost = dead(&host, &thread).await;
    let mut requests = vec![host.teller.ai_engine_run(&host.engine, &thread, "Go on")];
    let submit = |conn: &mut dyn HostConnection| requests.pop().unwrap().submit_in(conn.session());
    let mut run = None;
    let mut submit = submit;
    let submitted = host.db.with(|conn| {
        conn.transaction(&mut |conn| {
            run = Some(submit(conn)?);
            Ok(())
        })
    });
    submitted.unwrap();
    let answer = host.engine.answer(run.unwrap().id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(status(&host.db, lost.id), "incomplete interrupted");
    until_announced(&host.db).await;
}

async fn a_run_in_line_behind_a_dead_one_is_driven<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let lost = dead(&host, &thread).await;
    let request = host.teller.ai_engine_run(&host.engine, &thread, "Go on").when_busy(Busy::Queue);
    assert_eq!(request.await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(status(&host.db, lost.id), "incomplete interrupted");
    until_announced(&host.db).await;
}

async fn an_interruption_ends_a_dead_run_at_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let lost = dead(&host, &thread).await;
    let request = host.teller.ai_engine_run(&host.engine, &thread, "No").when_busy(Busy::Interrupt);
    let run = request.submit().await.unwrap();
    assert_eq!(status(&host.db, lost.id), "cancelled", "in the transaction that submits the other");
    assert_eq!(host.engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
    until_announced(&host.db).await;
}

async fn a_cancellation_ends_a_dead_run_at_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    dead(&host, &thread).await;
    let cancelled = thread.cancel(&host.engine).await.unwrap().unwrap();
    assert_eq!(cancelled.status, RunStatus::Cancelled);
    let said = thread.messages(&host.engine).list(ai_engine::Page::newest(1)).await.unwrap();
    assert_eq!(said[0].content, "Once ");
    until_announced(&host.db).await;
    assert_eq!(thread.cancel(&host.engine).await.unwrap(), None);
}

async fn a_dead_run_that_is_to_be_asked_again_keeps_its_thread_busy_until_it_is<D: TestDatabase>(
    db: D,
) {
    let host = Host::with(db, |builder| builder.recovery(Recovery::Retry)).await;
    let thread = host.thread().await;
    let run = submit_undriven(&host, &thread);
    host.db.execute("UPDATE ai_engine_runs SET status = 'in_progress', lease_owner = 'dead'");
    host.fake.reply(Reply::text("found"));
    let refused = host.teller.ai_engine_run(&host.engine, &thread, "Go on").submit().await;
    assert!(matches!(refused, Err(Error::Busy { run_id, .. }) if run_id == run.id), "{refused:?}");
    // Whoever met it has it asked again.
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "found");
}

async fn a_started_engine_drives_what_waits<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.engine.start().await.unwrap();
    let run = submit_undriven(&host, &thread);
    host.hub
        .until(|heard| matches!(heard, Heard::Run(heard) if heard.id == run.id && heard.status == RunStatus::Completed))
        .await;
}

async fn an_engine_without_a_provider_ends_dead_runs_and_drives_none<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    let lost = dead(&host, &thread).await;
    let waiting = submit_undriven(&host, &other);
    let reader =
        D::owners(ai_engine::AiEngine::builder(host.db.database()).state(host.hub.clone()));
    let reader = reader.build().unwrap();
    let recovered = reader.start().await.unwrap();
    assert_eq!((recovered.settled, recovered.driven), (1, 0));
    let ended = |heard: &Heard| matches!(heard, Heard::Run(run) if run.id == lost.id);
    host.hub.until(ended).await;
    assert_eq!(status(&host.db, waiting.id), "queued");
    beside(&host).recover().await.unwrap();
    assert_eq!(host.engine.answer(waiting.id).await.unwrap().run.status, RunStatus::Completed);
}
