//! How long a run waits, in all its steps together, for what another process is making.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// Longest time in all.
const RUN_WAITS: Duration = Duration::from_secs(10);

/// What is left of that time.
#[derive(Debug)]
pub(super) struct Patience(Mutex<Duration>);

impl Default for Patience {
    fn default() -> Self {
        Self(Mutex::new(RUN_WAITS))
    }
}

impl Patience {
    fn change<T>(&self, change: impl FnOnce(&mut Duration) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `None`: it took longer than what was left.
    pub(super) async fn wait_for<T>(&self, made: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let made = timeout(self.change(|left| *left), made).await.ok();
        self.change(|left| *left = left.saturating_sub(began.elapsed()));
        made
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    /// Each step of a run may have to wait for the same thing, which a killed process has to itself until its claim ends.
    #[tokio::test(start_paused = true)]
    async fn the_steps_of_a_run_wait_no_longer_together_than_one() {
        let (patience, began) = (Patience::default(), Instant::now());
        assert_eq!(patience.wait_for(sleep(RUN_WAITS / 3)).await, Some(()));
        for _ in 0..3 {
            assert_eq!(patience.wait_for(pending::<()>()).await, None);
        }
        assert_eq!(began.elapsed().as_secs(), RUN_WAITS.as_secs());
        // What is there is still taken.
        assert_eq!(patience.wait_for(ready(1)).await, Some(1));
    }
}
