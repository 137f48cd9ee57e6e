//! A run that is stored and driven by nobody here: any process may store one, any started engine with a provider takes it up.

use std::time::Duration;

use ai_engine::{
    AiEngine, Busy, Error, Page, Recovered, Recovery, RunRequest, RunStatus, prelude::*,
};

use crate::support::*;

on_each_database!(
    an_enqueued_run_is_taken_up_by_a_started_engine_with_a_provider_and_by_no_other,
    an_enqueued_run_is_not_driven_by_the_engine_that_stored_it,
    an_enqueued_run_shares_the_fate_of_the_hosts_transaction,
    enqueue_goes_by_the_rules_of_submit,
    an_interruption_by_an_enqueued_run_stops_what_is_driven_here,
);

/// A process that stores runs and has nobody to ask.
pub fn without_provider<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    let builder = AiEngine::builder(host.db.database()).state(host.hub.clone());
    D::owners(builder).build().unwrap()
}

const QUEUED: &str =
    "SELECT count(*) FROM ai_engine_runs WHERE status = 'queued' AND lease_owner IS NULL";

async fn an_enqueued_run_is_taken_up_by_a_started_engine_with_a_provider_and_by_no_other<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let (thread, dead) = (host.thread().await, host.thread().await);
    let web = without_provider(&host);
    assert_eq!(web.start().await.unwrap(), Recovered::default());
    let run = host.teller.ai_engine_run(&web, &thread, "Tell me").enqueue().await.unwrap();
    assert_eq!(run.status, RunStatus::Queued);
    let said = thread.messages(&web).list(Page::default()).await.unwrap();
    assert_eq!((said.len(), said[0].run_id), (1, Some(run.id)));
    // One that a dead process left is queued again, which takes the database alone.
    let lost = host.teller.ai_engine_run(&web, &dead, "Tell me").recovery(Recovery::Retry);
    let lost = lost.enqueue().await.unwrap();
    host.db.execute(&format!(
        "UPDATE ai_engine_runs SET status = 'in_progress', lease_owner = 'dead', started_at = created_at WHERE id = {}",
        lost.id
    ));
    until(|| host.db.number(QUEUED) == 2).await;
    let looked = web.recover().await.unwrap();
    assert_eq!((looked.driven, looked.settled, looked.announced), (0, 0, 0));
    assert_eq!(host.db.number(QUEUED), 2, "an engine without a provider could only fail them");

    host.engine.start().await.unwrap();
    for id in [run.id, lost.id] {
        // Whoever enqueued it may wait for it.
        assert_eq!(web.answer(id).await.unwrap().run.status, RunStatus::Completed);
    }
    host.hub.until(|heard| matches!(heard, Heard::Run(told) if told.id == run.id && told.status.is_terminal())).await;
    assert_eq!(host.fake.responses_created(), 2);
}

async fn an_enqueued_run_is_not_driven_by_the_engine_that_stored_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let (left, left_in, driven) = (host.thread().await, host.thread().await, host.thread().await);
    let run = host.teller.ai_engine_run(&host.engine, &left, "Later").enqueue().await.unwrap();
    let request = host.teller.ai_engine_run(&host.engine, &left_in, "Later, too");
    let run_in = host.db.with(|conn| request.enqueue_in(conn.session())).unwrap();
    // What is submitted afterwards is over: whatever were driven would have begun.
    for _ in 0..3 {
        host.teller.ai_engine_run(&host.engine, &driven, "Now").await.unwrap();
    }
    assert_eq!(host.fake.responses_created(), 3);
    for id in [run.id, run_in.id] {
        assert_eq!(host.engine.find_run(id).await.unwrap().status, RunStatus::Queued);
    }
    // It keeps its place before what is submitted behind it, and is driven for that one's sake.
    let behind = host.teller.ai_engine_run(&host.engine, &left, "Now").when_busy(Busy::Queue);
    behind.await.unwrap();
    assert_eq!(host.engine.find_run(run.id).await.unwrap().status, RunStatus::Completed);
}

