//! The runs that this process drives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::flight::{Flight, Stop};
use crate::model::Run;

#[derive(Debug, Default)]
pub(crate) struct Registry {
    flights: Mutex<HashMap<i64, Arc<Flight>>>,
    /// How many there are.
    count: watch::Sender<usize>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, run: i64) -> Option<Arc<Flight>> {
        self.lock().get(&run).cloned()
    }

    /// The flight, and whether it is new.
    pub(crate) fn enter(&self, run: Run) -> (Arc<Flight>, bool) {
        let mut flights = self.lock();
        if let Some(found) = flights.get(&run.id) {
            return (Arc::clone(found), false);
        }
        let entered = Arc::new(Flight::new(run));
        flights.insert(entered.id(), Arc::clone(&entered));
        self.count.send_replace(flights.len());
        (entered, true)
    }

    pub(crate) fn leave(&self, run: i64) {
        let mut flights = self.lock();
        flights.remove(&run);
        self.count.send_replace(flights.len());
    }

    pub(crate) fn all(&self) -> Vec<Arc<Flight>> {
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
            if let Some(flight) = self.get(*run) {
                flight.stop(reason);
            }
        }
    }
}
