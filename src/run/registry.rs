//! The runs that this process drives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::live::{LiveRun, Stop};
use crate::model::Run;

#[derive(Debug, Default)]
pub(crate) struct Registry {
    live: Mutex<HashMap<i64, Arc<LiveRun>>>,
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
        (entered, true)
    }

    pub(crate) fn leave(&self, run: i64) {
        self.lock().remove(&run);
    }

    pub(crate) fn all(&self) -> Vec<Arc<LiveRun>> {
        self.lock().values().cloned().collect()
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
