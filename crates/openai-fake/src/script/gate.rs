//! Doors that a reply waits at until a test opens them.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds a reply at a chosen event, so that a test can look around in the meantime.
///
/// Clones are the same gate. Once open it stays open; every reply that waits there goes on. Use
/// one gate for each stop of a test that steps through an answer.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    open: watch::Sender<bool>,
    arrivals: watch::Sender<usize>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        let open = watch::Sender::new(false);
        let arrivals = watch::Sender::new(0);
        Self { inner: Arc::new(Inner { open, arrivals }) }
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.inner.open.send_replace(true);
    }

    /// Resolves once a reply has come to the gate. All earlier events of that reply have then
    /// been handed to the operating system.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Resolves once `count` replies have come to the gate.
    pub async fn reached_by(&self, count: usize) {
        let mut arrivals = self.inner.arrivals.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = arrivals.wait_for(|n| *n >= count).await;
    }

    /// Called by the server: report the arrival, then wait.
    pub(crate) async fn pass(&self) {
        self.inner.arrivals.send_modify(|n| *n += 1);
        let mut open = self.inner.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}

/// A gate that stands behind words of a reply, and is known by them.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// The words, as the test gave them.
    pub(crate) text: String,
    /// How much of the reply's text is sent before it, in bytes.
    pub(crate) at: usize,
    pub(crate) gate: Gate,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
