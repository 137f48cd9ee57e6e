//! What goes on in this process and in the database.

use std::time::Duration;

use super::AiEngine;
use crate::error::Result;
use crate::model::{Backlog, ProcessStats, Stats};
use crate::store::stats;

impl AiEngine {
    /// What goes on: how many runs are driven, wait, or are not told of yet, how old the oldest of each is, and whether text is
    /// stored as it comes. It costs one statement, which looks at no ended run that was told of; ask every few seconds.
    /// `examples/metrics.rs` shows it in the form of Prometheus.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn stats(&self) -> Result<Stats> {
        let database = self.core.store().read(stats::look).await?;
        let runs = self.core.registry().measure();
        let (readers, oldest) = self.core.hubs().readers.count();
        let process = ProcessStats {
            driving: Backlog::new(whole(runs.driving), runs.oldest.map(ms)),
            readers: Backlog::new(whole(readers), oldest.map(ms)),
            unstored_bytes: whole(runs.unstored),
            flush_lag_ms: runs.lag.map(ms),
        };
        Ok(Stats { process, database })
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
