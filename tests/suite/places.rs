//! A process drives so many runs at once and no more, and no owner's runs keep those of another from their turn.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, AssistantThread, EngineBuilder, Error, Run, RunStatus, prelude::*};

use crate::support::*;

on_each_database!(
    one_owners_flood_keeps_nobody_else_from_his_turn,
    a_flood_that_was_found_in_the_database_keeps_nobody_else_from_his_turn,
    a_run_that_waits_for_a_place_belongs_to_nobody,
    a_shutdown_leaves_what_waits_for_a_place,
    a_run_that_is_driven_on_demand_waits_for_a_place,
    a_hook_that_hangs_holds_no_place,
    a_limit_of_none_at_once_is_refused,
);

fn at_once<D>(runs: usize) -> impl FnOnce(EngineBuilder<D>) -> EngineBuilder<D>
where
    D: ai_engine::Database,
{
    move |builder| builder.max_concurrent_runs(runs)
}

/// A reply that is held until its gate opens.
fn held<D>(host: &Host<D>, needle: &str) -> Gate {
    let gate = Gate::new();
    host.fake.reply_to(needle, Reply::text(needle).hold_at(0, gate.clone()));
    gate
}

async fn submit<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, text: &str) -> Run {
    host.teller.ai_engine_run(&host.engine, thread, text).submit().await.unwrap()
}

fn count<D: TestDatabase>(host: &Host<D>, status: &str) -> i64 {
    host.db.number(&format!("SELECT count(*) FROM ai_engine_runs WHERE status = '{status}'"))
}

fn bob() -> User {
    User { id: 2, name: "Bob".to_owned() }
}

const FLOOD: usize = 50;

async fn one_owners_flood_keeps_nobody_else_from_his_turn<D: TestDatabase>(db: D) {
    let host = Host::with(db, at_once(2)).await;
    host.fake.demo_pace(Duration::ZERO);
    let gates = [held(&host, "ada 0."), held(&host, "ada 1.")];
    let bobs = held(&host, "bob");
    let mut runs = Vec::new();
    for number in 0..FLOOD {
        let thread = host.thread().await;
        runs.push(submit(&host, &thread, &format!("ada {number}.")).await);
    }
    for gate in &gates {
        gate.reached().await;
    }
    let thread = bob().assistant_threads(&host.engine).create().await.unwrap();
    let last = submit(&host, &thread, "bob").await;
    // No look takes more than there are places for.
    for _ in 0..3 {
        host.engine.recover().await.unwrap();
    }
    assert_eq!((count(&host, "in_progress"), host.fake.responses_created()), (2, 2));

    gates[0].open();
    bobs.reached().await;
    assert_eq!(host.fake.responses_created(), 3, "somebody was driven before him");
    assert_eq!(count(&host, "in_progress"), 2);
    gates[1].open();
    bobs.open();
    runs.push(last);
    for run in &runs {
        let answer = host.engine.answer(run.id).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
    }
}

/// What other processes stored is looked for in the database: all of it must be known here for the order to be fair.
async fn a_flood_that_was_found_in_the_database_keeps_nobody_else_from_his_turn<D: TestDatabase>(
    db: D,
) {
    let host = Host::with(db, at_once(1)).await;
    let storing = crate::enqueue::without_provider(&host);
    for number in 0..FLOOD {
        let thread = host.thread().await;
        let request = host.teller.ai_engine_run(&storing, &thread, format!("ada {number}."));
        request.enqueue().await.unwrap();
    }
    let thread = bob().assistant_threads(&storing).create().await.unwrap();
    let request = host.teller.ai_engine_run(&storing, &thread, "bob");
    let run = request.enqueue().await.unwrap();
    let (blocker, bobs) = (held(&host, "blocker"), held(&host, "bob"));
    let steps: Vec<Gate> = (0..STEPS).map(|_| Gate::new()).collect();
    for gate in &steps {
        host.fake.reply(Reply::text("ada").hold_at(0, gate.clone()));
    }
    submit(&host, &host.thread().await, "blocker").await;
    blocker.reached().await;
    assert_eq!(host.engine.start().await.unwrap().driven, 51, "all wait here");
    assert_eq!(host.fake.responses_created(), 1);
    blocker.open();
    // Nothing tells when each has asked for its place, so some of Ada's may have their turns before.
    for gate in &steps {
        tokio::select! {
            () = gate.reached() => {}
            () = bobs.reached() => break,
        }
        host.engine.recover().await.unwrap();
        assert_eq!(count(&host, "in_progress"), 1);
        gate.open();
    }
    tokio::time::timeout(Duration::from_secs(30), bobs.reached()).await.expect("Ada's are first");
    assert!(host.fake.responses_created() <= STEPS + 2);
    bobs.open();
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "bob");
}

/// Of the flood, far less than all.
const STEPS: usize = 8;

