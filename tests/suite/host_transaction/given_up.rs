//! Transactions that nobody waits for to the end: others race with them, their future is dropped, their work panics.

use std::sync::mpsc;

use ai_engine::{Error, Result, SqliteDatabase, prelude::*};
use diesel::Connection;

use super::{Parts, TELLERS, rolled_back, told};
use crate::support::*;

on_each_database!(
    racing_transactions_share_one_assistant,
    an_assistant_rolled_back_elsewhere_is_created_here,
    a_dropped_future_still_commits,
    a_dropped_future_still_rolls_back,
    a_panic_rolls_back_and_the_pool_still_works,
);

/// Two of the host's transactions save an assistant for the same record; the first one ends as told once the second
/// waits for it, or cannot have begun.
fn race<D: Raw>(host: &Host<D>, first_ends: Result<()>) {
    let parts = Parts::of(host);
    let (saved, is_saved) = mpsc::channel();
    let (go, told_to_go) = mpsc::channel();
    let (mut one, mut two) = (host.db.connect(), host.db.connect());
    let (first, second) = (parts.clone(), parts);
    let commits = first_ends.is_ok();
    let first = std::thread::spawn(move || {
        D::begin(&mut one, |conn| {
            first.teller.create_openai_assistant_in(conn)?;
            saved.send(()).unwrap();
            told_to_go.recv().unwrap();
            first_ends
        })
    });
    is_saved.recv().unwrap();
    let second = std::thread::spawn(move || {
        D::begin(&mut two, |conn| {
            let changed = Storyteller { model: "other-model".to_owned(), ..second.teller.clone() };
            let saved = changed.create_openai_assistant_in(conn)?;
            conn.insert_storyteller(&changed)?;
            Ok(saved)
        })
    });
    host.db.until_one_waits();
    go.send(()).unwrap();
    assert_eq!(first.join().unwrap().is_ok(), commits);
    let saved = second.join().unwrap().unwrap();
    assert_eq!(saved.model, "other-model");
    assert_eq!(saved.version, if commits { 2 } else { 1 });
    let versions = format!("ai_engine_assistant_versions: {}", saved.version);
    assert_eq!(host.db.ours(), [versions.as_str(), "ai_engine_assistants: 1"]);
    assert_eq!(host.db.number(TELLERS), 1);
}

async fn racing_transactions_share_one_assistant<D: Raw>(db: D) {
    race(&Host::new(db).await, Ok(()));
}

async fn an_assistant_rolled_back_elsewhere_is_created_here<D: Raw>(db: D) {
    race(&Host::new(db).await, Err(Error::host("the host thinks again")));
}

/// Drops the future of a transaction in the middle of its work, which then goes on to its `end`; the next writer
/// waits for it. Returns what that writer found.
async fn dropped<D: Raw>(db: D, end: Result<()>) -> Vec<String> {
    let host = Host::new(db).await;
    let parts = Parts::of(&host);
    let database = host.db.database();
    let (began, mut has_begun) = tokio::sync::mpsc::channel(1);
    let (go, told_to_go) = mpsc::channel::<()>();
    let work = D::transaction(&database, move |conn| {
        conn.execute("UPDATE users SET name = 'Eve' WHERE id = 1");
        began.blocking_send(()).unwrap();
        told_to_go.recv().unwrap();
        parts.teller.create_openai_assistant_in(conn)?;
        end
    });
    tokio::select! {
        biased;
        _ = work => panic!("the work cannot be done yet"),
        signal = has_begun.recv() => signal.unwrap(),
    }
    // Dropped. The next writer of this row comes after it, on SQLite as any writer does.
    let next = tokio::spawn(async move {
        let next = D::transaction(&database, move |conn| {
            conn.execute("UPDATE users SET name = name || '!' WHERE id = 1");
            Ok(())
        });
        next.await
    });
    go.send(()).unwrap();
    next.await.unwrap().unwrap();
    let mut found = host.db.texts("SELECT name AS line FROM users WHERE id = 1");
    found.extend(host.db.ours());
    assert!(host.db.with(|conn| conn.nobody_is_in_a_transaction()));
    found
}

async fn a_dropped_future_still_commits<D: Raw>(db: D) {
    assert_eq!(
        dropped(db, Ok(())).await,
        ["Eve!", "ai_engine_assistant_versions: 1", "ai_engine_assistants: 1"]
    );
}

async fn a_dropped_future_still_rolls_back<D: Raw>(db: D) {
    let end = Err(Error::host("the host thinks again"));
    assert_eq!(dropped(db, end).await, ["Ada!"]);
}

async fn a_panic_rolls_back_and_the_pool_still_works<D: Raw>(db: D) {
    let host = told(db).await;
    let database = host.db.database();
    // More often than there are connections.
    for nested in [false, true, false, true, false, true, false, true] {
        let parts = Parts::of(&host);
        let result = D::transaction(&database, move |conn| {
            conn.insert_storyteller(&parts.teller)?;
            parts.teller.create_openai_assistant_in(conn)?;
            if nested {
                let _: Result<()> = Connection::transaction(conn, |_| panic!("ouch, nested"));
            }
            panic!("ouch");
            #[allow(unreachable_code, reason = "says what the work would return")]
            Ok(())
        });
        let error = result.await.unwrap_err();
        assert!(matches!(&error, Error::Panicked(said) if said.starts_with("ouch")), "{error:?}");
    }
    assert!(host.db.with(|conn| conn.nobody_is_in_a_transaction()));
    rolled_back(&host).await;
}

/// A database in memory lives in its one connection, which a panic must not cost.
#[tokio::test]
async fn a_panic_in_memory_costs_no_row() {
    let database = SqliteDatabase::in_memory().unwrap();
    database
        .transaction::<_, Error>(|conn| {
            conn.execute("CREATE TABLE notes (id INTEGER); INSERT INTO notes VALUES (1)");
            Ok(())
        })
        .await
        .unwrap();
    let panicked = database.transaction::<_, Error>(|conn| {
        conn.execute("INSERT INTO notes VALUES (2)");
        assert!(conn.number("SELECT count(*) FROM notes") != 2, "ouch");
        Ok(())
    });
    let error = panicked.await.unwrap_err();
    assert!(matches!(&error, Error::Panicked(said) if said == "ouch"), "{error:?}");
    let count =
        database.transaction::<_, Error>(|conn| Ok(conn.number("SELECT count(*) FROM notes")));
    assert_eq!(count.await.unwrap(), 1);
}
