//! The hooks of a run that waits for somebody are called beside that: whoever drives it next has them called to the end first, so that
//! they hear of everything, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::deliver::Heard;
use super::flight::Flight;
use super::persist::persist;
use super::steps::Driving;
use crate::engine::core::Core;
use crate::error::with_causes;
use crate::failpoint::Write;
use crate::model::RunStatus;
use crate::store::owed;
use crate::task::Guarded;

/// The runs that wait while this process still calls their hooks.
#[derive(Debug, Default)]
pub(crate) struct Hearings {
    runs: Mutex<HashMap<i64, Hearing>>,
    /// How many there are.
    count: watch::Sender<usize>,
}

#[derive(Debug)]
struct Hearing {
    /// Whether all of them were called.
    called: watch::Receiver<bool>,
    flight: Arc<Flight>,
}

impl Hearings {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Hearing>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being called here of the hooks of this run, although nobody drives it.
    pub(super) fn of(&self, run: i64) -> Option<watch::Receiver<bool>> {
        self.lock().get(&run).map(|hearing| hearing.called.clone())
    }

    /// Whether hooks of this run are being called here, although nobody drives it.
    pub(crate) fn any_of(&self, run: i64) -> bool {
        self.lock().contains_key(&run)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits until this process calls none.
    pub(crate) async fn emptied(&self) {
        let mut count = self.count.subscribe();
        if count.wait_for(|count| *count == 0).await.is_err() {
            // The sender lives in `self`, which we borrow.
            std::future::pending::<()>().await;
        }
    }

    /// Gives up those that are being called: whoever goes on with their runs calls them once more.
    pub(crate) fn release(&self) {
        for hearing in self.lock().values() {
            hearing.flight.release();
        }
    }

    fn begin(&self, flight: &Arc<Flight>) -> watch::Sender<bool> {
        let called = watch::Sender::new(false);
        let mut runs = self.lock();
        let hearing = Hearing { called: called.subscribe(), flight: Arc::clone(flight) };
        runs.insert(flight.id(), hearing);
        self.count.send_replace(runs.len());
        called
    }

    /// Another one of the same run may have begun since.
    fn end(&self, run: i64, called: &watch::Sender<bool>) {
        let mut runs = self.lock();
        if runs.get(&run).is_some_and(|known| known.called.same_channel(&called.subscribe())) {
            runs.remove(&run);
        }
        self.count.send_replace(runs.len());
    }
}

/// The hooks of one run that are being called: in whatever way that ends, also with the runtime, it is over then.
struct Calling {
    core: Core,
    run: i64,
    called: watch::Sender<bool>,
}

impl Drop for Calling {
    fn drop(&mut self) {
        self.core.registry().hearings.end(self.run, &self.called);
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
    let called = core.registry().hearings.begin(driving.flight());
    let calling = Calling { core: core.clone(), run, called };
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
            calling.called.send_replace(true);
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
        drop(calling);
        // It was cancelled meanwhile: its last hooks are behind these.
        if has_ended {
            core.announce_later(run);
        }
    });
}
