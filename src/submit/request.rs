use std::future::{Future, IntoFuture};
use std::pin::Pin;

use schemars::JsonSchema;

use super::asked::{Asked, Busy, Who};
use super::changes::Changes;
use super::enqueue::{self, Then};
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::follow::events::RunEvents;
use crate::model::{Answer, AssistantDefinition, Content, Messageable, Money, Note, Recovery, Run};
use crate::store::refuse_within;
use crate::store::session::Session;

/// A question to an assistant or a model, and the ways to have it answered.
///
/// * `.await` submits it, waits for its end, and returns the [`Answer`];
/// * [`stream`](Self::stream) submits it and returns its events as a stream;
/// * [`submit`](Self::submit) stores it and returns at once; the engine drives it in the background;
/// * [`submit_in`](Self::submit_in) stores it in your transaction; the engine drives it after your commit;
/// * [`enqueue`](Self::enqueue) and [`enqueue_in`](Self::enqueue_in) store it for another process to drive.
///
/// # Cancellation
///
/// Dropping the future of any of these at any point leaves either nothing, or a stored run: a submitted one is driven to its end by
/// the engine, an enqueued one waits for whoever takes it up.
///
/// # Panics
///
/// Awaited, streamed or submitted outside of a tokio runtime. [`submit_in`](Self::submit_in) needs none.
///
/// # Errors
///
/// [`Error::Invalid`] (content, author, metadata, idempotency key, definition or trace context), [`Error::NotFound`] (thread or assistant),
/// [`Error::NoLoader`], [`Error::Busy`], [`Error::Refused`], [`Error::Configuration`] (no provider), [`Error::UnknownProvider`], [`Error::ShuttingDown`]: nothing was
/// stored or sent.
/// Awaiting adds [`Error::RunFailed`]: the run ended without an answer. A run that ended with part of one is `Ok`,
/// and its status says so.
#[must_use = "a run request does nothing until it is awaited, streamed, submitted or enqueued"]
#[derive(Debug)]
pub struct RunRequest {
    engine: AiEngine,
    asked: Asked,
}

impl RunRequest {
    pub(crate) fn new(engine: &AiEngine, who: Who, parent: Messageable, content: Content) -> Self {
        let asked = Asked {
            who,
            parent,
            content,
            note: Note::default(),
            changes: Changes::default(),
            key: None,
            busy: Busy::Reject,
            recovery: None,
            trace_context: None,
        };
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

    /// Further instructions, for this run alone: they stand behind those of the definition, after a blank line. A blank text adds
    /// nothing. Called again, it adds more.
    ///
    /// ```no_run
    /// # use ai_engine::{AiEngine, Answer, AssistantThread, prelude::*};
    /// # async fn ask(teller: impl Assistable, engine: &AiEngine, thread: &AssistantThread) -> ai_engine::Result<Answer> {
    /// teller.ai_engine_run(engine, thread, "Go on").instructions("The reader is seven years old.").await
    /// # }
    /// ```
    pub fn instructions(mut self, further: impl Into<String>) -> Self {
        self.asked.changes.add_instructions(further.into());
        self
    }

    /// Has this run answer in the form of a type ([`AssistantDefinition::output`]); [`Answer::parse`] reads it.
    ///
    /// ```no_run
    /// # use ai_engine::{AiEngine, AssistantThread, prelude::*, schemars::{self, JsonSchema}};
    /// # use serde::Deserialize;
    /// /// A dish.
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Recipe { title: String, minutes: u32 }
    /// # async fn cook(cook: impl Assistable, engine: &AiEngine, thread: &AssistantThread) -> ai_engine::Result<()> {
    /// let recipe: Recipe = cook.ai_engine_run(engine, thread, "Soup").output::<Recipe>().await?.parse()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn output<T: JsonSchema + 'static>(self) -> Self {
        self.definition(AssistantDefinition::output::<T>)
    }

    /// Another definition for this run alone, such as another model: the stored assistant stays as it is. `change` is given the
    /// assistant's definition as the changes before this one left it, [`instructions`](Self::instructions) included; what it returns
    /// is checked as any definition. It may be called more than once, also within the transaction that stores the run, so it should
    /// compute and do nothing else.
    ///
    /// ```no_run
    /// # use ai_engine::{AiEngine, Answer, AssistantThread, prelude::*};
    /// # async fn ask(teller: impl Assistable, engine: &AiEngine, thread: &AssistantThread) -> ai_engine::Result<Answer> {
    /// let request = teller.ai_engine_run(engine, thread, "Think hard");
    /// request.definition(|usual| usual.model("gpt-6-sol").temperature(0.2)).await
    /// # }
    /// ```
    pub fn definition(
        mut self,
        change: impl Fn(AssistantDefinition) -> AssistantDefinition + Send + Sync + 'static,
    ) -> Self {
        self.asked.changes.add(change);
        self
    }