async fn a_run_that_waits_for_a_place_belongs_to_nobody<D: TestDatabase>(db: D) {
    let host = Host::with(db, at_once(1)).await;
    host.fake.demo_pace(Duration::ZERO);
    let gate = held(&host, "first");
    let first = submit(&host, &host.thread().await, "first").await;
    gate.reached().await;
    let cancelled = submit(&host, &host.thread().await, "cancelled").await;
    let taken = submit(&host, &host.thread().await, "taken").await;
    let waits = submit(&host, &host.thread().await, "waits").await;
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_runs WHERE status = 'queued' AND lease_owner IS NULL AND fencing_token = 0"),
        3
    );
    // While the first is driven: it ends where it is asked, and another process may take the next.
    let ended = host.engine.cancel_run(cancelled.id).await.unwrap();
    assert_eq!(ended.status, RunStatus::Cancelled);
    let other: AiEngine = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    assert_eq!(other.drive(taken.id).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(host.engine.find_run(first.id).await.unwrap().status, RunStatus::InProgress);
    // Those who wait for one of them hear of it, and what is left has its turn.
    gate.open();
    for run in [&first, &taken, &waits] {
        let answer = host.engine.answer(run.id).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
    }
    assert_eq!(host.fake.responses_created(), 3);
}

async fn a_shutdown_leaves_what_waits_for_a_place<D: TestDatabase>(db: D) {
    let host = Host::with(db, at_once(1)).await;
    host.fake.demo_pace(Duration::ZERO);
    let gate = held(&host, "first");
    let first = submit(&host, &host.thread().await, "first").await;
    gate.reached().await;
    let waits = submit(&host, &host.thread().await, "waits").await;
    let closing = host.engine.clone();
    let closing = tokio::spawn(async move { closing.shutdown(Duration::from_mins(1)).await });
    let other = host.thread().await;
    until_refused(&host, &other).await;
    gate.open();
    closing.await.unwrap().unwrap();
    assert_eq!(host.engine.find_run(first.id).await.unwrap().status, RunStatus::Completed);
    assert_eq!(host.engine.find_run(waits.id).await.unwrap().status, RunStatus::Queued);
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    assert_eq!(other.drive(waits.id).await.unwrap().run.status, RunStatus::Completed);
}

/// Waits until the engine takes no new run.
async fn until_refused<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) {
    let ask = || host.teller.ai_engine_run(&host.engine, thread, "No").enqueue();
    loop {
        match ask().await {
            Err(Error::ShuttingDown) => return,
            Ok(run) => drop(run.cancel(&host.engine).await.unwrap()),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn a_run_that_is_driven_on_demand_waits_for_a_place<D: TestDatabase>(db: D) {
    let host = Host::with(db, at_once(1)).await;
    host.fake.demo_pace(Duration::ZERO);
    let gate = held(&host, "first");
    submit(&host, &host.thread().await, "first").await;
    gate.reached().await;
    let thread = host.thread().await;
    let second = host.teller.ai_engine_run(&host.engine, &thread, "second");
    let second = second.enqueue().await.unwrap();
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let mut driving = Box::pin(host.engine.drive(second.id));
    tokio::select! {
        early = &mut driving => panic!("{early:?}"),
        // Time enough for what would begin.
        () = async {
            for _ in 0..3 {
                let thread = host.thread().await;
                host.teller.ai_engine_run(&other, &thread, "Tell me").await.unwrap();
                host.engine.recover().await.unwrap();
            }
        } => {}
    }
    assert_eq!((count(&host, "in_progress"), host.fake.responses_created()), (1, 4));
    gate.open();
    assert_eq!(driving.await.unwrap().run.status, RunStatus::Completed);
}

async fn a_hook_that_hangs_holds_no_place<D: TestDatabase>(db: D) {
    let limits = |builder: EngineBuilder<D::Database>| {
        builder.max_concurrent_runs(1).hook_timeout(Duration::from_mins(2))
    };
    let host = Host::with(db, limits).await;
    host.fake.demo_pace(Duration::ZERO);
    host.hub.behave(Manner::deed(|_, heard| async move {
        if matches!(heard, Heard::Run(run) if run.status.is_terminal()) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }));
    for _ in 0..3 {
        let run = submit(&host, &host.thread().await, "Tell me").await;
        let mut events = run.events(&host.engine);
        while let Some(event) = events.next().await {
            event.unwrap();
        }
    }
    assert_eq!(count(&host, "completed"), 3);
}

async fn a_limit_of_none_at_once_is_refused<D: TestDatabase>(db: D) {
    let refused = AiEngine::builder(db.database()).max_concurrent_runs(0).build().unwrap_err();
    assert!(matches!(refused, Error::Configuration(_)), "{refused}");
}

/// A transaction of the host's holds up the run that it has locked, and no other.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_the_host_has_locked_holds_no_place() {
    on_postgres(|db| async {
        let host = Host::with(db, at_once(1)).await;
        let thread = host.thread().await;
        let storing = crate::enqueue::without_provider(&host);
        let run = host.teller.ai_engine_run(&storing, &thread, "locked").enqueue().await.unwrap();
        let lock = Held::runs(&host.db, std::slice::from_ref(&run));
        let driving = host.engine.clone();
        let id = run.id;
        let driving = tokio::spawn(async move { driving.drive(id).await });
        for _ in 0..5 {
            let other = host.thread().await;
            host.teller.ai_engine_run(&host.engine, &other, "Tell me").await.unwrap();
        }
        drop(lock);
        assert_eq!(driving.await.unwrap().unwrap().run.status, RunStatus::Completed);
    })
    .await;
}
