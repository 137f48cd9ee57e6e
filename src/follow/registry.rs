//! The runs that this process drives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::live::{LiveRun, Stop};
use crate::model::Run;

#[derive(Debug, Default)]
pub(crate) struct Registry {
    live: Mutex<HashMap<i64, Arc<LiveRun>>>,
    /// How many there are.
    count: watch::Sender<usize>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<LiveRun>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, run: i64) -> Option<Arc<LiveRun>> {
        self.lock().get(&run).cloned()
    }

    /// The live run, and whether it is new.
    pub(crate) fn enter(&self, run: Run) -> (Arc<LiveRun>, bool) {
        let mut live = self.lock();
        if let Some(found) = live.get(&run.id) {
            return (Arc::clone(found), false);
        }
        let entered = Arc::new(LiveRun::new(run));
        live.insert(entered.id, Arc::clone(&entered));
        self.count.send_replace(live.len());
        (entered, true)
    }

    pub(crate) fn leave(&self, run: i64) {
        let mut live = self.lock();
        live.remove(&run);
        self.count.send_replace(live.len());
    }

    pub(crate) fn all(&self) -> Vec<Arc<LiveRun>> {
        self.lock().values().cloned().collect()
    }

    /// Waits until this process drives nothing.
    pub(crate) async fn emptied(&self) {
        let mut count = self.count.subscribe();
        if count.wait_for(|count| *count == 0).await.is_err() {
            // The sender lives in `self`, which we borrow.
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn stop(&self, runs: &[i64], reason: Stop) {
        for run in runs {
            if let Some(live) = self.get(*run) {
                live.stop(reason);
            }
        }
    }
}
