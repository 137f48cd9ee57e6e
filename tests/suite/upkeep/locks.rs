//! A host's transaction that has rows of ours locked holds up what it has locked, and nothing else. Row locks are
//! PostgreSQL's; on SQLite a writer holds up every other one, for as long as the host lets it.
#![cfg(feature = "postgres")]

use std::sync::mpsc;
use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Busy, Run, RunStatus, prelude::*};

use super::{beside, dead, status};
use crate::support::*;

async fn waiting(host: &Host<Postgres>, count: usize) -> Vec<Run> {
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(submit_undriven(host, &host.thread().await));
    }
    runs
}

/// A claim must not wait for the run while it holds what the heartbeat needs, nor keep a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_runs_hold_up_neither_the_lease_nor_other_runs() {
    on_postgres(|db| async {
        let lease = Duration::from_secs(1);
        let host = Host::with(db, |builder| builder.lease(lease)).await;
        // More than there are connections.
        let locked = waiting(&host, 6).await;
        let held = Held::runs(&host.db, &locked);
        let gate = Gate::new();
        host.fake.reply_to("Wait", Reply::text("waited").hold_at(5, gate.clone()));
        let (long, short) = (host.thread().await, host.thread().await);
        let long = host.teller.ai_engine_run(&host.engine, &long, "Wait").submit().await.unwrap();
        gate.reached().await;

        assert_eq!(host.engine.start().await.unwrap().driven, 6);
        let answer = host.teller.ai_engine_run(&host.engine, &short, "Tell me").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        let ends = || host.db.number("SELECT max(lease_ends_at) FROM ai_engine_workers");
        let begun = ends();
        until(|| ends() > begun + 2_500).await;
        assert_eq!(beside(&host).recover().await.unwrap().settled, 0, "nobody's lease has ended");
        for run in &locked {
            assert_eq!(status(&host.db, run.id), "queued");
        }

        gate.open();
        drop(held);
        for run in locked.iter().chain([&long]) {
            let answer = host.engine.answer(run.id).await.unwrap();
            assert_eq!(answer.run.status, RunStatus::Completed);
        }
    })
    .await;
}

/// What ends while it is locked waits without a connection in hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_are_locked_when_they_end_hold_up_no_other() {
    on_postgres(|db| async {
        let host = Host::new(db).await;
        let gate = Gate::new();
        let mut runs = Vec::new();
        for _ in 0..6 {
            host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
            let thread = host.thread().await;
            let request = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
            runs.push(request.submit().await.unwrap());
        }
        gate.reached_by(6).await;
        let stored = "SELECT count(*) FROM ai_engine_messages WHERE content = 'Once '";
        until(|| host.db.number(stored) == 6).await;
        let held = Held::runs(&host.db, &runs);
        gate.open();
        let thread = host.thread().await;
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "And me").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        drop(held);
        for run in runs {
            assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "Once upon");
        }
    })
    .await;
}

/// The window in which a run was forgotten: it cannot be claimed yet while the one before it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_locked_while_the_one_before_it_ends_is_driven() {
    on_postgres(|db| async {
        let host = Host::new(db).await;
        let thread = host.thread().await;
        let gate = Gate::new();
        host.fake.reply_to("one", Reply::deltas(["1", "."]).hold_at(5, gate.clone()));
        host.fake.reply_to("two", Reply::text("2"));
        let first = host.teller.ai_engine_run(&host.engine, &thread, "one").submit().await.unwrap();
        gate.reached().await;
        let other = beside(&host);
        let second = host.teller.ai_engine_run(&other, &thread, "two").when_busy(Busy::Queue);
        let second = second.submit().await.unwrap();
        let held = Held::runs(&host.db, std::slice::from_ref(&second));
        // Both processes are asked for it.
        other.recover().await.unwrap();
        host.engine.recover().await.unwrap();
        gate.open();
        host.engine.answer(first.id).await.unwrap();
        drop(held);
        assert_eq!(other.answer(second.id).await.unwrap().text(), "2");
    })
    .await;
}

/// Each commit of an end takes as long as a slow disk; the next question comes meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_during_a_slow_commit_of_the_end_is_answered() {
    on_postgres(|db| async {
        let host = Host::new(db).await;
        host.db.execute(
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER slowly AFTER UPDATE ON ai_engine_runs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
             WHEN (NEW.status IN ('in_progress', 'completed') AND NEW.announced_at IS NULL) EXECUTE FUNCTION slowly();",
        );
        let other = beside(&host);
        for engine in [&host.engine, &other] {
            let thread = host.thread().await;
            host.hub.forget();
            host.fake.reply_to("one", Reply::text("the last words"));
            let first =
                host.teller.ai_engine_run(&host.engine, &thread, "one").submit().await.unwrap();
            host.hub.until_text("the last words").await;
            let mut behind = Vec::new();
            for _ in 0..3 {
                let request = host.teller.ai_engine_run(engine, &thread, "two");
                behind.push(request.when_busy(Busy::Queue).submit().await.unwrap());
            }
            host.engine.answer(first.id).await.unwrap();
            for run in behind {
                assert_eq!(engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
            }
        }
    })
    .await;
}

