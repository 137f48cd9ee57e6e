//! Calls of tools as a host decides on them.

use std::future::Future;

use serde_json::Value;

use super::hooks::MessageHooks;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::{Messageable, ToolCall};
use crate::store::session::Session;
use crate::store::threads::ConversationRow;
use crate::store::tool_calls;
use crate::submit::decide::{self, Decision};

/// The calls of tools of one owner's threads and chats ([`OwnedToolCalls::tool_calls`]), or of all ([`AiEngine::tool_calls`]): those
/// that wait for a decision, and the ways to decide.
///
/// A decision may come from any process that has the database, days later. The run goes on when nothing of it waits any more: in this
/// process, if it has a provider, or in a started one.
///
/// # Errors
///
/// Of each way to decide: [`Error::NotFound`](crate::Error::NotFound), also for another owner's call;
/// [`Error::Decided`](crate::Error::Decided) when it does not wait for that decision, or not any more;
/// [`Error::Invalid`](crate::Error::Invalid) for arguments, an output or words of a person that are out of their limits or hold a NUL
/// character, and for arguments of a tool of the provider's own; or the database's. Nothing is changed then.
///
/// # Cancellation
///
/// Dropping the future of a decision leaves it made, or not.
#[derive(Debug, Clone)]
pub struct ToolCalls {
    engine: AiEngine,
    owner: Option<Owner>,
}

impl ToolCalls {
    /// The calls that wait for somebody, in the order in which they were asked for.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn waiting(&self) -> Result<Vec<ToolCall>> {
        let owner = self.owner.clone();
        let waiting = move |session: &mut dyn Session| match &owner {
            Some(owner) => tool_calls::waiting_of_owner(session, &owner.kind, &owner.id),
            None => tool_calls::waiting(session),
        };
        self.engine.core.store().read(waiting).await
    }

    /// Lets a call be carried out.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves it decided, or not.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn approve(&self, call: i64) -> Result<ToolCall> {
        self.decide_one(call, Decision::approve()).await
    }

    /// Lets a call be carried out with other arguments ([`Decision::approve_with`]).
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves it decided, or not.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn approve_with(&self, call: i64, arguments: impl Into<Value>) -> Result<ToolCall> {
        self.decide_one(call, Decision::approve_with(arguments)).await
    }

    /// Refuses a call. The model is told the reason.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves it decided, or not.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn reject(&self, call: i64, reason: impl Into<String>) -> Result<ToolCall> {
        self.decide_one(call, Decision::reject(reason)).await
    }

    /// Tells the model what came of a call that you carry out yourself: of a function for which the engine has no tool.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves it told, or not.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn submit_output(&self, call: i64, output: impl Into<Value>) -> Result<ToolCall> {
        self.decide_one(call, Decision::output(output)).await
    }

    async fn decide_one(&self, call: i64, decision: Decision) -> Result<ToolCall> {
        Ok(self.decide([(call, decision)]).await?.remove(0))
    }

    /// Decides on several at once: all of them, or none.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves all decided, or none.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn decide(
        &self,
        decisions: impl IntoIterator<Item = (i64, Decision)> + Send,
    ) -> Result<Vec<ToolCall>> {
        let decisions: Vec<(i64, Decision)> = decisions.into_iter().collect();
        decide::decide(&self.engine.core, self.owner.clone(), decisions).await
    }

    /// Decides in your transaction. The runs go on after your commit.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub fn decide_in(
        &self,
        conn: &mut dyn Session,
        decisions: impl IntoIterator<Item = (i64, Decision)>,
    ) -> Result<Vec<ToolCall>> {
        let decisions: Vec<(i64, Decision)> = decisions.into_iter().collect();
        let core = &self.engine.core;
        let decided = decide::decide_in(conn, core, self.owner.as_ref(), &decisions)?;
        decided.tell_later(core);
        Ok(decided.calls)
    }
}

impl AiEngine {
    /// The calls of tools of all threads and chats. It does not check whose they are: for an id that a browser sent use
    /// [`OwnedToolCalls::tool_calls`].
    #[must_use]
    pub fn tool_calls(&self) -> ToolCalls {
        ToolCalls { engine: self.clone(), owner: None }
    }

    /// Lets a call of a tool be carried out, as [`ToolCalls::approve`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves it decided, or not.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn approve(&self, call: i64) -> Result<ToolCall> {
        self.tool_calls().approve(call).await
    }

    /// Refuses a call of a tool, as [`ToolCalls::reject`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves it decided, or not.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn reject(&self, call: i64, reason: impl Into<String>) -> Result<ToolCall> {
        self.tool_calls().reject(call, reason).await
    }

    /// Tells the model what came of a call that you carry out yourself, as [`ToolCalls::submit_output`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves it told, or not.
    ///
    /// # Errors
    ///
    /// As listed at [`ToolCalls`].
    pub async fn submit_output(&self, call: i64, output: impl Into<Value>) -> Result<ToolCall> {
        self.tool_calls().submit_output(call, output).await
    }

    pub(crate) async fn waiting_calls_of(&self, of: Messageable) -> Result<Vec<ToolCall>> {
        self.core.store().read(move |session| tool_calls::waiting_of(session, of)).await
    }
}

/// The calls of tools of an owner of threads or chats: for web handlers that are given an id by a browser.
///
/// Implemented for every owner.
pub trait OwnedToolCalls: MessageHooks {
    /// Those of this owner's threads and chats.
    fn tool_calls(&self, engine: &AiEngine) -> ToolCalls;
}

impl<T: MessageHooks> OwnedToolCalls for T {
    fn tool_calls(&self, engine: &AiEngine) -> ToolCalls {
        ToolCalls { engine: engine.clone(), owner: Some(Owner::of(self)) }
    }
}

macro_rules! pending {
    ($type:ty) => {
        impl $type {
            /// The calls of tools here that wait for somebody, in the order in which they were asked for.
            ///
            /// # Cancellation
            ///
            /// It only reads: dropping the future changes nothing.
            ///
            /// # Errors
            ///
            /// The database's.
            pub fn pending(
                &self,
                engine: &AiEngine,
            ) -> impl Future<Output = Result<Vec<ToolCall>>> + Send + 'static {
                let (engine, of) = (engine.clone(), ConversationRow::messageable(self));
                async move { engine.waiting_calls_of(of).await }
            }
        }
    };
}
pending!(crate::model::AssistantThread);
pending!(crate::model::Chat);
