//! When work that failed is done again: its connection was lost before it, another transaction was in its way.

use std::time::Duration;

use tokio::time::Instant;

use super::access::Access;
use super::job::Job;
use crate::error::{Error, Result};

/// How long a transaction of ours is tried for the sake of locks, in all.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How many lost connections one job may meet: those of a pool, all lost at a restart of the server.
const MOST_LOST: u32 = 64;
/// How often a transaction may be rolled back for the sake of others.
const MOST_CONFLICTS: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How often, and since when, a job was in vain.
#[derive(Debug, Default)]
pub(super) struct Again {
    lost: u32,
    conflicts: u32,
    since: Option<Instant>,
}

impl Again {
    /// Returns when the job is to be done again.
    ///
    /// # Errors
    ///
    /// That of the job, if another try would not help or must not be made.
    pub(super) async fn wait(&mut self, error: Error, access: Access, job: &mut Job) -> Result<()> {
        if !job.may_run() {
            return Err(error);
        }
        if error.lost_connection() {
            // Of a write that had begun nobody knows whether it was committed.
            if (access != Access::Read && job.has_begun()) || self.lost >= MOST_LOST {
                return Err(error);
            }
            self.lost += 1;
            return Ok(());
        }
        if error.is_lock_timeout() && access == Access::Write {
            let since = *self.since.get_or_insert_with(Instant::now);
            if since.elapsed() >= LONGEST_WAIT {
                return Err(error);
            }
            job.meet_a_lock();
            return Ok(());
        }
        if !error.is_conflict() || self.conflicts >= MOST_CONFLICTS {
            return Err(error);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.conflicts.min(8)).min(LONGEST_PAUSE);
        self.conflicts += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
