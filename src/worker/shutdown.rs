//! Ending in good order, by a deadline.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::engine::core::Core;
use crate::error::Result;

/// Of the time until the deadline, what is kept for storing the texts of runs that do not end: this part of it, at most so
/// much.
const LAST_WORDS: (u32, Duration) = (4, Duration::from_secs(2));
/// Shorter deadlines are taken for this one: texts have to be stored.
const SHORTEST: Duration = Duration::from_secs(1);

impl Core {
    pub(crate) async fn shutdown(&self, deadline: Duration) -> Result<()> {
        let ended = self.end_work(deadline).await;
        self.over().send_replace(true);
        ended
    }

    async fn end_work(&self, deadline: Duration) -> Result<()> {
        self.closing().send_replace(true);
        let deadline = deadline.max(SHORTEST);
        let end = Instant::now() + deadline;
        let give_up = end - (deadline / LAST_WORDS.0).min(LAST_WORDS.1);
        let ended = timeout_at(give_up, async {
            // Submits under way end first: their runs are driven, too.
            drop(self.submitting().write().await);
            self.registry().emptied().await;
            self.registry().hearings.emptied().await;
        });
        if ended.await.is_err() {
            for flight in self.registry().all() {
                flight.release();
            }
            self.registry().hearings.release();
            // Half of the rest is for the leases.
            let last_words = give_up + (end - give_up) / 2;
            let over = async {
                self.registry().emptied().await;
                self.registry().hearings.emptied().await;
            };
            if timeout_at(last_words, over).await.is_err() {
                tracing::warn!(
                    "runs could not be given up in time; their leases end by themselves"
                );
                self.closed().send_replace(true);
                return Ok(());
            }
        }
        self.closed().send_replace(true);
        match timeout_at(end, self.lease().give_back(self)).await {
            Ok(given_back) => given_back,
            Err(_) => {
                tracing::warn!("the leases could not be ended in time; they end by themselves");
                Ok(())
            }
        }
    }
}
