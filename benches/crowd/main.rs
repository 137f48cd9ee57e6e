//! Many answers at once in one process: what they cost the database and the machine, and how long a word is on its way.
//!
//! `scripts/crowd` runs it on SQLite and PostgreSQL, with enough file descriptors; `cargo bench --bench crowd` on SQLite
//! alone. The provider is another process, which writes into each delta the time at which it sends it. Fails when an
//! answer is not whole, or when streaming takes more than 5 flushes a second.
//!
//! `CROWD_RUNS=1,100,1000` says how many answers at once, `CROWD_SECONDS=20` for how long, `CROWD_STREAMS=10000` how many
//! slow streams are then held open; 0 leaves them out.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]
#![allow(clippy::print_stdout, reason = "a program")]
#![allow(unreachable_pub, reason = "nobody's API")]

#[path = "../support/database.rs"]
mod database;
mod host;
mod process;
mod provider;
#[path = "../cost/statements.rs"]
mod statements;
mod warnings;
#[path = "../cost/written.rs"]
mod written;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ai_engine::{Database, SqliteDatabase};
use futures_util::future::join_all;
use tokio::runtime::Runtime;

use host::Crowd;
use process::{cpu, memory};
use provider::Provider;
use statements::Statements;
use written::{SqliteLog, Written};

/// Deltas a second of each answer.
const RATE: u64 = 50;
const FLUSHES_PER_SECOND: f64 = 5.0;

fn main() -> ExitCode {
    if provider::serve_if_asked() || !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    statements::watch();
    let warnings = warnings::count();
    let provider = Provider::start();
    let runtime = Runtime::new().unwrap();
    let fine = runtime.block_on(all(&provider));
    println!("\nwarnings and errors logged: {}", warnings.so_far());
    if fine {
        ExitCode::SUCCESS
    } else {
        println!("FAILED");
        ExitCode::FAILURE
    }
}

async fn all(provider: &Provider) -> bool {
    let runs: Vec<usize> =
        setting("CROWD_RUNS", "1,100,1000").split(',').map(|n| n.trim().parse().unwrap()).collect();
    let seconds = setting("CROWD_SECONDS", "20").parse().unwrap();
    let streams = setting("CROWD_STREAMS", "10000").parse().unwrap();
    let mut fine = true;
    for count in &runs {
        let (_folder, path) = database::sqlite();
        let crowd = Crowd::new(SqliteDatabase::open(&path).unwrap(), provider).await;
        fine &= at_once("SQLite", &crowd, *count, seconds, SqliteLog::of(&path)).await;
    }
    #[cfg(feature = "postgres")]
    for count in &runs {
        let Some(postgres) = database::Postgres::fresh() else {
            println!("\nPostgreSQL: skipped: AI_ENGINE_TEST_POSTGRES is not set");
            break;
        };
        let database = ai_engine::PgDatabase::connect(&*postgres.url).unwrap();
        let crowd = Crowd::new(database, provider).await;
        fine &=
            at_once("PostgreSQL", &crowd, *count, seconds, written::PgLog::of(&postgres.url)).await;
    }
    if streams > 0 {
        let (_folder, path) = database::sqlite();
        fine &= held_open(SqliteDatabase::open(&path).unwrap(), provider, streams).await;
    }
    fine
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// `count` answers, each with an owner who listens and a subscriber.
async fn at_once(
    name: &str,
    crowd: &Crowd,
    count: usize,
    seconds: u64,
    mut log: impl Written,
) -> bool {
    println!("\n{name}: {count} answers at once, {RATE} deltas a second each, for {seconds} s");
    let deltas = RATE * seconds;
    let model = format!("stream-{deltas}-{}", 1_000_000 / RATE);
    let threads = crowd.threads(count).await;
    log.checkpoint();
    process::forget_peak();
    let resident = memory("VmRSS");
    let before = (log.bytes(), Statements::so_far(), cpu(), Instant::now());
    let answers = join_all(threads.iter().map(|thread| crowd.ask(thread, &model))).await;
    let spent = before.3.elapsed().as_secs_f64();
    let (written, made, cpu) =
        (log.bytes() - before.0, Statements::since(&before.1), cpu() - before.2);
    let peak = memory("VmHWM");

    let whole = usize::try_from(deltas).unwrap() * provider::DELTA_BYTES;
    let complete = answers.iter().filter(|answer| **answer == Some(whole)).count();
    let text = u64::try_from(count * whole).unwrap();
    let per_second = |kind: &str| {
        let count = made.transactions().get(kind).copied().unwrap_or(0);
        f64::from(u32::try_from(count).unwrap()) / spent
    };
    println!("{complete} of {count} complete in {spent:.1} s");
    println!(
        "write transactions a second: {:.1} flushes, {:.1} first rows, {:.1} of submit, claim, call, settle and announce each",
        per_second("flush"),
        per_second("first row"),
        per_second("settle")
    );
    println!("statements: {}", made.count());
    println!("log: {written} bytes for {text} bytes of text ({:.1} times)", ratio(written, text));
    println!(
        "processor: {:.2} of a core; memory: {} kB before, {} kB at most",
        cpu / spent,
        resident,
        peak
    );
    println!("from the provider's write to the hook:       {}", crowd.heard.latency("hook"));
    println!("from the provider's write to the subscriber: {}", crowd.heard.latency("subscriber"));
    let rarely = per_second("flush") <= FLUSHES_PER_SECOND;
    println!(
        "at most {FLUSHES_PER_SECOND} flushes a second, whatever the number of runs: {}",
        if rarely { "met" } else { "MISSED" }
    );
    complete == count && rarely
}

/// `count` streams that say a word now and then.
async fn held_open(database: impl Database, provider: &Provider, count: usize) -> bool {
    println!("\nSQLite: {count} slow streams held open");
    let crowd = Crowd::new(database, provider).await;
    let threads = crowd.threads(count).await;
    let resident = memory("VmRSS");
    let start = Instant::now();
    let model = "stream-9-10000000";
    let asked = join_all(threads.iter().map(|thread| crowd.submit(thread, model))).await;
    let failed = asked.iter().filter(|run| run.is_none()).count();
    // The first word of each is here once its hook heard it.
    while crowd.heard.count("hook") < count - failed && start.elapsed() < Duration::from_secs(80) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let open = provider.open();
    let held = memory("VmRSS");
    println!(
        "{open} open after {:.1} s; {:.1} kB of memory a stream; {failed} could not be submitted",
        start.elapsed().as_secs_f64(),
        ratio(held.saturating_sub(resident), count as u64)
    );
    let ends = join_all(asked.into_iter().flatten().map(|run| crowd.end(run))).await;
    let whole = 9 * provider::DELTA_BYTES;
    let complete = ends.iter().filter(|end| **end == Some(whole)).count();
    println!("{complete} of {count} complete; {} failures", count - complete);
    complete == count && open == count
}

fn ratio(part: u64, whole: u64) -> f64 {
    f64::from(u32::try_from(part / 16).unwrap_or(u32::MAX)) * 16.0
        / f64::from(u32::try_from(whole.max(1)).unwrap_or(u32::MAX))
}
