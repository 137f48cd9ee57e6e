//! A hundred answers at once in one process on SQLite.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ai_engine::SqliteDatabase;
use futures_util::future::join_all;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::statements::Statements;
use crate::support::{Host, sqlite, story};
use crate::times;
use crate::written::{SqliteLog, Written};

const RUNS: usize = 100;
const DELTAS: u32 = 1000;
const FLUSHES_PER_SECOND: f64 = 5.0;

/// Runs them; whether all completed.
pub async fn answer() -> bool {
    println!("\nSQLite: {RUNS} answers of {DELTAS} deltas at once, as fast as they come");
    let fast = crowd(story(DELTAS)).await;
    println!("\nSQLite: the same at 200 deltas a second each");
    let paced = crowd(story(DELTAS).pace(std::time::Duration::from_millis(5))).await;
    fast & paced
}

async fn crowd(reply: ai_engine::testing::Reply) -> bool {
    let (_folder, path) = sqlite();
    let host = Host::new(SqliteDatabase::open(&path).unwrap()).await;
    host.fake.reply_always(reply);
    let mut threads = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        threads.push(host.thread().await);
    }
    let mut log = SqliteLog::of(&path);
    // Linux: the peak from here on, where it may be set back.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let memory = memory("VmRSS");
    let before = (log.bytes(), Statements::so_far());
    let start = Instant::now();
    let answers = join_all(threads.iter().map(|thread| host.ask(thread))).await;
    let seconds = start.elapsed().as_secs_f64();
    let (written, made) = (log.bytes() - before.0, Statements::since(&before.1));
    let peak = self::memory("VmHWM");

    let whole = 5 * usize::try_from(DELTAS).unwrap();
    let mut complete = 0;
    for answer in answers {
        match answer {
            Ok(answer) if answer.text().len() == whole => complete += 1,
            Ok(answer) => println!("run {} is {}", answer.run.id, answer.run.status),
            Err(error) => println!("{error}"),
        }
    }
    let text = u64::try_from(RUNS * whole).unwrap();
    let of = |kind| made.transactions().get(kind).copied().unwrap_or(0);
    let per_second = |count: u64| f64::from(u32::try_from(count).unwrap()) / seconds;
    println!(
        "{complete} of {RUNS} complete in {seconds:.2} s; {text} bytes of text, {written} written ({} × text)",
        times(written, text)
    );
    println!(
        "streaming transactions: {} flushes ({:.1}/s), {} that made first rows ({:.1}/s); all: {}",
        of("flush"),
        per_second(of("flush")),
        of("first row"),
        per_second(of("first row")),
        made.transactions().values().sum::<u64>()
    );
    println!("resident memory: {memory} before, {peak} at most");
    println!("SQLite: {RUNS} at once: {made}");
    let rarely = per_second(of("flush")) <= FLUSHES_PER_SECOND;
    println!(
        "at most {FLUSHES_PER_SECOND} flushes a second, whatever the number of runs: {}",
        if rarely { "met" } else { "MISSED" }
    );
    complete == RUNS && rarely
}

/// A line of `/proc/self/status`, where there is one.
fn memory(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim_start_matches(':').trim().to_owned())
}

/// How many warnings and errors were logged: a database that was locked and tried again would be one.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<AtomicU64>);

pub fn count_warnings() -> Warnings {
    let warnings = Warnings::default();
    tracing::subscriber::set_global_default(warnings.clone()).unwrap();
    warnings
}

impl Warnings {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        println!("{}: {event:?}", event.metadata().level());
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
