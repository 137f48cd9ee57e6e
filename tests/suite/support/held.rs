//! Locks that a host holds.

use std::sync::mpsc;

use ai_engine::Run;

use super::{Postgres, TestDatabase};

/// A transaction of the host's that has locked what a statement returns, until this is dropped.
pub struct Held {
    release: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Held {
    pub fn new(db: &Postgres, sql: String) -> Self {
        let (release, wait) = mpsc::channel();
        let (ready, begun) = mpsc::channel();
        let db = db.clone();
        let thread = std::thread::spawn(move || {
            db.with(|conn| {
                conn.transaction(&mut |conn| {
                    conn.execute(&sql);
                    ready.send(()).unwrap();
                    let _ = wait.recv();
                    Ok(())
                })
            })
            .unwrap();
        });
        begun.recv().unwrap();
        Self { release: Some(release), thread: Some(thread) }
    }

    pub fn runs(db: &Postgres, runs: &[Run]) -> Self {
        let ids: Vec<String> = runs.iter().map(|run| run.id.to_string()).collect();
        let ids = ids.join(", ");
        Self::new(db, format!("SELECT id FROM ai_engine_runs WHERE id IN ({ids}) FOR UPDATE"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release.take();
        self.thread.take().unwrap().join().unwrap();
    }
}
