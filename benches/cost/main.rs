//! What an answer costs its database: bytes written, statements, transactions.
//!
//! `cargo bench --bench cost`, or with PostgreSQL too
//! `scripts/with-postgres cargo bench --bench cost --all-features`. Fails when an answer writes more than the limit
//! or a run does not complete.
//!
//! "Cold" is the first answer after a checkpoint: PostgreSQL then writes each page it touches whole into its log, once
//! per checkpoint. "Warm" is the same right after it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]
#![allow(clippy::print_stdout, reason = "a program")]
#![allow(unreachable_pub, reason = "nobody's API")]

mod statements;
#[path = "../support/mod.rs"]
mod support;
#[path = "../crowd/warnings.rs"]
mod warnings;
mod written;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ai_engine::SqliteDatabase;
use tokio::runtime::Runtime;

use statements::Statements;
use support::{Host, sqlite, story};
use written::{SqliteLog, Written};

/// What one answer may write at full speed.
const fn limit(text: u64) -> u64 {
    5 * text + 256 * 1024
}

fn main() -> ExitCode {
    // `cargo test --benches` builds and runs this too; it has nothing to say there.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    statements::watch();
    let warnings = warnings::count();
    let runtime = Runtime::new().unwrap();
    let mut fine = runtime.block_on(on_sqlite());
    fine &= runtime.block_on(on_postgres());
    println!("\nwarnings and errors logged: {}", warnings.so_far());
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
    measure("SQLite", &host, || SqliteLog::of(&path)).await
}

#[cfg(feature = "postgres")]
async fn on_postgres() -> bool {
    let Some(postgres) = support::Postgres::fresh() else {
        println!("\nPostgreSQL: skipped: AI_ENGINE_TEST_POSTGRES is not set");
        return true;
    };
    let database = ai_engine::PgDatabase::connect(&*postgres.url).unwrap();
    let host = Host::new(database).await;
    measure("PostgreSQL", &host, || written::PgLog::of(&postgres.url)).await
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "the other form waits")]
async fn on_postgres() -> bool {
    println!("\nPostgreSQL: skipped: the feature postgres is off");
    true
}

async fn measure<L: Written>(name: &str, host: &Host, open: impl Fn() -> L) -> bool {
    println!("\n{name}: one answer at full speed");
    println!(
        "{:>8} {:>5} {:>9} {:>10} {:>7} {:>10} {:>6} {:>10} {:>8} {:>6}",
        "deltas", "", "text", "written", "× text", "limit", "", "statements", "commits", "ms"
    );
    let mut fine = true;
    let mut statements = Vec::new();
    for deltas in [5000, 20_000] {
        host.fake.reply_always(story(deltas));
        let mut log = open();
        log.checkpoint();
        for state in ["cold", "warm"] {
            let thread = host.thread().await;
            let before = (log.bytes(), Statements::so_far());
            let start = Instant::now();
            let text = u64::try_from(host.ask(&thread).await.unwrap().text().len()).unwrap();
            let spent = start.elapsed();
            let (written, made) = (log.bytes() - before.0, Statements::since(&before.1));
            let met = written <= limit(text);
            fine &= met && text == u64::from(deltas) * 5;
            println!(
                "{deltas:>8} {state:>5} {text:>9} {written:>10} {:>7} {:>10} {:>6} {:>10} {:>8} {:>6}",
                times(written, text),
                limit(text),
                if met { "met" } else { "MISSED" },
                made.count(),
                made.transactions().values().sum::<u64>(),
                spent.as_millis()
            );
            statements.push((format!("{deltas} {state}"), made));
        }
    }
    for (answer, made) in statements {
        println!("{name}: {answer}: {made}");
    }
    fine & paced(name, host, open()).await
}

/// An answer at 50 deltas a second for ten seconds. What it writes must not grow faster than the time.
async fn paced(name: &str, host: &Host, mut log: impl Written) -> bool {
    println!("\n{name}: one answer of 50 deltas a second for 10 s");
    host.fake.reply_always(story(500).pace(Duration::from_millis(20)));
    log.checkpoint();
    let thread = host.thread().await;
    let before = (log.bytes(), Statements::so_far());
    let answer = host.ask(&thread);
    tokio::pin!(answer);
    let mut samples = vec![0];
    let mut seconds = tokio::time::interval(Duration::from_secs(2));
    seconds.tick().await;
    let text = loop {
        tokio::select! {
            answer = &mut answer => break answer.unwrap().text(),
            _ = seconds.tick() => samples.push(log.bytes() - before.0),
        }
    };
    let each: Vec<u64> = samples.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let made = Statements::since(&before.1);
    println!(
        "{} bytes of text, {} written; every 2 s: {each:?}",
        text.len(),
        log.bytes() - before.0
    );
    println!("{name}: paced: {made}");
    // The first two seconds have the beginning of the run in them.
    let (Some(&second), Some(&last)) = (each.get(1), each.last()) else {
        println!("too short to tell");
        return false;
    };
    let linear = last <= 2 * second;
    println!("linear in time: {}", if linear { "met" } else { "MISSED" });
    linear
}

/// `written ÷ text` with one decimal.
fn times(written: u64, text: u64) -> String {
    let tenths = written * 10 / text.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}
