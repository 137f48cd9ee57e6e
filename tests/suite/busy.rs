//! G4: one run at a time on a thread, in the order of submission, whoever drives it; and what a busy thread does.

use std::sync::Arc;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, AssistantThread, Busy, Error, Page, Run, RunStatus, prelude::*};

use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::support::*;

on_each_database!(
    runs_in_line_keep_the_order_of_their_submission,
    a_run_in_line_of_another_process_is_driven,
    a_run_in_line_is_driven_when_the_one_before_it_is_cancelled,
    an_interruption_keeps_the_text_and_cancels_what_waits,
    an_interruption_reaches_another_process,
    a_rolled_back_interruption_interrupts_nothing,
    recovery_drives_what_waits_behind_a_dead_run,
    an_answer_that_waited_in_line_comes_after_its_last_hooks,
    a_run_that_waits_for_a_decision_belongs_to_nobody,
);

async fn submit<D: TestDatabase>(
    host: &Host<D>,
    engine: &AiEngine,
    thread: &AssistantThread,
    text: &str,
    busy: Busy,
) -> Run {
    host.teller.ai_engine_run(engine, thread, text).when_busy(busy).submit().await.unwrap()
}

async fn said<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Vec<String> {
    let messages = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    messages.into_iter().map(|message| message.content).collect()
}

async fn statuses<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Vec<RunStatus> {
    let mut runs = thread.runs(&host.engine, Page::default()).await.unwrap();
    runs.reverse();
    runs.into_iter().map(|run| run.status).collect()
}

async fn runs_in_line_keep_the_order_of_their_submission<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply_to("one", Reply::text("1").hold_at(0, gate.clone()));
    host.fake.reply_to("two", Reply::text("2"));
    host.fake.reply_to("three", Reply::text("3"));
    let mut runs = Vec::new();
    for text in ["one", "two", "three"] {
        runs.push(submit(&host, &host.engine, &thread, text, Busy::Queue).await);
    }
    gate.reached().await;
    // Whoever tries out of turn is refused by the claim itself.
    host.engine.recover().await.unwrap();
    let (active, waiting) = (RunStatus::InProgress, RunStatus::Queued);
    assert_eq!(statuses(&host, &thread).await, [active, waiting, waiting]);
    assert_eq!(said(&host, &thread).await, ["one", "two", "three"]);
    gate.open();
    for run in &runs {
        assert_eq!(host.engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
    }
    assert_eq!(said(&host, &thread).await, ["one", "1", "two", "2", "three", "3"]);
    // Each call was sent what was said before it, and nothing of what was not answered yet.
    let sent: Vec<usize> = host
        .fake
        .requests()
        .iter()
        .map(|request| request.body.as_ref().unwrap()["input"].as_array().unwrap().len())
        .collect();
    assert_eq!(sent, [1, 3, 5]);
}

async fn a_run_in_line_of_another_process_is_driven<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply_to("one", Reply::text("1").hold_at(0, gate.clone()));
    host.fake.reply_to("two", Reply::text("2"));
    let first = submit(&host, &host.engine, &thread, "one", Busy::Reject).await;
    gate.reached().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let second = submit(&host, &other, &thread, "two", Busy::Queue).await;
    gate.open();
    assert_eq!(other.answer(second.id).await.unwrap().text(), "2");
    host.engine.answer(first.id).await.unwrap();
    assert_eq!(said(&host, &thread).await, ["one", "1", "two", "2"]);
}

async fn a_run_in_line_is_driven_when_the_one_before_it_is_cancelled<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let first = submit_undriven(&host, &thread);
    let second = submit(&host, &host.engine, &thread, "two", Busy::Queue).await;
    assert_eq!(host.engine.find_run(second.id).await.unwrap().status, RunStatus::Queued);
    first.cancel(&host.engine).await.unwrap();
    assert_eq!(host.engine.answer(second.id).await.unwrap().run.status, RunStatus::Completed);
}

async fn an_interruption_keeps_the_text_and_cancels_what_waits<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply_to("one", Reply::deltas(["Once ", "upon"]).stall_at(5));
    host.fake.reply_to("three", Reply::text("3"));
    let first = submit(&host, &host.engine, &thread, "one", Busy::Reject).await;
    host.hub.until_text("Once ").await;
    let second = submit(&host, &host.engine, &thread, "two", Busy::Queue).await;
    let third = submit(&host, &host.engine, &thread, "three", Busy::Interrupt).await;
    assert_eq!(host.engine.answer(third.id).await.unwrap().text(), "3");
    host.fake.disconnected(1).await;
    let (done, cancelled) = (RunStatus::Completed, RunStatus::Cancelled);
    assert_eq!(statuses(&host, &thread).await, [cancelled, cancelled, done]);
    assert_eq!(said(&host, &thread).await, ["one", "Once ", "two", "three", "3"]);
    for run in [first, second] {
        let told = |heard: &Heard| matches!(heard, Heard::Run(told) if told.id == run.id && told.status == cancelled);
        host.hub.until(told).await;
    }
}

async fn an_interruption_reaches_another_process<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    // Not a word yet: nothing is written that could notice.
    host.fake.reply_to("one", Reply::text("1").hold_at(0, gate.clone()));
    host.fake.reply_to("two", Reply::text("2"));
    let first = submit(&host, &host.engine, &thread, "one", Busy::Reject).await;
    gate.reached().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let second = submit(&host, &other, &thread, "two", Busy::Interrupt).await;
    host.fake.disconnected(1).await;
    assert_eq!(other.answer(second.id).await.unwrap().text(), "2");
    assert_eq!(host.engine.answer(first.id).await.unwrap().run.status, RunStatus::Cancelled);
}

