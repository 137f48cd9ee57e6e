//! Transactions of the host's that hold rows of the engine's locked for some time, each on a connection of its own: a form
//! that is being saved, a report, a deletion that is thought better of. No row is changed by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::database::Conn;
use crate::random::Random;

const UNENDED: &str = "SELECT id FROM ai_engine_runs WHERE status IN ('queued', 'in_progress') ORDER BY random() LIMIT 1";

/// What is locked on PostgreSQL; SQLite's writers are alone.
const STATEMENTS: [&str; 9] = [
    "SELECT id FROM ai_engine_runs WHERE status = 'queued' ORDER BY random() LIMIT 1 FOR UPDATE",
    "SELECT id FROM ai_engine_runs WHERE status = 'in_progress' ORDER BY random() LIMIT 1 FOR UPDATE",
    "SELECT id FROM ai_engine_runs WHERE announced_at IS NULL FOR UPDATE SKIP LOCKED",
    "SELECT id FROM ai_engine_assistant_threads ORDER BY random() LIMIT 1 FOR UPDATE",
    "SELECT id FROM ai_engine_assistants FOR UPDATE",
    "UPDATE ai_engine_chats SET updated_at = updated_at WHERE id = (SELECT max(id) FROM ai_engine_chats)",
    "DELETE FROM ai_engine_assistants",
    "DELETE FROM ai_engine_runs WHERE id = (%)",
    "DELETE FROM ai_engine_assistant_threads WHERE id = (SELECT assistant_thread_id FROM ai_engine_runs WHERE id = (%))",
];

/// A thread that locks again and again, until this is dropped.
pub struct Locks {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Locks {
    #[allow(
        clippy::disallowed_methods,
        reason = "a thread of its own, which holds locks for some time"
    )]
    pub fn start(mut conn: Conn, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut random, mut held) = (Random(seed), 0);
            let postgres = conn.is_postgres();
            if postgres {
                conn.execute("SET lock_timeout = '2s'");
            }
            while !stopped.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(random.below(600)));
                let statement = random.pick(&STATEMENTS).copied().unwrap_or_default();
                let statement = statement.replace('%', UNENDED);
                let locked = if postgres {
                    conn.try_execute("BEGIN") && conn.try_execute(&statement)
                } else {
                    conn.try_execute("BEGIN IMMEDIATE")
                };
                if locked {
                    held += 1;
                    let most = if random.percent(20) { 600 } else { 60 };
                    std::thread::sleep(Duration::from_millis(random.below(most)));
                }
                conn.try_execute("ROLLBACK");
            }
            held
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; how many locks it held.
    pub fn end(&mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().map_or(0, |thread| thread.join().unwrap())
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.end();
    }
}
