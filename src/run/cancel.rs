//! Cancelling: the text so far is kept.

use super::events::RunEvents;
use super::live::Stop;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::{Messageable, Page, Run, RunStatus, Usage};
use crate::store::runs::{self, End};

impl Run {
    /// Stops the run, keeping the text so far, and returns it as it then is: `cancelled`, or however it ended first. A
    /// run driven by another process is asked to stop and returned as it is.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when it was deleted, or the database's.
    pub async fn cancel(&self, engine: &AiEngine) -> Result<Self> {
        engine.cancel(self.id).await
    }

    /// What happened in this run and what happens, until its end.
    #[must_use]
    pub fn events(&self, engine: &AiEngine) -> RunEvents {
        RunEvents::of(engine, self.clone())
    }
}

impl AiEngine {
    /// Stops a run; see [`Run::cancel`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn cancel(&self, run: i64) -> Result<Run> {
        if let Some(live) = self.registry().get(run) {
            live.stop(Stop::Cancelled);
            let ended = live.wait(|state| {
                (state.ended || state.finished).then(|| state.ended.then(|| state.run.clone()))
            });
            if let Some(run) = ended.await {
                return Ok(run);
            }
        }
        let cancelled = self.store().write(move |session| {
            let row = runs::lock(session, run)?;
            if row.is_some_and(|row| row.status == RunStatus::Queued) {
                // Nobody drives it, so nobody else can end it.
                let end = End { status: RunStatus::Cancelled, reason: None, error: None };
                let ended = runs::end(session, run, &end, Usage::default())?;
                return Ok((runs::require(session, run)?, ended.is_some()));
            }
            runs::request_cancel(session, run)?;
            Ok((runs::require(session, run)?, false))
        });
        let (run, ended) = cancelled.await?;
        if ended {
            self.announce(run.clone()).await?;
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
