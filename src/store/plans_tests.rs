//! What is read a page at a time is read through an index that has its order, however many rows there are: the databases say how
//! they would carry the statements out.

use std::sync::{Arc, Mutex};

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;

use super::recent::Recent;
use super::session::Session;
use super::threads::ConversationRow;
use super::{messages, migrate, queue, runs_of, timeline, turns};
use crate::model::{AssistantThread, Chat, Messageable, Page};

/// A deep thread and a deep chat without tools, and many beside them with calls of tools, some of which are busy.
const ROWS: &str = "
    INSERT INTO ai_engine_assistant_threads (id, threadable_type, threadable_id, next_seq, created_at, updated_at, last_activity_at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        SELECT i, 'User', '1', 5001, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00' FROM n;
    INSERT INTO ai_engine_chats (id, chattable_type, chattable_id, next_seq, created_at, updated_at, last_activity_at)
        SELECT id, threadable_type, threadable_id, next_seq, created_at, updated_at, last_activity_at
        FROM ai_engine_assistant_threads;
    INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, model, definition, seq, status, created_at, updated_at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        SELECT i, CASE WHEN i % 2 = 0 THEN CASE WHEN i <= 10000 THEN 1 ELSE i / 10 END END,
            CASE WHEN i % 2 = 1 THEN CASE WHEN i <= 10000 THEN 1 ELSE i / 10 END END,
            'm', '{}', i / 2 + 1, CASE WHEN i > 19990 THEN 'queued' ELSE 'completed' END,
            '2026-01-01 00:00:00', '2026-01-01 00:00:00' FROM n;
    INSERT INTO ai_engine_messages (assistant_thread_id, chat_id, run_id, seq, position, role, status, content, remote_state,
            created_at, updated_at)
        SELECT assistant_thread_id, chat_id, id, seq, 0, 'user', 'completed', 'Hi', 'absent', created_at, updated_at
        FROM ai_engine_runs;
    INSERT INTO ai_engine_messages (assistant_thread_id, chat_id, run_id, seq, position, role, status, content, remote_state,
            created_at, updated_at)
        SELECT assistant_thread_id, chat_id, id, seq, 1, 'assistant', 'completed', 'Ho', 'absent', created_at, updated_at
        FROM ai_engine_runs;
    INSERT INTO ai_engine_message_deltas (id, message_id, byte_offset, sequence_number, text)
        SELECT id, id, 0, 1, 'x' FROM ai_engine_messages;
    INSERT INTO ai_engine_tool_calls (run_id, step, position, output_position, call_id, kind, name, arguments, status,
            repeatable, idempotency_key, created_at, finished_at)
        SELECT id, 1, 1, 2, 'call', 'function_call', 'note', '{}', 'completed', 'no', 'key', created_at, created_at
        FROM ai_engine_runs WHERE id > 10000;";

/// The statements that a connection is given meanwhile, without what is bound.
fn said<C: Connection + Session>(conn: &mut C, work: impl FnOnce(&mut dyn Session)) -> Vec<String> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            let statement = text.split(" -- binds").next().unwrap_or_default();
            heard.lock().unwrap().push(statement.to_owned());
        }
    });
    work(conn);
    conn.set_instrumentation(|_: InstrumentationEvent<'_>| {});
    let said = said.lock().unwrap();
    said.clone()
}

/// A reader by its name.
type Reader = (&'static str, fn(&mut dyn Session, Messageable));

const READERS: &[Reader] = &[
    ("turns", |session, of| drop(turns::page(session, of, Page::before(4000, 50)).unwrap())),
    ("messages", |session, of| drop(messages::page(session, of, Page::newest(50)).unwrap())),
    ("runs", |session, of| drop(runs_of::page(session, of, Page::newest(50)).unwrap())),
    ("recent", |session, of| match of {
        Messageable::AssistantThread(_) => {
            drop(AssistantThread::recent(session, "User", "1", Page::newest(50)).unwrap());
        }
        Messageable::Chat(_) => drop(Chat::recent(session, "User", "1", Page::newest(50)).unwrap()),
    }),
    ("conversations", |session, of| match of {
        Messageable::AssistantThread(_) => {
            drop(AssistantThread::list(session, "User", "1", Page::newest(50)).unwrap());
        }
        Messageable::Chat(_) => drop(Chat::list(session, "User", "1", Page::newest(50)).unwrap()),
    }),
    ("active", |session, of| {
        runs_of::active(session, of).unwrap();
    }),
    ("first_unended", |session, of| {
        queue::first_unended(session, of).unwrap();
    }),
    ("unended", |session, of| drop(queue::unended(session, of).unwrap())),
    ("look", |session, of| {
        let question = timeline::Question { of, next: None, followed: Vec::new() };
        drop(timeline::look(session, &[question]).unwrap());
    }),
];

/// Those that are one statement, whatever they find.
const ONE_STATEMENT: [&str; 2] = ["turns", "recent"];

/// The index that a reader is to use where another one with the right beginning would do, and read much more.
fn index_of(name: &str) -> &'static [&'static str] {
    match name {
        "active" | "first_unended" | "unended" => &["ai_engine_runs_active_of_"],
        "recent" => &["_recent", "ai_engine_runs_active_of_"],
        "turns" => &["ai_engine_messages_siblings_in_"],
        "messages" | "runs" => &["seq<"],
        _ => &[],
    }
}

