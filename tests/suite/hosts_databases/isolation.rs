//! Isolation levels, deadlocks and locks of the host's. PostgreSQL's alone: SQLite has one writer, who sees everything.
#![cfg(feature = "postgres")]

use std::sync::mpsc;
use std::time::Duration;

use ai_engine::testing::Reply;
use ai_engine::{Busy, RunStatus, prelude::*};

use super::{Hold, leave_the_engine_a_connection};
use crate::support::*;

/// Each round of so many through all connections takes three seconds.
const CROWD: usize = 36;
/// Longer than a few runs take behind one such round, far shorter than behind one for each of their steps.
const SOON: Duration = Duration::from_secs(20);

/// Of a database that is stricter than the engine needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submits_at_once_succeed_at_every_isolation_level() {
    for level in ["repeatable read", "serializable"] {
        on_postgres(|db| async move {
            let name = db.texts("SELECT CAST(current_database() AS TEXT) AS line").remove(0);
            db.execute(&format!(
                "ALTER DATABASE {name} SET default_transaction_isolation = '{level}'"
            ));
            let host = Host::new(db).await;
            let other = engine(&host.db, &host.fake, &host.hub, |builder| builder);
            let shared = host.thread().await;
            let mut submits = Vec::new();
            for number in 0..24 {
                let own = if number % 4 == 0 { shared.clone() } else { host.thread().await };
                let engine = if number % 2 == 0 { host.engine.clone() } else { other.clone() };
                let teller = host.teller.clone();
                submits.push(tokio::spawn(async move {
                    let request = teller.ai_engine_run(&engine, &own, "Tell me");
                    let run = request.when_busy(Busy::Queue).submit().await?;
                    engine.answer(run.id).await
                }));
            }
            for submit in submits {
                let answer = submit.await.unwrap().unwrap();
                assert_eq!(answer.run.status, RunStatus::Completed, "{level}");
            }
            assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 24);
            assert_eq!(host.fake.responses_created(), 24);
        })
        .await;
    }
}

/// What ours read after a lock must be what the lock waited for. Repeating what could not be serialized would hide it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_ours_are_read_committed_whatever_the_default() {
    on_postgres(|db| async move {
        let name = db.texts("SELECT CAST(current_database() AS TEXT) AS line").remove(0);
        db.execute(&format!(
            "ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
        ));
        let host = Host::new(db).await;
        host.db.execute(
            "CREATE TABLE levels (level TEXT NOT NULL); \
             CREATE FUNCTION note_level() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO levels VALUES (current_setting('transaction_isolation')); RETURN NULL; END $$; \
             CREATE TRIGGER note_level AFTER INSERT OR UPDATE ON ai_engine_runs \
             FOR EACH ROW EXECUTE FUNCTION note_level();",
        );
        let levels = || host.db.texts("SELECT DISTINCT level AS line FROM levels");
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        until_announced(&host.db).await;
        assert_eq!(levels(), ["read committed"]);
        host.db.execute("DELETE FROM levels");
        // On a connection of the host's that is in no transaction it is one of ours as well.
        let asked = host.teller.ai_engine_run(&host.engine, &thread, "And then?");
        let run = host.db.with(|conn| asked.submit_in(conn.session())).unwrap();
        host.engine.answer(run.id).await.unwrap();
        until_announced(&host.db).await;
        assert_eq!(levels(), ["read committed"]);
    })
    .await;
}

/// Each of a crowd waits for the host's lock; the connections go round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_thread_holds_up_no_other_however_many_wait_for_it() {
    on_postgres(|db| async {
        let host = Host::new(db).await;
        let locked = host.thread().await;
        let lock = format!(
            "SELECT id FROM ai_engine_assistant_threads WHERE id = {} FOR UPDATE",
            locked.id
        );
        let held = Held::new(&host.db, lock);
        let mut waiting = Vec::new();
        for _ in 0..CROWD {
            let (engine, teller, locked) =
                (host.engine.clone(), host.teller.clone(), locked.clone());
            waiting.push(tokio::spawn(async move {
                let request = teller.ai_engine_run(&engine, &locked, "Tell me");
                request.when_busy(Busy::Queue).submit().await
            }));
        }
        host.db.until_waiting(3);
        let others = async {
            for _ in 0..3 {
                host.fake.reply_to("And me", Reply::text("You as well."));
                let thread = host.thread().await;
                let asked = host.teller.ai_engine_run(&host.engine, &thread, "And me");
                assert_eq!(asked.await.unwrap().text(), "You as well.");
            }
        };
        tokio::time::timeout(SOON, others).await.expect("each step waits for all of the crowd");
        drop(held);
        for waited in waiting {
            let run = waited.await.unwrap().unwrap();
            assert_eq!(run.messageable, ai_engine::Messageable::AssistantThread(locked.id));
        }
    })
    .await;
}

/// The host takes our locks in another order than we do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_the_host_is_not_the_callers_trouble() {
    on_postgres(|db| async move {
        // Before ours has waited for long enough to give way by itself.
        let name = db.texts("SELECT CAST(current_database() AS TEXT) AS line").remove(0);
        db.execute(&format!("ALTER DATABASE {name} SET deadlock_timeout = '150ms'"));
        let host = Host::new(db).await;
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        until_announced(&host.db).await;
        let db = host.db.clone();
        let (locked, wait) = mpsc::channel();
        let hosts = std::thread::spawn(move || {
            db.with(|conn| {
                // So it is ours that the database ends.
                conn.execute("SET deadlock_timeout = '1min'");
                conn.transaction(&mut |conn| {
                    conn.execute("SELECT id FROM ai_engine_runs FOR UPDATE");
                    locked.send(()).unwrap();
                    db.until_waiting(1);
                    // Whoever destroys the thread has it locked, and waits for the run.
                    conn.execute("SET LOCAL lock_timeout = '10s'");
                    Ok(conn.try_execute("SELECT id FROM ai_engine_assistant_threads FOR UPDATE")?)
                })
            })
        });
        wait.recv().unwrap();
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        hosts.join().unwrap().unwrap();
        assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    })
    .await;
}

/// The host's transactions must leave the engine something to work with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_transactions_of_the_host_leave_the_engine_a_connection() {
    on_postgres(|db| async {
        let host = Host::new(db).await;
        let long_transaction = |hold: Hold| {
            let database = host.db.database();
            async move {
                let transaction = database.transaction::<_, ai_engine::Error>(move |_| {
                    hold();
                    Ok(())
                });
                transaction.await
            }
        };
        leave_the_engine_a_connection(&host, long_transaction).await;
    })
    .await;
}

/// What would be refused in the middle of an answer is refused at the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_encoding_is_not_migrated() {
    on_postgres(|db| async move {
        for encoding in ["LATIN1", "SQL_ASCII"] {
            let name = format!("ai_engine_{}_{}", encoding.to_lowercase(), std::process::id());
            db.execute(&format!(
                "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            ));
            let (base, _) = db.url().rsplit_once('/').unwrap();
            {
                let database = ai_engine::PgDatabase::connect(format!("{base}/{name}")).unwrap();
                let engine = ai_engine::AiEngine::builder(database).build().unwrap();
                let error = engine.migrate().await.unwrap_err();
                assert!(matches!(error, ai_engine::Error::Migration(_)), "{error:?}");
                let error = error.to_string();
                assert!(error.contains(encoding) && error.contains("UTF8"), "{error}");
            }
            db.execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    })
    .await;
}
