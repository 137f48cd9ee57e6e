//! What is prepared once: Diesel tells when it keeps a statement, and the statement is kept for as long as its connection.

use std::sync::{Arc, Mutex};

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;

use super::any_of::{any_of, status_of};
use super::clock;
use super::first_row::First;
use super::update::update;
use super::workers;
use crate::model::RunStatus;
use crate::schema::ai_engine_runs::dsl as runs;
use crate::schema::ai_engine_workers::dsl as table;

/// The texts that a connection was asked to carry out, and those that it keeps prepared.
#[derive(Debug, Default)]
struct Heard {
    asked: Vec<String>,
    kept: Vec<String>,
}

struct Listening {
    conn: SqliteConnection,
    heard: Arc<Mutex<Heard>>,
}

impl Listening {
    fn new() -> Self {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute(
            "CREATE TABLE ai_engine_workers (id TEXT NOT NULL PRIMARY KEY, started_at BIGINT NOT NULL, lease_ends_at BIGINT NOT NULL);
             CREATE TABLE ai_engine_runs (id INTEGER NOT NULL PRIMARY KEY, status TEXT NOT NULL, attempts BIGINT NOT NULL);
             INSERT INTO ai_engine_runs VALUES (1, 'queued', 0), (2, 'in_progress', 0), (3, 'completed', 0), (4, 'failed', 0);",
        )
        .unwrap();
        let heard = Arc::<Mutex<Heard>>::default();
        let hearing = Arc::clone(&heard);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let text = text.split(" -- binds").next().unwrap_or_default().to_owned();
                hearing.lock().unwrap().asked.push(text);
            }
            InstrumentationEvent::CacheQuery { sql, .. } => {
                hearing.lock().unwrap().kept.push(sql.to_owned());
            }
            _ => {}
        });
        Self { conn, heard }
    }

    /// How many statements were asked for since the last call, and which were newly kept.
    fn take(&self) -> (usize, Vec<String>) {
        let mut heard = self.heard.lock().unwrap();
        let asked = std::mem::take(&mut heard.asked).len();
        (asked, std::mem::take(&mut heard.kept))
    }

    fn count_attempts(&mut self, numbers: &[i64]) -> usize {
        update(runs::ai_engine_runs.filter(any_of(runs::id, numbers)))
            .set(runs::attempts.eq(runs::attempts + 1))
            .execute(&mut self.conn)
            .unwrap()
    }
}

#[test]
fn an_update_is_kept_by_its_text() {
    let mut db = Listening::new();
    for (status, attempts) in [(None, Some(7)), (None, Some(8)), (Some("failed"), Some(9))] {
        let change = (
            status.map(|status| runs::status.eq(status)),
            attempts.map(|attempts| runs::attempts.eq(attempts)),
        );
        let returned: (i64, i64) = update(runs::ai_engine_runs.find(2))
            .set(change)
            .returning((runs::id, runs::attempts))
            .get_result(&mut db.conn)
            .unwrap();
        assert_eq!(
            (2, attempts),
            (returned.0, Some(returned.1)),
            "another statement was carried out"
        );
    }
    let (asked, kept) = db.take();
    assert_eq!((asked, kept.len()), (3, 2), "one text for each set of columns: {kept:?}");
    let statuses: Vec<String> =
        runs::ai_engine_runs.order(runs::id).select(runs::status).load(&mut db.conn).unwrap();
    assert_eq!(statuses, ["queued", "failed", "completed", "failed"]);
}

#[test]
fn lists_of_any_length_have_few_texts_and_name_what_they_name() {
    let mut db = Listening::new();
    assert_eq!(db.count_attempts(&[]), 0, "nothing is among no numbers");
    assert_eq!(db.count_attempts(&[3]), 1);
    assert_eq!(db.count_attempts(&[1, 3, 9]), 2);
    assert_eq!(db.count_attempts(&[1, 2, 3, 4]), 4);
    let (_, kept) = db.take();
    assert_eq!(kept.len(), 3, "3 and 4 numbers are one text: {kept:?}");
    let many: Vec<i64> = (0..3000).collect();
    assert_eq!(db.count_attempts(&many), 4);
    assert!(db.take().1.is_empty(), "a list of any length is kept");
    let open = runs::ai_engine_runs.filter(status_of(&RunStatus::ACTIVE)).select(runs::id);
    assert_eq!(open.order(runs::id).load::<i64>(&mut db.conn).unwrap(), [1, 2]);
    let none = runs::ai_engine_runs.filter(status_of(&[])).select(runs::id);
    assert!(none.load::<i64>(&mut db.conn).unwrap().is_empty());
}

#[test]
fn a_first_row_and_a_heartbeat_are_kept() {
    let mut db = Listening::new();
    for _ in 0..2 {
        let last = runs::ai_engine_runs.order(runs::id.desc()).select(runs::id);
        assert_eq!(last.first_row().get_result::<i64>(&mut db.conn).unwrap(), 4);
        clock::now_ms(&mut db.conn).unwrap();
    }
    let (_, kept) = db.take();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept[0].ends_with("LIMIT 1"), "the number of rows is a value: {kept:?}");
    let lease = std::time::Duration::from_secs(30);
    workers::beat(&mut db.conn, "us", lease).unwrap();
    db.take();
    workers::beat(&mut db.conn, "us", lease * 2).unwrap();
    workers::beat(&mut db.conn, "us", lease * 3).unwrap();
    let (asked, kept) = db.take();
    assert_eq!((asked, kept.len()), (4, 0), "a further beat is more than a look and an update");
    let (id, started, ends): (String, i64, i64) =
        table::ai_engine_workers.first(&mut db.conn).unwrap();
    assert!(id == "us" && ends > started + 60_000, "the last beat is the one that counts");
}
