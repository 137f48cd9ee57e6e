//! Connections: the engine's own and the host's pools, small ones, wrong ones, lost ones.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, Error, Page, RunStatus, SqliteDatabase, prelude::*};

use crate::support::*;

on_each_database!(an_engine_lives_in_the_hosts_pool, a_pool_of_one_is_enough_for_runs_side_by_side,);

/// Far longer than anything here takes: a deadlock ends the test.
const NEVER: Duration = Duration::from_secs(30);

/// An engine on another pool to the host's database.
fn engine_on<D: TestDatabase>(host: &Host<D>, database: D::Database) -> AiEngine {
    let builder =
        AiEngine::builder(database).openai(host.fake.openai().unwrap()).state(host.hub.clone());
    D::owners(builder).build().unwrap()
}

async fn an_engine_lives_in_the_hosts_pool<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let pool = host.db.pool(3, D::PATIENT);
    let engine = engine_on(&host, D::from_pool(pool.clone()));
    assert_eq!(engine.migrate().await.unwrap(), 0);
    let thread = host.user.assistant_threads(&engine).create().await.unwrap();
    host.fake.reply(Reply::text("Once upon a time."));
    let asked = host.teller.ai_engine_run(&engine, &thread, "Tell me");
    assert_eq!(asked.await.unwrap().text(), "Once upon a time.");
    // The host goes on using it, also for transactions of the engine.
    let mut conn = pool.get().unwrap();
    let run = D::begin(&mut conn, |conn| {
        let asked = host.teller.ai_engine_run(&engine, &thread, "And then?");
        asked.submit_in(conn)
    })
    .unwrap();
    let answer = engine.answer(run.id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}

async fn a_pool_of_one_is_enough_for_runs_side_by_side<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let database = D::from_pool(host.db.pool(1, D::PATIENT));
    let engine = engine_on(&host, database.clone());
    let all = async {
        let (gate, mut runs) = (Gate::new(), Vec::new());
        for _ in 0..3 {
            let thread = host.user.assistant_threads(&engine).create().await.unwrap();
            let reply = Reply::text("Once upon a time.").hold_at(6, gate.clone());
            host.fake.reply(reply);
            let asked = host.teller.ai_engine_run(&engine, &thread, "Tell me");
            runs.push(asked.submit().await.unwrap());
        }
        gate.reached_by(3).await;
        host.hub.until_text("Once upon ").await;
        let storyteller = Storyteller { id: 8, ..host.teller.clone() };
        D::transaction(&database, move |conn| {
            conn.insert_storyteller(&storyteller)?;
            storyteller.create_openai_assistant_in(conn)
        })
        .await
        .unwrap();
        gate.open();
        for run in runs {
            let answer = engine.answer(run.id).await.unwrap();
            assert_eq!(answer.text(), "Once upon a time.");
        }
        engine.recover().await.unwrap();
    };
    tokio::time::timeout(NEVER, all).await.expect("a deadlock");
}

/// All of these are one file.
#[tokio::test]
async fn sqlite_opens_paths_and_urls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a file.sqlite3");
    let plain = path.to_string_lossy().into_owned();
    SqliteDatabase::open(&path)
        .unwrap()
        .transaction::<_, Error>(|conn| {
            conn.execute("CREATE TABLE notes (id INTEGER); INSERT INTO notes VALUES (7)");
            Ok(())
        })
        .await
        .unwrap();
    for same in [plain.clone(), format!("sqlite://{plain}"), format!("sqlite:{plain}")] {
        let database = SqliteDatabase::open(&same).unwrap();
        let found =
            database.transaction::<_, Error>(|conn| Ok(conn.number("SELECT id FROM notes")));
        assert_eq!(found.await.unwrap(), 7, "{same}");
    }
}

