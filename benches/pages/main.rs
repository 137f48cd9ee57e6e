//! What a page costs, however much there is: milliseconds and statements.
//!
//! `cargo bench --bench pages`, or with PostgreSQL too `scripts/with-postgres cargo bench --bench pages --all-features`. Fails when
//! the median of a page is above the limit, or a page of turns or of recent conversations takes more than one statement.
//!
//! The databases have a thread and a chat of 100,000 messages each, and an owner with 10,000 threads and as many chats, some of
//! which are busy.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]
#![allow(clippy::print_stdout, reason = "a program")]
#![allow(unreachable_pub, dead_code, reason = "nobody's API; shared with other benchmarks")]

#[path = "../cost/statements.rs"]
mod statements;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ai_engine::{AssistantThread, Chat, Page, SqliteDatabase, prelude::*};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use tokio::runtime::Runtime;

use statements::Statements;
use support::{Host, sqlite};

/// What a page may take at the median.
const LIMIT: Duration = Duration::from_millis(2);
/// How often each page is read.
const TIMES: usize = 100;
/// Rows of a page.
const ROWS: u32 = 50;

/// Texts and instructions of some 500 characters: what a page must not read is there to be read.
const FILL: &str = "
    INSERT INTO ai_engine_assistant_threads
        (id, threadable_type, threadable_id, next_seq, created_at, updated_at, last_activity_at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        SELECT i, 'User', '1', 50001, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00' FROM n;
    INSERT INTO ai_engine_chats
        (id, chattable_type, chattable_id, next_seq, created_at, updated_at, last_activity_at)
        SELECT id, threadable_type, threadable_id, next_seq, created_at, updated_at, last_activity_at
        FROM ai_engine_assistant_threads;
    INSERT INTO ai_engine_runs
        (id, assistant_thread_id, chat_id, model, definition, seq, status, created_at, updated_at, finished_at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000),
        place(i, conversation, seq) AS (
            SELECT i, CASE WHEN i <= 100000 THEN 1 ELSE (i - 100000) / 2 + 1 END,
                CASE WHEN i <= 100000 THEN (i + 1) / 2 ELSE 50001 END FROM n)
        SELECT i, CASE WHEN i % 2 = 0 THEN conversation END, CASE WHEN i % 2 = 1 THEN conversation END, 'm',
            CAST('{\"model\": \"m\", \"instructions\": \"' || replace('xxxxxxxxxxxxxxxxxxxx', 'x',
                'some words of an instruction. ') || '\"}' AS JSON_TYPE),
            seq, CASE WHEN i > 100000 AND i % 10 < 2 THEN 'queued' ELSE 'completed' END,
            '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00' FROM place WHERE conversation <= 10000;
    INSERT INTO ai_engine_messages
        (assistant_thread_id, chat_id, run_id, seq, position, role, status, content, remote_state, created_at, updated_at)
        WITH said(position, role) AS (SELECT 0, 'user' UNION ALL SELECT 1, 'assistant'),
        text(content) AS (SELECT replace('xxxxxxxxxxxxxxxxxxxx', 'x', 'some words of an answer. '))
        SELECT assistant_thread_id, chat_id, id, seq, position, role, 'completed', content, 'absent', created_at, updated_at
        FROM ai_engine_runs, said, text ORDER BY id, position;";

/// One that was asked again, in the newest page.
const SIBLINGS: &str = "
    UPDATE ai_engine_messages SET parent_seq = 49980 WHERE seq BETWEEN 49981 AND 49984 AND position = 0;
    UPDATE ai_engine_messages SET superseded_at_seq = 49984 WHERE seq BETWEEN 49981 AND 49983;
    ANALYZE;";

fn main() -> ExitCode {
    // `cargo test --benches` builds and runs this too; it has nothing to say there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    statements::watch();
    let runtime = Runtime::new().unwrap();
    let mut fine = runtime.block_on(on_sqlite());
    fine &= runtime.block_on(on_postgres());
    if fine {
        ExitCode::SUCCESS
    } else {
        println!("FAILED");
        ExitCode::FAILURE
    }
}

async fn on_sqlite() -> bool {
    let (_folder, path) = sqlite();
    let host = Host::new(SqliteDatabase::open(&path).unwrap()).await;
    let mut conn = SqliteConnection::establish(&path).unwrap();
    let fill = FILL.replace("JSON_TYPE", "TEXT");
    conn.batch_execute(&format!("BEGIN; {fill} COMMIT; {SIBLINGS}")).unwrap();
    measure("SQLite", &host).await
}

#[cfg(feature = "postgres")]
async fn on_postgres() -> bool {
    let Some(postgres) = support::Postgres::fresh() else {
        println!("\nPostgreSQL: skipped: AI_ENGINE_TEST_POSTGRES is not set");
        return true;
    };
    let host = Host::new(ai_engine::PgDatabase::connect(&*postgres.url).unwrap()).await;
    let mut conn = diesel::PgConnection::establish(&postgres.url).unwrap();
    let fill = FILL.replace("JSON_TYPE", "JSON");
    conn.batch_execute(&format!("{fill} {SIBLINGS}")).unwrap();
    measure("PostgreSQL", &host).await
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "the other form waits")]
async fn on_postgres() -> bool {
    println!("\nPostgreSQL: skipped: the feature postgres is off");
    true
}