/// G13: a transaction of ours and one of the host's wait for each other; ours gives way, and is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_that_gives_way_to_a_hosts_transaction_is_made_again() {
    on_postgres(|db| async {
        let host = Host::new(db).await;
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        let (locked, is_locked) = mpsc::channel();
        let db = host.db.clone();
        let hosts = std::thread::spawn(move || {
            db.with(|conn| {
                // So it is ours that gives way.
                conn.execute("SET deadlock_timeout = '1min'");
                conn.transaction(&mut |conn| {
                    conn.execute("SELECT id FROM ai_engine_assistants FOR UPDATE");
                    locked.send(()).unwrap();
                    let waits = "SELECT count(*) FROM pg_stat_activity \
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
                    while conn.number(waits) == 0 {
                        std::thread::yield_now();
                    }
                    conn.execute("SELECT id FROM ai_engine_assistant_threads FOR UPDATE");
                    Ok(())
                })
            })
            .unwrap();
        });
        tokio::task::block_in_place(|| is_locked.recv().unwrap());
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "And then?").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        hosts.join().unwrap();
    })
    .await;
}

/// A text that cannot be stored, because its thread or its row is locked, waits by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_a_locked_thread_keep_no_other_text_from_being_stored() {
    on_postgres(|db| async move {
        for (lock, at, stored) in [
            ("SELECT id FROM ai_engine_assistant_threads WHERE id = 1 FOR UPDATE", 4, "Tell me"),
            ("SELECT id FROM ai_engine_messages WHERE role = 'assistant' FOR UPDATE", 5, "Once "),
        ] {
            let host = Host::new(db.another()).await;
            let (first, second) = (Gate::new(), Gate::new());
            host.fake.reply(
                Reply::deltas(["Once ", "upon ", "a time"])
                    .hold_at(at, first.clone())
                    .hold_at(6, second.clone()),
            );
            let thread = host.thread().await;
            let locked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
            let locked = locked.submit().await.unwrap();
            first.reached().await;
            let stored =
                format!("SELECT count(*) FROM ai_engine_messages WHERE content = '{stored}'");
            until(|| host.db.number(&stored) == 1).await;
            let held = Held::new(&host.db, lock.to_owned());
            first.open();
            second.reached().await;
            // Its next words are there, and cannot be stored.
            host.db.until_waiting(1);
            for text in ["And me", "And me again"] {
                let gate = Gate::new();
                host.fake.reply_to(text, Reply::deltas(["Of ", "course"]).hold_at(5, gate.clone()));
                let thread = host.thread().await;
                let run = host.teller.ai_engine_run(&host.engine, &thread, text);
                let run = run.submit().await.unwrap();
                let stored = format!(
                    "SELECT count(*) FROM ai_engine_messages WHERE run_id = {} AND content = 'Of '",
                    run.id
                );
                let in_time = until(|| host.db.number(&stored) == 1);
                tokio::time::timeout(Duration::from_secs(15), in_time).await.expect("not stored");
                gate.open();
                assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "Of course");
            }
            drop(held);
            second.open();
            assert_eq!(host.engine.answer(locked.id).await.unwrap().text(), "Once upon a time");
        }
    })
    .await;
}

/// An index that a new version of the host builds, or a lock on the messages of a dead process's run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_no_lock_on_what_a_dead_process_left() {
    on_postgres(|db| async move {
        for lock in [
            "LOCK TABLE ai_engine_messages IN SHARE MODE",
            "SELECT id FROM ai_engine_messages FOR UPDATE",
        ] {
            let host = Host::new(db.another()).await;
            let mut runs = Vec::new();
            for _ in 0..3 {
                let thread = host.thread().await;
                runs.push(dead(&host, &thread).await);
            }
            let held = Held::new(&host.db, lock.to_owned());
            let other = beside(&host);
            let started = tokio::time::timeout(Duration::from_secs(20), other.start());
            started.await.expect("it waits for the lock").unwrap();
            assert!(runs.iter().all(|run| status(&host.db, run.id) == "in_progress"));
            drop(held);
            let ended =
                || runs.iter().all(|run| status(&host.db, run.id) == "incomplete interrupted");
            until(ended).await;
        }
    })
    .await;
}

/// What is found to wait when the shutdown is over is for other processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_outlasts_the_shutdown_begins_nothing() {
    on_postgres(|db| async move {
        let host = Host::new(db).await;
        host.fake.demo_pace(Duration::ZERO);
        let thread = host.thread().await;
        let before = submit_undriven(&host, &thread);
        host.db.execute(
            "UPDATE ai_engine_runs SET status = 'in_progress', lease_owner = 'other', started_at = created_at; \
             INSERT INTO ai_engine_workers (id, started_at, lease_ends_at) VALUES ('other', 0, 4000000000000)",
        );
        let closing = beside(&host);
        let request = host.teller.ai_engine_run(&closing, &thread, "And then");
        let waits = request.when_busy(Busy::Queue).submit().await.unwrap();
        let held = Held::new(
            &host.db,
            format!(
                "LOCK TABLE ai_engine_runs IN ACCESS EXCLUSIVE MODE; \
                 UPDATE ai_engine_runs SET status = 'cancelled' WHERE id = {}",
                before.id
            ),
        );
        host.db.until_waiting(1);
        closing.shutdown(Duration::from_secs(2)).await.unwrap();
        drop(held);
        for _ in 0..3 {
            let thread = host.thread().await;
            host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        }
        assert_eq!(status(&host.db, waits.id), "queued");
        assert_eq!(host.fake.responses_created(), 3);
    })
    .await;
}
