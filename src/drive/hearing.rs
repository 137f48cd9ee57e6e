//! The hooks of a run that waits for somebody are called beside that: whoever drives it next has them called to the end first, so that
//! they hear of everything, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::deliver::Heard;
use super::persist::persist;
use super::steps::Driving;
use crate::engine::core::Core;
use crate::error::with_causes;
use crate::failpoint::Write;
use crate::model::RunStatus;
use crate::store::owed;
use crate::task::Guarded;

/// The runs that wait while this process still calls their hooks; each says when all were called.
#[derive(Debug, Default)]
pub(crate) struct Hearings(Mutex<HashMap<i64, watch::Receiver<bool>>>);

impl Hearings {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, watch::Receiver<bool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being called here of the hooks of this run, although nobody drives it.
    pub(super) fn of(&self, run: i64) -> Option<watch::Receiver<bool>> {
        self.lock().get(&run).cloned()
    }

    /// Whether hooks of this run are being called here, although nobody drives it.
    pub(crate) fn any_of(&self, run: i64) -> bool {
        self.lock().contains_key(&run)
    }

    fn begin(&self, run: i64) -> watch::Sender<bool> {
        let called = watch::Sender::new(false);
        self.lock().insert(run, called.subscribe());
        called
    }

    /// Another one of the same run may have begun since.
    fn end(&self, run: i64, called: &watch::Sender<bool>) {
        let mut all = self.lock();
        if all.get(&run).is_some_and(|known| known.same_channel(&called.subscribe())) {
            all.remove(&run);
        }
    }
}

/// What the hooks of a run are owed when it is taken up, of what is stored.
#[derive(Debug, Default)]
pub(super) enum Owed {
    #[default]
    Nothing,
    /// This process is calling them.
    Here(watch::Receiver<bool>),
    /// Nobody knows what they have heard: their process died, or is another one.
    Perhaps,
}

impl Owed {
    /// `by`: the process that had the run last, if it may owe them something. `here`: what this process was calling of them before it
    /// asked that.
    pub(super) fn of(core: &Core, by: Option<&str>, here: Option<watch::Receiver<bool>>) -> Self {
        match (by, here) {
            (None, _) => Self::Nothing,
            (Some(by), Some(here)) if by == core.worker() => Self::Here(here),
            (Some(_), _) => Self::Perhaps,
        }
    }

    /// Whether they have heard all of it, once nobody calls them any more.
    pub(super) async fn was_heard(self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Here(mut called) => called.wait_for(|called| *called).await.is_ok(),
            Self::Perhaps => false,
        }
    }
}

/// Has the hooks of a run that waits called, as far as there is something to tell, and notes it.
pub(super) fn hear_out(driving: Driving, mut hooks: Guarded<Heard>) {
    let (core, run) = (driving.core().clone(), driving.flight().id());
    // Before anybody else can drive it.
    let called = core.registry().hearings.begin(run);
    tokio::spawn(async move {
        let flight = Arc::clone(driving.flight());
        let claim = flight.log(|log| log.claim);
        // They end when nothing is left to tell.
        drop(driving);
        let heard = tokio::select! {
            heard = hooks.ended() => heard.ok(),
            () = flight.released() => None,
        };
        drop(hooks);
        let is_heard = matches!(heard, Some(Heard::SoFar | Heard::All));
        if is_heard {
            called.send_replace(true);
        }
        let (worker, mut has_ended) = (core.worker().to_owned(), false);
        if let (Some(claim), Some(_)) = (claim, heard) {
            let noted = persist(&core, Write::Heard, move |session| {
                owed::settle(session, claim, &worker, is_heard)
            });
            match noted.await {
                Ok(status) => has_ended = status.is_some_and(RunStatus::is_terminal),
                // Whoever goes on calls them once more.
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::warn!(run, error, "could not note that hooks were called");
                }
            }
        }
        core.registry().hearings.end(run, &called);
        // It was cancelled meanwhile: its last hooks are behind these.
        if has_ended {
            core.announce_later(run);
        }
    });
}