async fn measure(name: &str, host: &Host) -> bool {
    println!("\n{name}: a page of {ROWS}");
    println!("{:>34} {:>5} {:>10} {:>9} {:>9}", "", "rows", "statements", "median", "slowest");
    let engine = &host.engine;
    let threads = host.user.assistant_threads(engine);
    let chats = host.user.chats(engine);
    let (thread, chat): (AssistantThread, Chat) =
        (threads.find(1).await.unwrap(), chats.find(1).await.unwrap());
    let newest = Page::newest(ROWS);
    let deep = Page::after("turn-1000".parse().unwrap(), ROWS);
    let far = Page::after("recent-1767225600000000-100".parse().unwrap(), ROWS);
    let mut fine = true;
    macro_rules! page {
        ($what:literal, $one:literal, |$page:ident| $read:expr) => {
            fine &= read($what, $one, async || {
                let $page = $read.await.unwrap();
                $page.len()
            })
            .await;
        };
    }
    macro_rules! paged {
        ($what:literal, $read:expr) => {
            fine &= read($what, true, async || $read.await.unwrap().items.len()).await;
        };
    }
    paged!("turns of a thread, newest", thread.turns(engine, newest));
    paged!("turns of a thread, deep", thread.turns(engine, deep));
    paged!("turns of a chat, newest", chat.turns(engine, newest));
    paged!("turns of a chat, deep", chat.turns(engine, deep));
    paged!("recent threads, newest", threads.recent(newest));
    paged!("recent threads, far down", threads.recent(far));
    paged!("recent chats, newest", chats.recent(newest));
    page!("messages of a thread", false, |page| thread.messages(engine).list(newest));
    page!("runs of a thread", false, |page| thread.runs(engine, newest));
    page!("threads by their creation", false, |page| threads.list(newest));
    fine
}

/// Reads a page often; whether it is within its limits.
async fn read(what: &str, one_statement: bool, page: impl AsyncFn() -> usize) -> bool {
    let before = Statements::so_far();
    let rows = page().await;
    let statements = Statements::since(&before).count();
    let mut spent = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let start = Instant::now();
        page().await;
        spent.push(start.elapsed());
    }
    spent.sort();
    let (median, slowest) = (spent[TIMES / 2], spent[TIMES - 1]);
    let fine = rows == 50 && median <= LIMIT && (statements == 1 || !one_statement);
    println!(
        "{what:>34} {rows:>5} {statements:>10} {:>6} µs {:>6} µs{}",
        median.as_micros(),
        slowest.as_micros(),
        if fine { "" } else { "  MISSED" }
    );
    fine
}