const OF: [Messageable; 2] = [Messageable::AssistantThread(1), Messageable::Chat(1)];

fn each<C: Connection + Session>(conn: &mut C, check: impl Fn(&mut C, &str, &str) -> Vec<String>) {
    let mut wrong = Vec::new();
    for (name, read) in READERS {
        for of in OF {
            let statements = said(conn, |session| read(session, of));
            if ONE_STATEMENT.contains(name) {
                assert_eq!(statements.len(), 1, "{name}: {statements:?}");
            }
            for statement in statements {
                wrong.extend(check(conn, name, &statement));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::sql_types::{Integer, Text};

    use super::*;

    #[derive(Debug, QueryableByName)]
    struct Step {
        #[diesel(sql_type = Integer)]
        parent: i32,
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// No table is read from end to end, and nothing is sorted but what hangs on one row.
    #[test]
    fn no_page_scans_a_table_or_sorts_what_it_leaves_out() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        migrate::migrate(&mut conn).unwrap();
        conn.batch_execute(ROWS).unwrap();
        each(&mut conn, |conn, name, statement| {
            let explained = format!("EXPLAIN QUERY PLAN {statement}");
            let steps: Vec<Step> = diesel::sql_query(explained).load(conn).unwrap();
            let is_bad = |step: &Step| {
                let scans = step.detail.starts_with("SCAN ") && !step.detail.contains("subquery");
                let sorts = step.parent == 0 && step.detail.contains("TEMP B-TREE");
                scans && !step.detail.ends_with("SCAN siblings") || sorts
            };
            let uses = |index: &&str| {
                steps.iter().any(|step| step.detail.replace(' ', "").contains(*index))
            };
            let bad = steps.iter().any(is_bad) || !index_of(name).iter().all(uses);
            bad.then(|| format!("{name}: {statement}\n{steps:#?}")).into_iter().collect()
        });
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::sql_types::Text;

    use super::*;

    #[derive(Debug, QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        line: String,
    }

    /// As it is planned once for all values, which is what a prepared statement comes to.
    #[test]
    fn no_page_scans_a_table_from_end_to_end() {
        let Ok(url) = std::env::var("AI_ENGINE_TEST_POSTGRES") else {
            eprintln!("skipped on PostgreSQL: AI_ENGINE_TEST_POSTGRES is not set");
            return;
        };
        let mut conn = PgConnection::establish(&url).unwrap();
        // Its functions would not be found in `pg_temp`.
        let schema = format!("plans_{}", std::process::id());
        conn.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path = {schema}")).unwrap();
        migrate::migrate(&mut conn).unwrap();
        conn.batch_execute(ROWS).unwrap();
        conn.batch_execute("ANALYZE; SET plan_cache_mode = force_generic_plan").unwrap();
        each(&mut conn, |conn, name, statement| {
            let values = (1..=99).take_while(|n| statement.contains(&format!("${n}"))).count();
            let values = vec!["NULL"; values].join(", ");
            let values = if values.is_empty() { values } else { format!("({values})") };
            conn.batch_execute(&format!("PREPARE page AS {statement}")).unwrap();
            let explained = format!("EXPLAIN EXECUTE page{values}");
            let plan: Vec<Line> = diesel::sql_query(explained).load(conn).unwrap();
            conn.batch_execute("DEALLOCATE page").unwrap();
            let plan: Vec<String> = plan.into_iter().map(|line| line.line).collect();
            let uses =
                |index: &&str| plan.iter().any(|line| line.replace(' ', "").contains(*index));
            let scans = plan.iter().any(|line| line.contains("Seq Scan on ai_engine_"));
            let bad = scans || !index_of(name).iter().all(uses);
            bad.then(|| format!("{name}: {statement}\n{}", plan.join("\n"))).into_iter().collect()
        });
        conn.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).unwrap();
    }
}
