//! What the host is told of a run, as it happens.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

use super::before_run::{BeforeRun, Refusal, RunProposal};
use super::record::Record;
use crate::engine::AiEngine;
use crate::error::{HookResult, Result};
use crate::model::{Message, Run, ToolCall};

/// Hooks of an owner of threads or chats. All default to doing nothing.
///
/// # Flow
///
/// For each run the engine loads the owner once, through the loader given to the builder, and calls, in order:
///
/// 1. [`ai_engine_on_message_create`](Self::ai_engine_on_message_create) with the user's message,
/// 2. [`ai_engine_on_run_update`](Self::ai_engine_on_run_update) when the run is in progress,
/// 3. `ai_engine_on_message_create` with the model's message, still empty, once its row is stored,
/// 4. [`ai_engine_on_message_update`](Self::ai_engine_on_message_update) as text arrives,
/// 5. `ai_engine_on_message_update` with the settled message: final text, usage and status, all committed,
/// 6. `ai_engine_on_run_update` with the ended run.
///
/// For a run that is cancelled while it waits for its turn only the last step is called. After a crash another process delivers the
/// last two. It does not know which text the hooks have received, so each message comes as replaced
/// ([`HookContext::is_replaced`]).
///
/// # Guarantees
///
/// * One call at a time per run. While a hook is busy no calls pile up: its next call brings all text since the last one.
/// * The last two steps are delivered at least once, also across a crash (then by
///   any started engine, [`AiEngine::start`]). While no process dies they come once; after a crash the same update may come twice.
/// * A hook that fails or panics is logged and changes nothing. One that takes longer than the engine's hook
///   timeout (10 s unless set) is dropped at its next await point, and the run goes on.
///
/// # Cancellation
///
/// The engine drops a hook's future at the hook timeout, and when the run's thread or chat is destroyed: what follows the hook's
/// current await point is then not done. Work that must be done whatever happens belongs into a task of its own.
///
/// # What a hook may do
///
/// Whatever the engine offers. When the last two steps are called the thread is free, so they may start the next run on
/// it, and wait for its answer (within the hook timeout). A hook may cancel its own run: the call returns once the end is
/// stored. It may destroy its own thread: the run stops, and the hook with it, at its next await point.
///
/// # Caveats
///
/// A hook that waits for the answer of its own run waits for itself, since an answer is returned only when the run's hooks have
/// ended. Such a hook is dropped at the hook timeout.
///
/// A hook that blocks its thread blocks a thread of the runtime, as in all async code; use `tokio::task::spawn_blocking`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` owns threads or chats, so it needs `impl MessageHooks for {Self} {{}}`",
    note = "the hooks default to doing nothing"
)]
pub trait MessageHooks: Record {
    /// A run is about to be stored. An `Err` refuses it: nothing is stored, and whoever submits it gets [`Error::Refused`](crate::Error::Refused) with the
    /// reason. Every way to submit asks, in this process and in the transaction that stores the run, the host's own included; a request
    /// that is repeated ([`RunRequest::idempotency_key`](crate::RunRequest::idempotency_key)) does not ask again. With
    /// [`Busy::Interrupt`](crate::Busy::Interrupt) a request that takes another one's place (such as [`Run::retry`]) has cancelled what
    /// was in its way by then.
    ///
    /// It does not wait for anything but the database: the transaction holds a lock on the thread or chat, and on `SQLite` on all. What
    /// it looks up, it looks up through [`BeforeRun::session`]. It may be called more than once, when the transaction is repeated.
    ///
    /// A type that says nothing here costs nothing, but for its first submit in a process, which finds that out. For one that does, its
    /// loader ([`EngineBuilder::owner`](crate::EngineBuilder::owner)) is called with each submit, and where that fails, so does the
    /// submit; but while no owner of the type has been loaded for it in this process, the run goes on, as without its other hooks. An
    /// owner that was deleted refuses nothing.
    ///
    /// ```
    /// use ai_engine::{BeforeRun, MessageHooks, Money, OwnedUsage, Refusal, RunProposal};
    /// use chrono::{Duration, Utc};
    ///
    /// struct User { id: i32 }
    /// ai_engine::record! { User { id: i32 } as "User" }
    ///
    /// impl MessageHooks for User {
    ///     fn ai_engine_before_run(&self, _: &RunProposal<'_>, cx: &mut BeforeRun<'_>) -> Result<(), Refusal> {
    ///         let used = self.usage_in(cx.session, Utc::now() - Duration::days(30))?;
    ///         if used.total.known_cost >= Money::from_nanos(5_000_000_000) {
    ///             return Err(Refusal::new("You have used up what your plan has for this month."));
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Its own: what refuses the run.
    fn ai_engine_before_run(
        &self,
        request: &RunProposal<'_>,
        cx: &mut BeforeRun<'_>,
    ) -> Result<(), Refusal> {
        let _ = request;
        cx.is_default = true;
        Ok(())
    }

