//! Ending in good order, by a deadline.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::engine::AiEngine;
use crate::error::Result;

/// Of the time until the deadline, what is kept for storing the texts of runs that do not end: this part of it, at most so
/// much.
const LAST_WORDS: (u32, Duration) = (4, Duration::from_secs(2));
/// Shorter deadlines are taken for this one: texts have to be stored.
const SHORTEST: Duration = Duration::from_secs(1);

impl AiEngine {
    /// Ends the engine's work in good order: takes no new run ([`Error::ShuttingDown`](crate::Error::ShuttingDown)), lets
    /// those that it drives end, and gives up the rest shortly before the `deadline` (a quarter of it, at most 2 s): their
    /// texts are stored and their leases end at once, so that another process recovers them without waiting. Then the streams
    /// of [`Events`](crate::Events) end, so that a web server that waits for its answers to end can end as well.
    ///
    /// Returns by the deadline whatever waits: a database that is away, a hook that hangs, a lock of the host's. A deadline
    /// of less than one second is taken for one second.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the engine closed for new runs; those that it drives go on. Call it again.
    ///
    /// # Errors
    ///
    /// The database's, when the leases could not be ended: they end by themselves.
    pub async fn shutdown(&self, deadline: Duration) -> Result<()> {
        self.closing().send_replace(true);
        let deadline = deadline.max(SHORTEST);
        let end = Instant::now() + deadline;
        let give_up = end - (deadline / LAST_WORDS.0).min(LAST_WORDS.1);
        let ended = timeout_at(give_up, async {
            // Submits under way end first: their runs are driven, too.
            drop(self.submitting().write().await);
            self.registry().emptied().await;
        });
        if ended.await.is_err() {
            for live in self.registry().all() {
                live.release();
            }
            // Half of the rest is for the leases.
            let last_words = give_up + (end - give_up) / 2;
            if timeout_at(last_words, self.registry().emptied()).await.is_err() {
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
