//! G14: shutdown keeps its deadline, whatever waits; and what a runtime took with it is found by the next one.

use std::time::{Duration, Instant};

use ai_engine::testing::Reply;
use ai_engine::{Error, RunStatus, prelude::*};

use crate::support::*;

on_each_database!(
    shutdown_does_not_wait_for_hooks_that_hang,
    shutdown_does_not_wait_for_a_database_that_is_locked,
    a_run_whose_runtime_is_gone_is_found_by_the_next,
    nothing_is_started_after_a_shutdown,
);

const DEADLINE: Duration = Duration::from_secs(2);
/// A busy machine is late; what shutdown would wait for takes longer by far.
const LATE: Duration = Duration::from_secs(5);

async fn shutdown_does_not_wait_for_hooks_that_hang<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.hook_timeout(Duration::from_mins(1))).await;
    host.hub.behave(Manner::Hang);
    let thread = host.thread().await;
    host.engine.start().await.unwrap();
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    let ended = "SELECT count(*) FROM ai_engine_runs WHERE status = 'completed'";
    until(|| host.db.number(ended) == 1).await;
    let began = Instant::now();
    host.engine.shutdown(DEADLINE).await.unwrap();
    assert!(began.elapsed() < LATE, "{:?}", began.elapsed());
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_workers"), 0, "its lease has ended");

    // Another process delivers what was cut off.
    host.hub.behave(Manner::Listen);
    let other = engine(&host.db, &host.fake, &host.hub, |builder| builder);
    other.start().await.unwrap();
    until_announced(&host.db).await;
    let heard = host.hub.of_run(run.id);
    assert!(matches!(heard.last(), Some(Heard::Run(run)) if run.status == RunStatus::Completed));
}

async fn shutdown_does_not_wait_for_a_database_that_is_locked<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    host.fake.reply(Reply::deltas(["Once ", "upon"]).stall_at(5));
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (ready, locked_now) = std::sync::mpsc::channel();
    let locked = host.db.clone();
    let holding = std::thread::spawn(move || {
        let tables = ["runs", "workers", "assistant_threads"];
        locked.with(|conn| {
            conn.transaction(&mut |conn| {
                for table in tables {
                    // On SQLite the transaction itself keeps every other writer out.
                    if locked.url().starts_with("postgres") {
                        conn.execute(&format!("LOCK TABLE ai_engine_{table} IN EXCLUSIVE MODE"));
                    }
                }
                ready.send(()).unwrap();
                let _ = wait.recv();
                Ok(())
            })
        })
    });
    locked_now.recv().unwrap();
    // A submit that waits for the lock, too.
    let (engine, teller) = (host.engine.clone(), host.teller.clone());
    let submitting =
        tokio::spawn(
            async move { teller.ai_engine_run(&engine, &other, "Tell me").submit().await },
        );
    let began = Instant::now();
    let _ = host.engine.shutdown(DEADLINE).await;
    assert!(began.elapsed() < LATE, "{:?}", began.elapsed());
    drop(release);
    holding.join().unwrap().unwrap();
    let _ = submitting.await.unwrap();
}

async fn a_run_whose_runtime_is_gone_is_found_by_the_next<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, waiting) = (host.thread().await, host.thread().await);
    host.fake.reply_to("Tell", Reply::deltas(["Once ", "upon"]).stall_at(5));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (engine, teller, hub) = (host.engine.clone(), host.teller.clone(), host.hub.clone());
    let run = runtime.spawn(async move {
        engine.start().await.unwrap();
        let run = teller.ai_engine_run(&engine, &thread, "Tell me").submit().await.unwrap();
        hub.until_text("Once ").await;
        run
    });
    let run = run.await.unwrap();
    runtime.shutdown_background();
    // Any call on a runtime that lives brings the upkeep back.
    let answer = host.teller.ai_engine_run(&host.engine, &waiting, "And you").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Incomplete, "Once "));
    until_announced(&host.db).await;
}

async fn nothing_is_started_after_a_shutdown<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.engine.start().await.unwrap();
    host.engine.start().await.unwrap();
    host.engine.shutdown(DEADLINE).await.unwrap();
    host.engine.shutdown(DEADLINE).await.unwrap();
    assert!(matches!(host.engine.start().await, Err(Error::ShuttingDown)));
    let refused = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await;
    assert!(matches!(refused, Err(Error::ShuttingDown)));
    let waiting = submit_undriven(&host, &thread);
    assert_eq!(host.engine.recover().await.unwrap().driven, 0);
    assert_eq!(host.engine.find_run(waiting.id).await.unwrap().status, RunStatus::Queued);
}