async fn a_rolled_back_interruption_interrupts_nothing<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let first = submit(&host, &host.engine, &thread, "one", Busy::Reject).await;
    host.hub.until_text("Once ").await;
    let mut requests =
        vec![host.teller.ai_engine_run(&host.engine, &thread, "two").when_busy(Busy::Interrupt)];
    let rolled_back = host.db.with(|conn| {
        conn.transaction(&mut |conn| {
            requests.pop().unwrap().submit_in(conn.session())?;
            Err(Error::host("the host changes its mind"))
        })
    });
    assert!(rolled_back.is_err());
    // SQLite gives the id of the run that is not there to another, while the engine looks whether it was committed.
    let elsewhere = host.thread().await;
    let slow = Reply::deltas(["a", "b", "c", "d", "e"]).pace(std::time::Duration::from_millis(100));
    host.fake.reply(slow);
    host.teller.ai_engine_run(&host.engine, &elsewhere, "three").await.unwrap();
    gate.open();
    let answer = host.engine.answer(first.id).await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Completed, "Once upon"));
    assert_eq!(statuses(&host, &thread).await.len(), 1);
}

async fn recovery_drives_what_waits_behind_a_dead_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "one").await.unwrap();
    host.db.execute("UPDATE ai_engine_runs SET status = 'in_progress', announced_at = NULL, lease_owner = 'dead'");
    // Whoever looks first ends what stands before it.
    let second = submit(&host, &host.engine, &thread, "two", Busy::Queue).await;
    host.engine.recover().await.unwrap();
    assert_eq!(host.engine.answer(second.id).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(host.engine.find_run(answer.run.id).await.unwrap().status, RunStatus::Incomplete);
}

/// Whoever waits for a run is promised that its last hooks were called, also when the run was not yet driven when the waiting
/// began.
async fn an_answer_that_waited_in_line_comes_after_its_last_hooks<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let (gate, hook) = (Gate::new(), Arc::new(Notify::new()));
    host.fake.reply_to("one", Reply::text("1").hold_at(0, gate.clone()));
    submit(&host, &host.engine, &thread, "one", Busy::Queue).await;
    let second = submit(&host, &host.engine, &thread, "two", Busy::Queue).await;
    let (returns, id) = (Arc::clone(&hook), second.id);
    host.hub.behave(Manner::deed(move |_, heard| {
        let returns = Arc::clone(&returns);
        async move {
            if matches!(heard, Heard::Run(run) if run.id == id && run.status.is_terminal()) {
                returns.notified().await;
            }
            Ok(())
        }
    }));
    let mut answer = Box::pin(host.engine.answer(id));
    assert!((&mut answer).now_or_never().is_none());
    gate.reached().await;
    gate.open();
    // Other readers see the end meanwhile, and the row shows it.
    let others = async {
        let mut events = second.events(&host.engine);
        while let Some(event) = events.next().await {
            event.unwrap();
        }
        host.hub.until(|heard| matches!(heard, Heard::Run(run) if run.id == id && run.status.is_terminal())).await;
        for _ in 0..20 {
            assert_eq!(host.engine.find_run(id).await.unwrap().status, RunStatus::Completed);
        }
    };
    tokio::select! {
        biased;
        early = &mut answer => panic!("answered before the last hook returned: {early:?}"),
        () = others => {}
    }
    hook.notify_one();
    assert_eq!(answer.await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(
        host.db.number(&format!(
            "SELECT count(*) FROM ai_engine_runs WHERE id = {id} AND announced_at IS NULL"
        )),
        0
    );
}

/// It may wait for days, across every deploy: no process ends it for being left alone, and none overtakes it.
async fn a_run_that_waits_for_a_decision_belongs_to_nobody<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let waits = submit_undriven(&host, &thread);
    host.db.execute(
        "UPDATE ai_engine_runs SET status = 'requires_action', started_at = created_at, attempts = 1; \
         INSERT INTO ai_engine_responses (run_id, endpoint, protocol, stored, status, input_tokens, cached_input_tokens, \
         cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) SELECT id, 'e', 'responses', false, \
         'completed', 11, 0, 0, 7, 0, created_at, created_at FROM ai_engine_runs",
    );
    let behind = submit(&host, &host.engine, &thread, "And then?", Busy::Queue).await;
    let other = engine(&host.db, &host.fake, &host.hub, |builder| builder);
    for engine in [&host.engine, &other] {
        let recovered = engine.start().await.unwrap();
        assert_eq!((recovered.settled, recovered.retried, recovered.driven), (0, 0, 0));
    }
    let refused = host.teller.ai_engine_run(&other, &thread, "Now").await.unwrap_err();
    assert!(matches!(refused, Error::Busy { run_id, .. } if run_id == waits.id), "{refused}");
    assert_eq!(statuses(&host, &thread).await, [RunStatus::RequiresAction, RunStatus::Queued]);

    // Any process may decide; here, that it is to end.
    let ended = other.cancel_run(waits.id).await.unwrap();
    assert_eq!((ended.status, ended.usage.total_tokens()), (RunStatus::Cancelled, 18));
    assert_eq!(host.engine.answer(behind.id).await.unwrap().run.status, RunStatus::Completed);
    host.hub.until(|heard| matches!(heard, Heard::Run(run) if run.id == waits.id)).await;
}
