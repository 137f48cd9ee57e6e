//! The runs that this process drives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::flight::{Flight, Stop};
use super::hearing::Hearings;
use crate::model::Run;

/// What is going on in the runs that this process drives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    pub(crate) driving: usize,
    pub(crate) oldest: Option<Duration>,
    pub(crate) unstored: usize,
    pub(crate) lag: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    flights: Mutex<HashMap<i64, Arc<Flight>>>,
    /// Of runs that it drove, and that wait.
    pub(crate) hearings: Hearings,
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

    /// How many there are, and for how long the oldest; bytes of text that are not stored, and how old they may be.
    pub(crate) fn measure(&self) -> Measured {
        let mut measured = Measured::default();
        for flight in self.all() {
            let (since, bytes, lag) = flight.log(|log| {
                let (ended, bytes) =
                    flight.transcript.look(|seen| (seen.ended, log.unflushed(seen)));
                let since = log.claimed_at.filter(|_| !ended);
                (since, bytes, log.stored_up_to.or(since))
            });
            // The others wait for their turn, for who has them locked, or for their last hooks.
            let Some(since) = since else { continue };
            measured.driving += 1;
            measured.oldest = measured.oldest.max(Some(since.elapsed()));
            if bytes > 0 {
                measured.unstored += bytes;
                measured.lag = measured.lag.max(lag.map(|lag| lag.elapsed()));
            }
        }
        measured
    }

    pub(crate) fn stop(&self, runs: &[i64], reason: Stop) {
        for run in runs {
            if let Some(flight) = self.get(*run) {
                flight.stop(reason);
            }
        }
    }
}
