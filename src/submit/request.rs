use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::asked::{Asked, Busy, Who};
use super::enqueue;
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::follow::events::RunEvents;
use crate::model::{Answer, Content, Messageable, Recovery, Run};
use crate::store::refuse_within;
use crate::store::session::Session;

/// A question to an assistant or a model, and the ways to have it answered.
///
/// * `.await` submits it, waits for its end, and returns the [`Answer`];
/// * [`stream`](Self::stream) submits it and returns its events as a stream;
/// * [`submit`](Self::submit) stores it and returns at once; the engine drives it in the background;
/// * [`submit_in`](Self::submit_in) stores it in your transaction; the engine drives it after your commit.
///
/// # Cancellation
///
/// Dropping the future of any of these at any point leaves either nothing, or a submitted run that the engine
/// drives to its end.
///
/// # Panics
///
/// Awaited, streamed or submitted outside of a tokio runtime. [`submit_in`](Self::submit_in) needs none.
///
/// # Errors
///
/// [`Error::Invalid`] (content, idempotency key or definition), [`Error::NotFound`] (thread or assistant),
/// [`Error::NoLoader`], [`Error::Busy`], [`Error::Configuration`] (no provider), [`Error::ShuttingDown`]: nothing was
/// stored or sent.
/// Awaiting adds [`Error::RunFailed`]: the run ended without an answer. A run that ended with part of one is `Ok`,
/// and its status says so.
#[must_use = "a run request does nothing until it is awaited, streamed or submitted"]
#[derive(Debug)]
pub struct RunRequest {
    engine: AiEngine,
    asked: Asked,
}

impl RunRequest {
    pub(crate) fn new(engine: &AiEngine, who: Who, parent: Messageable, content: Content) -> Self {
        let asked = Asked { who, parent, content, key: None, busy: Busy::Reject, recovery: None };
        Self { engine: engine.clone(), asked }
    }

    /// Makes submitting safe to repeat: a second request with this key on the same thread or chat returns the run of the first,
    /// whatever else it asks, and stores nothing. A key has 1 to 255 characters, and no NUL.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.asked.key = Some(key.into());
        self
    }

    /// What to do when the thread or chat is busy; [`Busy::Reject`] unless set. Messages keep the order in which they were
    /// submitted.
    pub const fn when_busy(mut self, busy: Busy) -> Self {
        self.asked.busy = busy;
        self
    }

    /// What becomes of this run if its process dies; unless set, what the engine's
    /// [`recovery`](crate::EngineBuilder::recovery) says.
    pub const fn recovery(mut self, recovery: Recovery) -> Self {
        self.asked.recovery = Some(recovery);
        self
    }

    /// Stores the user's message and the run, and returns once both are committed; the engine drives the run.
    ///
    /// # Errors
    ///
    /// As listed at [`RunRequest`].
    pub async fn submit(self) -> Result<Run> {
        refuse_within()?;
        let core = self.engine.core.clone();
        let prepared = enqueue::prepare(&core, self.asked)?;
        // A task of its own: once it runs, a caller that goes away cannot come between the commit and the driving.
        let submitting =
            tokio::spawn(async move { enqueue::submit_and_drive(&core, prepared).await });
        submitting.await.map_err(|error| Error::Panicked(error.to_string()))?
    }

    /// Stores the user's message and the run in your transaction. The engine drives the run once it is committed;
    /// after a rollback nothing is left.
    ///
    /// The engine is not notified of your commit, so it looks for the run: after 5 ms, then less and less often, for 44 s in all.
    /// Started engines ([`AiEngine::start`]) look for waiting runs twice a second. So they also find a run of a longer transaction,
    /// or one that was stored outside of a tokio runtime.
    ///
    /// # Errors
    ///
    /// As listed at [`RunRequest`]. An error leaves your transaction usable.
    pub fn submit_in(self, conn: &mut dyn Session) -> Result<Run> {
        let core = self.engine.core.clone();
        let prepared = enqueue::prepare(&core, self.asked)?;
        let submitted = crate::store::session::transaction(conn, |session| {
            enqueue::submit(session, &core, &prepared)
        })?;
        if submitted.forgotten {
            core.remote_deletions_noted();
        }
        enqueue::drive_after_commit(&core, submitted.run.clone(), submitted.interrupted);
        Ok(submitted.run)
    }

    /// Submits, and returns what happens to the run as a stream. Dropping the stream leaves the run going.
    ///
    /// # Errors
    ///
    /// As listed at [`RunRequest`].
    pub async fn stream(self) -> Result<RunEvents> {
        let core = self.engine.core.clone();
        let run = self.submit().await?;
        Ok(RunEvents::of(&core, run))
    }
}

impl IntoFuture for RunRequest {
    type Output = Result<Answer>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let core = self.engine.core.clone();
            let run = self.submit().await?;
            core.answer(run.id).await
        })
    }
}
