//! What an owner is asked before a run is stored, and how it refuses.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::model::{AssistantDefinition, Messageable};
use crate::store::session::Session;

/// A run that is about to be stored
/// ([`MessageHooks::ai_engine_before_run`](crate::MessageHooks::ai_engine_before_run)).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RunProposal<'a> {
    /// The thread or chat that it will belong to.
    pub messageable: Messageable,
    /// The assistant that is asked, if there is one.
    pub assistant_id: Option<i64>,
    /// As what it will be asked: the model, its provider, the tools, the limits of the run.
    pub definition: &'a AssistantDefinition,
    /// The text of the question.
    pub content: &'a str,
    /// Who asks, where that was said ([`RunRequest::author`](crate::RunRequest::author)).
    pub author: Option<&'a str>,
}

/// What [`ai_engine_before_run`](crate::MessageHooks::ai_engine_before_run) is called with: the engine, and the transaction in which the
/// run will be stored.
pub struct BeforeRun<'a> {
    /// The engine that asks.
    pub engine: &'a AiEngine,
    /// The transaction, on which the thread or chat is locked. What is written here is kept if the run is.
    pub session: &'a mut dyn Session,
    /// The owner has no word of its own.
    pub(crate) is_default: bool,
}

impl BeforeRun<'_> {
    /// The value of this type that was given to the builder's [`state`](crate::EngineBuilder::state).
    ///
    /// # Errors
    ///
    /// [`Error::NoState`] when it was given no value of this type.
    pub fn state<T: std::any::Any + Send + Sync>(&self) -> Result<&T> {
        self.engine.core.state()
    }
}

impl fmt::Debug for BeforeRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforeRun").field("engine", self.engine).finish_non_exhaustive()
    }
}

/// Why a run is not to be: [`Error::Refused`] with a reason, or an error that kept it from being looked into, which is returned as it
/// is.
#[derive(Debug)]
pub struct Refusal(Error);

impl Refusal {
    /// For this reason, in words for whoever asks.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(Error::Refused { reason: reason.into() })
    }

    pub(crate) fn into_error(self) -> Error {
        self.0
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<diesel::result::Error> for Refusal {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.into())
    }
}

/// Which types of owners have a word of their own, as far as it is known. Those that have none need not be loaded to be asked.
#[derive(Debug, Default)]
pub(crate) struct Words(Mutex<HashMap<String, bool>>);

impl Words {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn of(&self, kind: &str) -> Option<bool> {
        self.lock().get(kind).copied()
    }

    pub(crate) fn note(&self, kind: &str, has_word: bool) {
        self.lock().insert(kind.to_owned(), has_word);
    }
}
