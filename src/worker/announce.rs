//! The last hooks of an ended run: delivered by one owner at a time, as a run is driven by one.
//!
//! Whoever ends a run owns its last hooks: the process that drives it, or the one that cancels it while it waits. The row
//! says who that is (`lease_owner`); when its lease has ended, another process may claim them. Within a process a run is
//! announced by one task at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::drive::deliver::deliver_end;
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::model::{Message, Run};
use crate::store::runs::{self, Locking};
use crate::store::{messages, workers};

/// Runs announced at once beside those that this process drives: hooks may hang for as long as they are allowed to.
const AT_ONCE: usize = 8;
/// Runs taken on at once, most of which wait for their turn. What is more is found by the next sweep.
const TAKEN_ON: usize = 64;

/// The runs whose last hooks this process delivers without having driven them.
#[derive(Debug)]
pub(crate) struct Announcements {
    runs: Mutex<HashSet<i64>>,
    turns: Arc<Semaphore>,
}

impl Default for Announcements {
    fn default() -> Self {
        Self { runs: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Announcements {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// A run in the set, until this is dropped.
struct Announcing {
    core: Core,
    run: i64,
}

impl Drop for Announcing {
    fn drop(&mut self) {
        let runs = &self.core.announcements().runs;
        runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

impl Core {
    /// `None`: a task of this process announces the run already, or drives it, or calls hooks from before it waited, or there are too
    /// many.
    fn take_on(&self, run: i64) -> Option<Announcing> {
        let registry = self.registry();
        let is_busy = registry.get(run).is_some() || registry.hearings.any_of(run);
        let mut runs = self.announcements().runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= TAKEN_ON || is_busy || !runs.insert(run) {
            return None;
        }
        Some(Announcing { core: self.clone(), run })
    }

    /// Delivers the last hooks of an ended run in the background. `false`: this process does so already, it failed a moment
    /// ago, or there is too much to do.
    pub(crate) fn announce_later(&self, run: i64) -> bool {
        let Some(runtime) = self.runtime().filter(|_| self.troubles().may_try(run)) else {
            return false;
        };
        let Some(taken) = self.take_on(run) else {
            return false;
        };
        let mut closing = self.closing().subscribe();
        runtime.spawn(async move {
            let core = taken.core.clone();
            // Shutdown leaves them to the next process.
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => {}
                () = announce(&core, taken) => {}
            }
        });
        true
    }
}

async fn announce(core: &Core, taken: Announcing) {
    let run = taken.run;
    let turns = Arc::clone(&core.announcements().turns);
    let Ok(_turn) = turns.acquire_owned().await else { return };
    core.lease().keep(core);
    match try_announce(core, run).await {
        Ok(true) => core.troubles().passed(run),
        // The owner could not be loaded, which was logged.
        Ok(false) => core.troubles().failed(run),
        Err(error) => {
            core.troubles().failed(run);
            let error = with_causes(&error);
            tracing::warn!(
                run,
                error,
                "the last hooks of a run could not be delivered; tried again later"
            );
        }
    }
}

/// `false`: they are still to be delivered.
async fn try_announce(core: &Core, id: i64) -> Result<bool> {
    let (worker, lease, asked) = (core.worker().to_owned(), core.options().lease, Instant::now());
    let claimed = core.store().write(Write::AnnounceClaim, move |session| {
        let claimed = runs::claim_announcement(session, id, &worker)?;
        let Locking::Got(row) = claimed else { return Ok(None) };
        workers::beat(session, &worker, lease)?;
        let said = messages::of_run(session, id)?;
        Ok(Some((Run::from(row), said)))
    });
    // Delivered, somebody else's, or locked by a transaction of the host: then the next sweep finds it.
    let Some((run, said)) = claimed.await? else { return Ok(true) };
    core.lease().extended(asked);
    let said = said.into_iter().filter(Message::is_assistant).collect();
    if !deliver_end(core, run, said).await {
        return Ok(false);
    }
    let noted =
        core.store().write(Write::AnnounceLate, move |session| runs::announced(session, id));
    noted.await?;
    Ok(true)
}