#[tokio::test]
async fn sqlite_refuses_what_is_no_file_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_string_lossy().into_owned();
    let nowhere = format!("{folder}/no/such/folder.sqlite3");
    std::fs::write(
        format!("{folder}/text"),
        "not a database, but long enough to be one".repeat(99),
    )
    .unwrap();
    for (value, named) in [
        ("", "empty"),
        ("sqlite://", "empty"),
        (folder.as_str(), folder.as_str()),
        (nowhere.as_str(), nowhere.as_str()),
        (&format!("{folder}/text"), "text"),
        ("postgres://ada@localhost/stories", "postgres://"),
    ] {
        let error = SqliteDatabase::open(value).unwrap_err();
        assert!(matches!(error, Error::Connection(_)), "{value:?}: {error:?}");
        assert!(error.to_string().contains(named), "{value:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_conversation_in_memory() {
    for database in
        [SqliteDatabase::in_memory().unwrap(), SqliteDatabase::open(":memory:").unwrap()]
    {
        let host = Host::new(Sqlite::fresh()).await;
        let conversation = conversation_in_memory(&host, &database);
        tokio::time::timeout(NEVER, conversation).await.expect("it hangs");
        // The host's file has nothing of it.
        assert_eq!(host.db.ours(), Vec::<String>::new());
    }
}

async fn conversation_in_memory(host: &Host<Sqlite>, database: &SqliteDatabase) {
    let engine = engine_on(host, database.clone());
    engine.migrate().await.unwrap();
    database
        .transaction::<_, Error>(|conn| {
            conn.execute(
                "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL);
                     INSERT INTO users VALUES (1, 'Ada');",
            );
            Ok(())
        })
        .await
        .unwrap();
    let thread = host.user.assistant_threads(&engine).create().await.unwrap();
    let gate = Gate::new();
    host.fake.reply(Reply::text("One two three.").hold_at(6, gate.clone()));
    let submitted = host.teller.ai_engine_run(&engine, &thread, "first").submit();
    let run = submitted.await.unwrap();
    host.hub.until_text("One two ").await;
    // Whoever opens several connections finds several empty databases.
    let lists = (0..4).map(|_| thread.runs(&engine, Page::default()));
    let lists = futures_util::future::join_all(lists).await;
    assert!(lists.iter().all(|runs| runs.as_ref().unwrap().len() == 1));
    gate.open();
    let answer = engine.answer(run.id).await.unwrap();
    assert_eq!(answer.text(), "One two three.");
    let second = host.teller.ai_engine_run(&engine, &thread, "second");
    second.await.unwrap();
    let said = thread.messages(&engine).list(Page::default()).await.unwrap();
    assert_eq!(said.len(), 4);
}

/// Two processes, or two handles in one: each has its own gate, so SQLite's lock is all there is between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_never_find_it_locked() {
    let db = Sqlite::fresh();
    db.execute("INSERT INTO users (id, name) VALUES (1, '')");
    let writers = (0..2).map(|_| {
        let database = SqliteDatabase::open(db.url()).unwrap();
        tokio::spawn(async move {
            for _ in 0..100 {
                let write = database.transaction::<_, Error>(|conn| {
                    conn.number("SELECT length(name) FROM users");
                    conn.try_execute("UPDATE users SET name = name || 'x'")?;
                    Ok(())
                });
                write.await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(db.number("SELECT length(name) FROM users"), 200);
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use std::sync::{Arc, Barrier};

    use ai_engine::PgDatabase;
    use diesel::r2d2::{ConnectionManager, Pool};

    use super::*;

    #[tokio::test]
    async fn a_refused_port_is_a_connection_error_that_says_so() {
        // Free a moment ago.
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let url = format!("postgres://ada:secret@127.0.0.1:{port}/stories");
        let pool = Pool::builder()
            .min_idle(Some(0))
            .connection_timeout(Duration::from_millis(100))
            .build(ConnectionManager::new(url))
            .unwrap();
        let database = PgDatabase::from_pool(pool);
        let refused = database.transaction::<_, Error>(|_| Ok(())).await.unwrap_err();
        assert!(matches!(refused, Error::Connection(_)), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains("refused") && text.contains(&port.to_string()), "{text}");
        assert!(!text.contains("secret"), "{text}");
        let engine = AiEngine::builder(database).build().unwrap();
        assert!(matches!(engine.find_run(1).await, Err(Error::Connection(_))));
    }

    /// As many of the engine's connections as the host's transactions may have at once.
    const AT_ONCE: u8 = 2;

    async fn open_connections(host: &Host<Postgres>) {
        let (database, together) = (host.db.database(), Arc::new(Barrier::new(AT_ONCE.into())));
        let works = (0..AT_ONCE).map(|_| {
            let together = Arc::clone(&together);
            database.transaction::<_, Error>(move |_| {
                together.wait();
                Ok(())
            })
        });
        for done in futures_util::future::join_all(works).await {
            done.unwrap();
        }
    }

    fn end_connections(host: &Host<Postgres>) -> i64 {
        host.db.number(
            // The order of conditions is the planner's, that of a CASE is ours.
            "SELECT count(*) FROM pg_stat_activity WHERE \
             CASE WHEN datname = current_database() AND pid <> pg_backend_pid() \
             THEN pg_terminate_backend(pid, 5000) END",
        )
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_ended_connection_costs_no_read() {
        let Some(db) = Postgres::fresh() else { return };
        let host = Host::new(db).await;
        let thread = host.thread().await;
        open_connections(&host).await;
        assert!(end_connections(&host) >= i64::from(AT_ONCE));
        for _ in 0..10 {
            thread.runs(&host.engine, Page::default()).await.unwrap();
        }
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_ended_connection_costs_no_write() {
        let Some(db) = Postgres::fresh() else { return };
        let host = Host::new(db).await;
        open_connections(&host).await;
        let ended = end_connections(&host);
        assert!(ended >= i64::from(AT_ONCE));
        let threads = host.user.assistant_threads(&host.engine);
        for _ in 0..ended {
            threads.create().await.unwrap();
        }
    }

    /// Ended in the middle: the error reaches the host, who may be doing anything with it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_ends_within_a_transaction_leaves_the_pool() {
        let Some(db) = Postgres::fresh() else { return };
        let host = Host::new(db).await;
        let database = host.db.database();
        for wrapped in [false, true] {
            let work = database.transaction::<_, Error>(move |conn| {
                conn.try_execute("SELECT pg_terminate_backend(pg_backend_pid())")
                    .map_err(|error| if wrapped { Error::host(error) } else { error.into() })
            });
            work.await.unwrap_err();
            for _ in 0..5 {
                let work = database.transaction::<_, Error>(|conn| Ok(conn.number("SELECT 1")));
                assert_eq!(work.await.unwrap(), 1);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ended_connections_cost_no_running_answer() {
        let Some(db) = Postgres::fresh() else { return };
        let host = Host::new(db).await;
        let thread = host.thread().await;
        let gate = Gate::new();
        host.fake.reply(Reply::text("Once upon a time.").hold_at(6, gate.clone()));
        let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
        let run = asked.submit().await.unwrap();
        host.hub.until_text("Once upon ").await;
        open_connections(&host).await;
        assert!(end_connections(&host) >= i64::from(AT_ONCE));
        gate.open();
        let ended = |heard: &Heard| matches!(heard, Heard::Run(run) if run.status.is_terminal());
        let heard = tokio::time::timeout(NEVER, host.hub.until(ended));
        heard.await.expect("the run does not end");

        open_connections(&host).await;
        let answer = host.engine.answer(run.id).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        assert_eq!(answer.text(), "Once upon a time.");
    }
}
