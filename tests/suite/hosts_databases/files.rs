//! SQLite's many names for a database, and pools of the host's that lead to several.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{AiEngine, Error, RunStatus, SqliteDatabase, prelude::*};
use diesel::SqliteConnection;
use diesel::r2d2::{ConnectionManager, Pool};

use crate::support::*;

/// The threads would be gone, silently, if one of these were another file.
#[tokio::test]
async fn all_forms_of_a_url_are_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("our stories.db").to_string_lossy().into_owned();
    let database = SqliteDatabase::open(&path).unwrap();
    let notes = database.transaction::<_, Error>(|conn| {
        conn.execute("CREATE TABLE notes (id INTEGER); INSERT INTO notes VALUES (7)");
        Ok(())
    });
    notes.await.unwrap();
    let escaped = path.replace(' ', "%20");
    for form in [
        format!("sqlite://{path}?mode=rwc"),
        format!("sqlite://{escaped}?mode=rw"),
        format!("sqlite:{escaped}?mode=ro&cache=private"),
        format!("sqlite://{escaped}"),
        format!("file:{escaped}"),
        format!("file://{escaped}?mode=ro"),
    ] {
        let database = SqliteDatabase::open(&form).unwrap();
        let read = database.read::<_, Error>(|conn| Ok(conn.number("SELECT id FROM notes")));
        assert_eq!(read.await.unwrap(), 7, "{form}");
        let write = database
            .transaction::<_, Error>(|conn| Ok(conn.try_execute("UPDATE notes SET id = 7")?));
        let written = write.await;
        if form.contains("mode=ro") {
            let error = written.unwrap_err().to_string();
            assert!(error.contains("readonly"), "{form}: {error}");
        } else {
            written.unwrap();
        }
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    let other = files.map(|file| file.unwrap().file_name()).filter(|name| {
        !["our stories.db", "our stories.db-wal", "our stories.db-shm"]
            .contains(&&*name.to_string_lossy())
    });
    assert_eq!(other.collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new());
}

#[tokio::test]
async fn what_is_not_there_is_made_only_where_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db").to_string_lossy().into_owned();
    for mode in ["ro", "rw"] {
        let error = SqliteDatabase::open(format!("sqlite://{path}?mode={mode}")).unwrap_err();
        assert!(error.to_string().contains("no such file"), "{error}");
        assert!(!std::path::Path::new(&path).exists());
    }
    let error = SqliteDatabase::open(OsStr::from_bytes(b"a\xFF.db")).unwrap_err();
    assert!(matches!(&error, Error::Connection(text) if text.contains("UTF-8")), "{error}");
}

/// Runs side by side on a database, each of several turns.
async fn a_crowd_on(database: SqliteDatabase) {
    database
        .transaction::<_, Error>(|conn| {
            conn.execute(
                "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL)",
            );
            conn.execute("INSERT INTO users VALUES (1, 'Ada')");
            Ok(())
        })
        .await
        .unwrap();
    let fake = FakeOpenAi::start().await.unwrap();
    let builder = AiEngine::builder(database).openai(fake.openai().unwrap()).state(Hub::default());
    let engine = Sqlite::owners(builder).build().unwrap();
    engine.start().await.unwrap();
    let user = User { id: 1, name: "Ada".to_owned() };
    let crowd = (0..12).map(|number| {
        let (engine, user, fake) = (&engine, &user, &fake);
        async move {
            let chat = user.chats(engine).create().await.unwrap();
            let question = format!("number {number:02}");
            fake.reply_to(&question, Reply::deltas(["Once ", "upon ", "a time"]));
            let run = chat.run(engine, "test-model", question.as_str()).submit().await.unwrap();
            let mut events = run.events(engine);
            while let Some(event) = events.next().await {
                event.unwrap();
            }
            let answer = engine.answer(run.id).await.unwrap();
            assert_eq!(answer.run.status, RunStatus::Completed);
            assert_eq!(answer.text(), "Once upon a time");
        }
    });
    futures_util::future::join_all(crowd).await;
}

/// A shared cache locks readers and writers out of each other's tables, and waits for nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_memory_by_any_name_serves_a_crowd() {
    for name in ["file:crowd?mode=memory&cache=shared", "sqlite::memory:", "sqlite://c?mode=memory"]
    {
        in_time(a_crowd_on(SqliteDatabase::open(name).unwrap())).await;
    }
}

fn pool(name: &str, size: u32) -> Pool<ConnectionManager<SqliteConnection>> {
    Pool::builder().max_size(size).build(ConnectionManager::new(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_leads_to_several_databases_is_refused() {
    for name in [":memory:", "file:pool?mode=memory&cache=shared", ""] {
        let database = SqliteDatabase::from_pool(pool(name, 4));
        let engine = AiEngine::builder(database.clone()).build().unwrap();
        for error in [
            engine.migrate().await.unwrap_err(),
            database.read::<(), Error>(|_| Ok(())).await.unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                matches!(error, Error::Connection(_)) && text.contains("memory"),
                "{name:?}: {text}"
            );
            assert!(text.contains("4 connections") && text.contains("max_size"), "{text}");
        }
    }
    in_time(a_crowd_on(SqliteDatabase::from_pool(pool(":memory:", 1)))).await;
}

/// Neither WAL nor a busy timeout: readers and the writer wait for each other all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_connections_as_diesel_makes_them_serves_a_crowd() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.db").to_string_lossy().into_owned();
    let pool = pool(&path, 4);
    in_time(a_crowd_on(SqliteDatabase::from_pool(pool.clone()))).await;
    // They are the host's again as they were.
    let mut conn = pool.get().unwrap();
    assert_eq!(conn.number("SELECT timeout FROM pragma_busy_timeout"), 0);
    assert_eq!(conn.number("SELECT query_only FROM pragma_query_only"), 0);
}
