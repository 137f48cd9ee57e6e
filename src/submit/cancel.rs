//! Cancelling: the text so far is kept.

use super::interrupt::{self, Cancelled};
use crate::drive::flight::Stop;
use crate::engine::AiEngine;
use crate::engine::core::Core;
use crate::error::Result;
use crate::failpoint::Write;
use crate::follow::events::RunEvents;
use crate::model::{Messageable, Page, Run};
use crate::store::{refuse_within, runs};
use crate::worker::lanes;

impl Run {
    /// Stops the run, keeping the text so far, and returns it as it then is.
    ///
    /// * A run that this process drives is returned once its end is stored: `cancelled`, or however it ended first.
    /// * A run that waits for its turn, or whose process has died, ends here. It is returned when its end is stored; its last hooks
    ///   are called in the background.
    /// * A run driven by another process is asked to stop, which that process notices in less than a second. It is returned as it is
    ///   now; [`AiEngine::answer`] waits for its end.
    ///
    /// It does not check who owns the run: for an id that a browser sent use [`OwnedRuns::cancel_run`](crate::OwnedRuns::cancel_run).
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the run asked to stop, or not.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when it was deleted, or the database's.
    pub async fn cancel(&self, engine: &AiEngine) -> Result<Self> {
        engine.cancel_run(self.id).await
    }

    /// The events of this run: first those that happened already, then each as it happens, until its end. It does
    /// not check who owns the run: get it from
    /// [`OwnedRuns::find_run`](crate::OwnedRuns::find_run).
    #[must_use]
    pub fn events(&self, engine: &AiEngine) -> RunEvents {
        RunEvents::of(&engine.core, self.clone())
    }
}

impl Core {
    pub(crate) async fn cancel(&self, run: i64) -> Result<Run> {
        refuse_within()?;
        self.keep_up();
        if let Some(flight) = self.registry().get(run) {
            flight.stop(Stop::Cancelled);
            let ended = flight.transcript.wait_for_update(|seen| {
                (seen.ended || seen.finished).then(|| seen.ended.then(|| seen.run.clone()))
            });
            if let Some(run) = ended.await {
                return Ok(run);
            }
        }
        let core = self.clone();
        let cancelled = self.store().write_as(Write::CancelRequest, move |session| {
            let ended = interrupt::cancel(session, &core, run)? == Cancelled::Ended;
            let write = if ended { Write::CancelWaiting } else { Write::CancelRequest };
            Ok((Some(write), (runs::require(session, run)?, ended)))
        });
        let (run, ended) = cancelled.await?;
        if ended {
            lanes::wake(self, run.messageable);
            self.announce_later(run.id);
        }
        Ok(run)
    }

    pub(crate) async fn cancel_active(&self, of: Messageable) -> Result<Option<Run>> {
        match self.store().read(move |session| runs::active(session, of)).await? {
            Some(run) => self.cancel(run).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn runs_of(&self, of: Messageable, page: Page) -> Result<Vec<Run>> {
        self.store().read(move |session| runs::page(session, of, page)).await
    }
}