    /// What this run may cost ([`AssistantDefinition::max_cost`]).
    pub fn max_cost(self, cost: Money) -> Self {
        self.definition(move |definition| definition.max_cost(cost))
    }

    /// Tokens that this run may take, all its calls together ([`AssistantDefinition::max_tokens`]).
    pub fn max_tokens(self, tokens: u32) -> Self {
        self.definition(move |definition| definition.max_tokens(tokens))
    }

    /// Another provider for this run alone, by its name in the engine ([`EngineBuilder::provider`](crate::EngineBuilder::provider)); the
    /// model stays, unless [`definition`](Self::definition) changes it. A name that the engine does not have is
    /// [`Error::UnknownProvider`](crate::Error::UnknownProvider) when it is to drive the run.
    ///
    /// ```no_run
    /// # use ai_engine::{AiEngine, Answer, Chat};
    /// # async fn ask(engine: &AiEngine, chat: &Chat) -> ai_engine::Result<Answer> {
    /// chat.run(engine, "llama-4", "Good morning").provider("local").await
    /// # }
    /// ```
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.asked.changes.add(move |definition| definition.provider(name.clone()));
        self
    }

    /// The W3C `traceparent` (`00-<trace id>-<span id>-<flags>`) of whoever asks. It is stored with the run, so that the span of the
    /// run belongs to that trace in whichever process drives it. Unless set, what the engine's
    /// [`trace_context`](crate::EngineBuilder::trace_context) says, if it has one.
    pub fn trace_context(mut self, traceparent: impl Into<String>) -> Self {
        self.asked.trace_context = Some(traceparent.into());
        self
    }

    /// Which of several people asks: 1 to 255 characters, without NUL. It is kept with the user's message; the model is not told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.asked.note.author = Some(author.into());
        self
    }

    /// What you note of the user's message: a JSON object of at most 16 KiB, without NUL. The model is not told.
    pub fn message_metadata(mut self, metadata: serde_json::Value) -> Self {
        self.asked.note.metadata = Some(metadata);
        self
    }

    /// Stores the user's message and the run, and returns once both are committed; the engine drives the run.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves either nothing, or a run that the engine drives to its end.
    ///
    /// # Errors
    ///
    /// As listed at [`RunRequest`].
    pub async fn submit(self) -> Result<Run> {
        self.store(Then::Drive).await
    }

    /// Stores the user's message and the run, and returns once both are committed. Nothing is driven for it here, so the engine needs
    /// no provider.
    ///
    /// The run is taken up by any engine that was started ([`AiEngine::start`]) with a provider, this one included; by whoever
    /// submits to the same thread or chat; or by a queue of your own, through [`AiEngine::drive`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves either nothing, or a queued run.
    ///
    /// # Errors
    ///
    /// As listed at [`RunRequest`], except for a provider that is missing or not known here.
    pub async fn enqueue(self) -> Result<Run> {
        self.store(Then::Leave).await
    }

    async fn store(self, then: Then) -> Result<Run> {
        refuse_within()?;
        let core = self.engine.core.clone();
        let prepared = enqueue::prepare(&core, self.asked, then)?;
        // A task of its own: once it runs, a caller that goes away cannot come between the commit and the driving.
        let storing = tokio::spawn(async move { enqueue::submit_in_ours(&core, prepared).await });
        storing.await.map_err(|error| Error::Panicked(error.to_string()))?
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
        self.store_in(conn, Then::Drive)
    }

    /// [`enqueue`](Self::enqueue) in your transaction: after your commit the run is there for whoever takes it up, after a rollback
    /// nothing is.
    ///
    /// # Errors
    ///
    /// As there. An error leaves your transaction usable.
    pub fn enqueue_in(self, conn: &mut dyn Session) -> Result<Run> {
        self.store_in(conn, Then::Leave)
    }

    fn store_in(self, conn: &mut dyn Session, then: Then) -> Result<Run> {
        let core = self.engine.core.clone();
        let prepared = enqueue::prepare(&core, self.asked, then)?;
        let submitted = crate::store::session::transaction(conn, |session| {
            enqueue::submit(session, &core, &prepared)
        })?;
        if submitted.forgotten {
            core.remote_deletions_noted();
        }
        let run = submitted.run.clone();
        enqueue::after_commit(&core, submitted, prepared);
        Ok(run)
    }

    /// Submits, and returns what happens to the run as a stream. Dropping the stream leaves the run going.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves either nothing, or a run that the engine drives to its end.
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