async fn an_enqueued_run_shares_the_fate_of_the_hosts_transaction<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let web = without_provider(&host);
    let mut requests = vec![
        host.teller.ai_engine_run(&web, &thread, "kept"),
        host.teller.ai_engine_run(&web, &thread, "rolled back"),
    ];
    let rolled_back = host.db.with(|conn| {
        conn.transaction(&mut |conn| {
            requests.pop().unwrap().enqueue_in(conn.session())?;
            Err(Error::host("the host changes its mind"))
        })
    });
    assert!(rolled_back.is_err());
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
    let mut kept = None;
    let committed = host.db.with(|conn| {
        conn.transaction(&mut |conn| {
            kept = Some(requests.pop().unwrap().enqueue_in(conn.session())?);
            Ok(())
        })
    });
    committed.unwrap();
    host.engine.start().await.unwrap();
    let answer = host.engine.answer(kept.unwrap().id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}

async fn enqueue_goes_by_the_rules_of_submit<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let (thread, deleted) = (host.thread().await, host.thread().await);
    let web = without_provider(&host);
    let ask = |text: &str| host.teller.ai_engine_run(&web, &thread, text);
    let refused = async |request: RunRequest| request.enqueue().await.unwrap_err();

    assert!(matches!(ask("Now").submit().await, Err(Error::Configuration(_))));
    assert!(matches!(refused(ask("")).await, Error::Invalid { .. }));
    assert!(matches!(refused(ask("x").idempotency_key("")).await, Error::Invalid { .. }));
    host.user.assistant_threads(&web).destroy(deleted.id).await.unwrap();
    let nowhere = host.teller.ai_engine_run(&web, &deleted, "x");
    assert!(matches!(refused(nowhere).await, Error::NotFound { .. }));
    let stranger = AiEngine::builder(host.db.database()).build().unwrap();
    let unloadable = host.teller.ai_engine_run(&stranger, &thread, "x");
    assert!(matches!(refused(unloadable).await, Error::NoLoader(_)));
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);

    let first = ask("one").idempotency_key("k").enqueue().await.unwrap();
    let again = ask("one").idempotency_key("k").enqueue().await.unwrap();
    assert_eq!(again.id, first.id);
    let busy = refused(ask("two")).await;
    assert!(matches!(busy, Error::Busy { run_id, .. } if run_id == first.id), "{busy}");
    let second = ask("two").when_busy(Busy::Queue).enqueue().await.unwrap();
    assert!(second.seq > first.seq);
    let third = ask("three").when_busy(Busy::Interrupt).enqueue().await.unwrap();
    let mut runs = thread.runs(&web, Page::default()).await.unwrap();
    runs.reverse();
    let statuses: Vec<RunStatus> = runs.iter().map(|run| run.status).collect();
    assert_eq!(statuses, [RunStatus::Cancelled, RunStatus::Cancelled, RunStatus::Queued]);
    // Those that it ended are announced here.
    for id in [first.id, second.id] {
        host.hub.until(|heard| matches!(heard, Heard::Run(run) if run.id == id)).await;
    }
    web.shutdown(Duration::from_secs(1)).await.unwrap();
    assert!(matches!(refused(ask("four")).await, Error::ShuttingDown));
    assert_eq!(host.engine.find_run(third.id).await.unwrap().status, RunStatus::Queued);
}

async fn an_interruption_by_an_enqueued_run_stops_what_is_driven_here<D: TestDatabase>(db: D) {
    use ai_engine::testing::{Gate, Reply};

    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let threads = [host.thread().await, host.thread().await];
    for (number, thread) in threads.iter().enumerate() {
        let gate = Gate::new();
        host.fake.reply_to("Tell me", Reply::text("never").hold_at(0, gate.clone()));
        let run = host.teller.ai_engine_run(&host.engine, thread, "Tell me");
        let run = run.submit().await.unwrap();
        gate.reached().await;
        let request = host.teller.ai_engine_run(&host.engine, thread, "No, this");
        let request = request.when_busy(Busy::Interrupt);
        let behind = if number == 0 {
            request.enqueue().await.unwrap()
        } else {
            host.db.with(|conn| request.enqueue_in(conn.session())).unwrap()
        };
        assert_eq!(behind.status, RunStatus::Queued);
        host.fake.disconnected(number + 1).await;
        let stopped = host.engine.answer(run.id).await.unwrap();
        assert_eq!(stopped.run.status, RunStatus::Cancelled);
    }
}
