//! The streams of events that are open in this process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::core::Core;

#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// In the order in which they were opened.
    since: BTreeMap<u64, Instant>,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are, and for how long the oldest.
    pub(crate) fn count(&self) -> (usize, Option<Duration>) {
        let open = self.lock();
        (open.since.len(), open.since.first_key_value().map(|(_, since)| since.elapsed()))
    }
}

/// One stream, until this is dropped.
#[derive(Debug)]
pub(super) struct Reading {
    core: Core,
    number: u64,
}

impl Reading {
    pub(super) fn new(core: &Core) -> Self {
        let mut open = core.hubs().readers.lock();
        let number = open.next;
        open.next += 1;
        open.since.insert(number, Instant::now());
        Self { core: core.clone(), number }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.core.hubs().readers.lock().since.remove(&self.number);
    }
}
