//! What waits behind the run that a reader is delivered.

use tokio::sync::watch;

use super::hub::Hub;
use crate::model::Message;

/// The questions that wait, as far as one reader was told.
#[derive(Debug)]
pub(super) struct Queue {
    changes: watch::Receiver<()>,
    /// The ids of those it was told of last.
    told: Vec<i64>,
}

impl Queue {
    pub(super) fn of(hub: &Hub) -> Self {
        Self { changes: hub.changes(), told: Vec::new() }
    }

    /// What waits behind this turn, if that is not what the reader was told.
    fn look(&mut self, hub: &Hub, seq: i64) -> Option<Vec<Message>> {
        // Before the look: a change in the middle of it leads to another.
        self.changes.borrow_and_update();
        let waiting = hub.waiting(seq, &self.told)?;
        self.told = waiting.iter().map(|message| message.id).collect();
        Some(waiting)
    }

    /// As [`look`](Self::look), if the reader was told that anything waits.
    pub(super) fn look_again(&mut self, hub: &Hub, seq: i64) -> Option<Vec<Message>> {
        if self.told.is_empty() { None } else { self.look(hub, seq) }
    }

    /// As [`look`](Self::look), once there is something to tell. Dropping the future loses nothing.
    pub(super) async fn change(&mut self, hub: &Hub, seq: i64) -> Vec<Message> {
        loop {
            if let Some(waiting) = self.look(hub, seq) {
                return waiting;
            }
            if self.changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
