//! What a tool is called with.

use std::any::Any;

use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::host::record::{Owner, Record};
use crate::model::{Run, ToolCall};

/// What a tool is called with: the engine, the host's own state, whose run it is, and which call.
///
/// A tool may do whatever the engine offers: read its thread, or ask another assistant on another thread and wait for its answer.
/// Runs that are started within a tool count as deeper by one; how deep they may go says
/// [`EngineBuilder::max_depth`](crate::EngineBuilder::max_depth). It must not wait for its own run.
#[derive(Debug)]
#[non_exhaustive]
pub struct ToolContext<'a> {
    /// The engine that calls.
    pub engine: &'a AiEngine,
    /// The run that called it.
    pub run: &'a Run,
    /// The call.
    pub call: &'a ToolCall,
    pub(crate) owner: &'a Owner,
}

impl<'a> ToolContext<'a> {
    /// The value of this type that was given to the builder's [`state`](crate::EngineBuilder::state).
    ///
    /// # Errors
    ///
    /// [`Error::NoState`] when it was given no value of this type.
    pub fn state<T: Any + Send + Sync>(&self) -> Result<&'a T> {
        self.engine.core.state()
    }

    /// The id of the record that owns the thread or chat, if that is a `T`; `None` for an owner of another type. Look here for what
    /// the user may do: the model decides which tool is called, and with which arguments.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerId`] with the stored text when it is no id of a `T`.
    pub fn owner_id<T: Record>(&self) -> Result<Option<T::Id>> {
        if self.owner.kind != T::TYPE {
            return Ok(None);
        }
        let (kind, id) = (&self.owner.kind, &self.owner.id);
        id.parse().map(Some).map_err(|_| Error::OwnerId { kind: kind.clone(), id: id.clone() })
    }

    /// The same for every attempt of this call, and for no other call: give it to what is not to be done twice, such as a payment.
    #[must_use]
    pub fn idempotency_key(&self) -> &'a str {
        &self.call.idempotency_key
    }
}
