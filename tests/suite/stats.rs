//! What `stats` says is what goes on: in this process, and in the database for all.

use std::sync::mpsc;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Backlog, Busy, prelude::*};
use serde_json::json;

use crate::support::*;

on_each_database!(
    all_that_is_not_done_is_counted_with_its_age,
    text_that_cannot_be_stored_shows,
    what_is_counted_has_a_bound,
);

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const LONG_AGO: &str = "2026-01-01 00:00:00";

fn is_empty(backlog: Backlog) -> bool {
    (backlog.count, backlog.oldest_ms) == (0, None)
}

async fn all_that_is_not_done_is_counted_with_its_age<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, another) = (host.thread().await, host.thread().await);
    let nothing = host.engine.stats().await.unwrap();
    let (here, there) = (nothing.process, nothing.database);
    for none in [here.driving, here.readers, there.queued, there.in_progress, there.requires_action]
        .into_iter()
        .chain([there.unannounced, there.remote_deletions])
    {
        assert!(is_empty(none), "{nothing:?}");
    }
    assert_eq!((here.unstored_bytes, here.flush_lag_ms), (0, None));

    // One that is driven, one behind it, one that waits for a decision, one that ended and is not told of, one deletion.
    let gate = Gate::new();
    host.fake.reply(Reply::text("Once upon").hold_at(5, gate.clone()));
    let ask = |thread| host.teller.ai_engine_run(&host.engine, thread, "Tell me");
    let first = ask(&thread).submit().await.unwrap();
    gate.reached().await;
    let waits = ask(&thread).when_busy(Busy::Queue).submit().await.unwrap();
    let asks = ask(&another).submit().await.unwrap();
    host.engine.answer(asks.id).await.unwrap();
    until(|| host.db.number("SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NULL") == 2)
        .await;
    let reader = thread.events(&host.engine);
    let set = |id: i64, columns: &str| {
        host.db.execute(&format!("UPDATE ai_engine_runs SET {columns} WHERE id = {id}"));
    };
    set(asks.id, &format!("announced_at = NULL, finished_at = '{LONG_AGO}'"));
    set(waits.id, &format!("created_at = '{LONG_AGO}'"));
    host.db.execute(&format!(
        "INSERT INTO ai_engine_remote_deletions (kind, remote_id, endpoint, protocol, created_at) \
         VALUES ('response', 'r', 'elsewhere', 'responses', '{LONG_AGO}')"
    ));
    let busy = host.engine.stats().await.unwrap();
    let (here, there) = (busy.process, busy.database);
    for (one, is_old) in [
        (here.driving, false),
        (here.readers, false),
        (there.in_progress, false),
        (there.queued, true),
        (there.unannounced, true),
        (there.remote_deletions, true),
    ] {
        assert_eq!(one.count, 1, "{busy:?}");
        assert_eq!(one.oldest_ms.unwrap() > DAY_MS, is_old, "{busy:?}");
    }
    assert!(is_empty(there.requires_action));
    set(asks.id, &format!("status = 'requires_action', updated_at = '{LONG_AGO}'"));
    let decides = host.engine.stats().await.unwrap().database;
    assert_eq!((decides.unannounced.count, decides.requires_action.count), (0, 1));
    assert!(decides.requires_action.oldest_ms.unwrap() > DAY_MS);
    assert_eq!(json!(busy)["database"]["queued"]["count"], 1);

    drop(reader);
    gate.open();
    for run in [first.id, waits.id] {
        host.engine.answer(run).await.unwrap();
    }
    set(asks.id, "status = 'completed', announced_at = 0");
    until_announced(&host.db).await;
    let over = host.engine.stats().await.unwrap();
    assert!(is_empty(over.process.readers) && is_empty(over.database.in_progress), "{over:?}");
    assert!(is_empty(over.process.driving) && is_empty(over.database.unannounced), "{over:?}");
}

async fn text_that_cannot_be_stored_shows<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()).stall_at(6));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    // A transaction of the host's holds the run: on SQLite nobody else can write at all.
    let held = host.db.clone();
    let (release, released) = mpsc::channel::<()>();
    let (holds, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let holding = tokio::task::spawn_blocking(move || {
        held.with(|conn| {
            conn.transaction(&mut |conn| {
                conn.execute("UPDATE ai_engine_runs SET seq = seq");
                holds.send(()).unwrap();
                let _ = released.recv();
                Ok(())
            })
        })
    });
    begun.recv().await.unwrap();
    gate.open();
    loop {
        let here = host.engine.stats().await.unwrap().process;
        if here.flush_lag_ms.is_some_and(|lag| lag > 700) {
            assert_eq!(here.unstored_bytes, 4, "{here:?}");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    release.send(()).unwrap();
    holding.await.unwrap().unwrap();
    while host.engine.stats().await.unwrap().process.flush_lag_ms.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(host.engine.stats().await.unwrap().process.unstored_bytes, 0);
    run.cancel(&host.engine).await.unwrap();
}

/// A backlog must not make it dear to look at.
async fn what_is_counted_has_a_bound<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.db.execute(
        "INSERT INTO ai_engine_remote_deletions (kind, remote_id, endpoint, protocol, created_at) \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10005) \
         SELECT 'response', 'r', 'elsewhere', 'responses', CURRENT_TIMESTAMP FROM n",
    );
    assert_eq!(host.engine.stats().await.unwrap().database.remote_deletions.count, 10_000);
}
