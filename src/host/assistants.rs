//! From a run or a thread to the assistant it asked, and to the host's record; and what an assistant was.

use super::record::Record;
use crate::drive::assistants as remote;
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::model::{Assistant, AssistantDefinition, AssistantThread, AssistantVersion, Page, Run};
use crate::store::{assistants, refuse_within, versions};

impl Run {
    /// The id of the record that was asked, if it is a `T`. It stays known when the assistant is deleted.
    ///
    /// `None` where a bare model was asked or a record of another type, and for a run that a release before this method stored.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerId`] with the stored text when it is no id of a `T`.
    pub fn assistable_id<T: Record>(&self) -> Result<Option<T::Id>> {
        match self.submission.as_ref().and_then(|known| known.assistable.as_ref()) {
            Some((kind, id)) => id_of::<T>(kind, id),
            None => Ok(None),
        }
    }
}

impl AiEngine {
    /// The assistant with this id, such as a run's `assistant_id`; `None` when there is none (any more).
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn assistant(&self, id: i64) -> Result<Option<Assistant>> {
        self.core.store().read(move |session| assistants::find_by_id(session, id)).await
    }

    /// Has the provider's own assistant made as the stored one is, and returns when it is: for after the commit of a transaction of
    /// yours with a method such as
    /// [`create_openai_assistant_in`](crate::Assistable::create_openai_assistant_in). A started engine does it by itself soon, so you
    /// need this only to wait for it. Nothing happens when it is in step already.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the waiting. A request that was begun is seen to its end.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when the provider that the definition names keeps no assistants. [`Error::Provider`] when it refused or
    /// is away and [`Error::AssistantNotInStep`] when it is not done in time (45 s): it is tried again later. [`Error::NotFound`] when
    /// there is no such assistant, [`Error::UnknownProvider`] and [`Error::Configuration`] when the engine does not have its provider,
    /// or the database's.
    pub async fn sync_assistant(&self, id: i64) -> Result<Assistant> {
        refuse_within()?;
        remote::bring_in_step(&self.core, id).await?;
        self.assistant(id).await?.ok_or_else(|| Error::not_found("assistant", id))
    }
}

impl AssistantThread {
    /// The assistant that was asked last: that of the newest turn on the current path that asked one which is still there.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn last_assistant(&self, engine: &AiEngine) -> Result<Option<Assistant>> {
        let id = self.id;
        engine.core.store().read(move |session| assistants::last_of(session, id)).await
    }
}

impl Assistant {
    /// The id of the record that it is, if that is a `T`; `None` for a record of another type.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerId`] with the stored text when it is no id of a `T`.
    pub fn record_id<T: Record>(&self) -> Result<Option<T::Id>> {
        id_of::<T>(&self.assistable_type, &self.assistable_id)
    }

    /// A page of the definitions that it was stored with, newest first; `page.before` is the number of a version.
    ///
    /// A version that a release before this method replaced is missing.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the assistant was deleted, or the database's.
    pub async fn versions(&self, engine: &AiEngine, page: Page) -> Result<Vec<AssistantVersion>> {
        let id = self.id;
        engine.core.store().read(move |session| versions::page(session, id, page)).await
    }

    /// The definition of an earlier version, for your record to be set to.
    ///
    /// It stores nothing: what the assistant is, your record says, and a definition stored here alone would be replaced by the next
    /// run. So set your record to it and save that; the next run, or
    /// [`update_openai_assistant`](crate::Assistable::update_openai_assistant), stores it as a version of its own.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such version, [`Error::Invalid`] when it cannot be read
    /// ([`Assistant::definition`]), or the database's.
    pub async fn restore(&self, engine: &AiEngine, version: i64) -> Result<AssistantDefinition> {
        let id = self.id;
        let find = engine.core.store().read(move |session| versions::find(session, id, version));
        find.await?.definition()
    }
}

/// The id of a `T` from its stored form; `None`: it is a record of another type.
fn id_of<T: Record>(kind: &str, id: &str) -> Result<Option<T::Id>> {
    if kind != T::TYPE {
        return Ok(None);
    }
    let parsed = id.parse().map(Some);
    parsed.map_err(|_| Error::OwnerId { kind: kind.to_owned(), id: id.to_owned() })
}