    /// A message was stored.
    fn ai_engine_on_message_create(
        &self,
        message: &Message,
        cx: &HookContext<'_>,
    ) -> impl Future<Output = HookResult> + Send {
        let _ = (message, cx);
        async { Ok(()) }
    }

    /// A message grew or settled. `message.content` is the whole text so far, [`HookContext::appended`] what was
    /// added since the last call.
    fn ai_engine_on_message_update(
        &self,
        message: &Message,
        cx: &HookContext<'_>,
    ) -> impl Future<Output = HookResult> + Send {
        let _ = (message, cx);
        async { Ok(()) }
    }

    /// A call of a tool was asked for, or changed: it waits for somebody, is carried out, has an output.
    fn ai_engine_on_tool_call(
        &self,
        call: &ToolCall,
        cx: &HookContext<'_>,
    ) -> impl Future<Output = HookResult> + Send {
        let _ = (call, cx);
        async { Ok(()) }
    }

    /// A run began or ended.
    fn ai_engine_on_run_update(
        &self,
        run: &Run,
        cx: &HookContext<'_>,
    ) -> impl Future<Output = HookResult> + Send {
        let _ = (run, cx);
        async { Ok(()) }
    }
}

/// What a hook is called with: what changed, the engine, and the host's own state.
#[non_exhaustive]
#[derive(Debug)]
pub struct HookContext<'a> {
    /// The engine that calls.
    pub engine: &'a AiEngine,
    pub(crate) run: Option<&'a Run>,
    pub(crate) change: Change<'a>,
}

/// How a message changed since the last call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    None,
    Appended(&'a str),
    Replaced,
}

impl<'a> HookContext<'a> {
    /// Text added since the last call; `message.content` already ends with it. Empty when nothing was added.
    #[must_use]
    pub const fn appended(&self) -> &'a str {
        match self.change {
            Change::Appended(text) => text,
            Change::None | Change::Replaced => "",
        }
    }

    /// Whether the text received so far is to be replaced by `message.content`: the pieces delivered are not the beginning of the
    /// final text, or it is not known which pieces were delivered.
    #[must_use]
    pub const fn is_replaced(&self) -> bool {
        matches!(self.change, Change::Replaced)
    }

    /// The run it happened in; `None` for a message the host stored itself.
    #[must_use]
    pub const fn run(&self) -> Option<&'a Run> {
        self.run
    }

    /// The value of this type that was given to the builder's [`state`](crate::EngineBuilder::state).
    ///
    /// # Errors
    ///
    /// [`Error::NoState`](crate::Error::NoState) when it was given no value of this type.
    pub fn state<T: std::any::Any + Send + Sync>(&self) -> Result<&'a T> {
        self.engine.core.state()
    }
}

/// The object-safe twin of [`MessageHooks`].
#[async_trait]
pub(crate) trait ErasedHooks: Send + Sync {
    fn before_run(&self, run: &RunProposal<'_>, cx: &mut BeforeRun<'_>) -> Result<(), Refusal>;
    async fn message_created(&self, message: &Message, cx: &HookContext<'_>) -> HookResult;
    async fn message_updated(&self, message: &Message, cx: &HookContext<'_>) -> HookResult;
    async fn tool_called(&self, call: &ToolCall, cx: &HookContext<'_>) -> HookResult;
    async fn run_updated(&self, run: &Run, cx: &HookContext<'_>) -> HookResult;
}

#[async_trait]
impl<T: MessageHooks> ErasedHooks for T {
    fn before_run(&self, run: &RunProposal<'_>, cx: &mut BeforeRun<'_>) -> Result<(), Refusal> {
        self.ai_engine_before_run(run, cx)
    }

    async fn message_created(&self, message: &Message, cx: &HookContext<'_>) -> HookResult {
        self.ai_engine_on_message_create(message, cx).await
    }

    async fn message_updated(&self, message: &Message, cx: &HookContext<'_>) -> HookResult {
        self.ai_engine_on_message_update(message, cx).await
    }

    async fn tool_called(&self, call: &ToolCall, cx: &HookContext<'_>) -> HookResult {
        self.ai_engine_on_tool_call(call, cx).await
    }

    async fn run_updated(&self, run: &Run, cx: &HookContext<'_>) -> HookResult {
        self.ai_engine_on_run_update(run, cx).await
    }
}

/// An owner loaded for its hooks.
pub(crate) type LoadedOwner = Arc<dyn ErasedHooks>;
