//! What failed a moment ago is left alone for a while: one run that cannot be settled or announced must neither fill the
//! log nor take the time of the others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Messageable;

/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// Most failures remembered. What is forgotten is tried sooner.
const REMEMBERED: usize = 10_000;

/// What may fail again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// Ending or announcing a run.
    Run(i64),
    /// Looking for a run to drive.
    Conversation(Messageable),
}

impl From<i64> for Subject {
    fn from(run: i64) -> Self {
        Self::Run(run)
    }
}

impl From<Messageable> for Subject {
    fn from(of: Messageable) -> Self {
        Self::Conversation(of)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Troubles {
    known: Mutex<HashMap<Subject, (u32, Instant)>>,
}

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, (u32, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may be tried now.
    pub(crate) fn may_try(&self, subject: impl Into<Subject>) -> bool {
        self.lock().get(&subject.into()).is_none_or(|(_, next)| *next <= Instant::now())
    }

    pub(crate) fn failed(&self, subject: impl Into<Subject>) {
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            let now = Instant::now();
            known.retain(|_, (_, next)| *next > now);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        let now = Instant::now();
        let (failures, next) = known.entry(subject.into()).or_insert((0, now));
        *next = now + FIRST_WAIT.saturating_mul(1 << (*failures).min(16)).min(LONGEST_WAIT);
        *failures += 1;
    }

    pub(crate) fn passed(&self, subject: impl Into<Subject>) {
        self.lock().remove(&subject.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_subject_is_left_alone_for_twice_as_long_each_time() {
        let troubles = Troubles::default();
        assert!(troubles.may_try(1));
        for wait in [1, 2, 4, 8] {
            troubles.failed(1);
            tokio::time::advance(Duration::from_millis(wait * 1_000 - 1)).await;
            assert!(!troubles.may_try(1), "{wait}");
            assert!(troubles.may_try(2));
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(troubles.may_try(1), "{wait}");
        }
        for _ in 0..100 {
            troubles.failed(1);
        }
        tokio::time::advance(LONGEST_WAIT).await;
        assert!(troubles.may_try(1));
        troubles.failed(1);
        troubles.passed(1);
        assert!(troubles.may_try(1));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let troubles = Troubles::default();
        for run in 0..25_000 {
            troubles.failed(run);
        }
        assert!(troubles.lock().len() <= REMEMBERED);
    }
}
