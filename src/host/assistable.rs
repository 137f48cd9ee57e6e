use std::future::Future;

use super::record::{Owner, Record};
use crate::drive::assistants as remote;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::{Assistant, AssistantDefinition, AssistantThread, Content, Messageable};
use crate::store::assistants;
use crate::store::session::{Session, transaction};
use crate::submit::asked::Who;
use crate::submit::request::RunRequest;

/// A host's record that is an AI assistant.
///
/// # Flow
///
/// The host says what the assistant is in [`ai_engine_assistant`](Self::ai_engine_assistant). Its row is created by
/// [`create_openai_assistant`](Self::create_openai_assistant), or by the first run; a changed definition is stored by
/// [`update_openai_assistant`](Self::update_openai_assistant), or by the next run. Each run keeps a snapshot of the
/// definition it was submitted with, which travels with each call.
///
/// Where the provider that the definition names keeps assistants itself ([`Protocol::Assistants`](crate::openai::Protocol::Assistants)),
/// one is made there and kept as this one is. What is to be done is noted with the definition, in the same transaction, and done after
/// its commit: by the awaited methods here, by the next run, or by any started engine. While the provider is away, it is tried again at
/// growing intervals, and runs go on with their own definition. Everywhere else nothing is made at the provider.
///
/// # Guarantees
///
/// * Methods with the suffix `_in` work inside the host's transaction, on its connection: both rows or neither.
/// * Deleting an assistant keeps the runs and messages it took part in, and deletes its
///   [versions](crate::Assistant::versions).
///
/// # Cancellation
///
/// Each method that writes makes one transaction, which dropping its future does not interrupt: it is made as a whole, or, when it
/// had not begun, not at all. What is to be done at the provider is done later then. [`ai_engine_run`](Self::ai_engine_run) is described at [`RunRequest`].
///
/// # Errors
///
/// [`Error::Invalid`](crate::Error::Invalid) when the definition is out of its limits: nothing is stored. Where the provider keeps
/// assistants, [`create_openai_assistant`](Self::create_openai_assistant) and
/// [`update_openai_assistant`](Self::update_openai_assistant) also fail as [`AiEngine::sync_assistant`] does: the definition is stored
/// by then, and the provider is asked again later.
pub trait Assistable: Record + Sized {
    /// What this record is as an assistant, now.
    fn ai_engine_assistant(&self) -> AssistantDefinition;

    /// The stored assistant, if there is one.
    fn assistant(
        &self,
        engine: &AiEngine,
    ) -> impl Future<Output = Result<Option<Assistant>>> + Send {
        let owner = Owner::of(self);
        async move {
            engine
                .core
                .store()
                .read(move |session| assistants::find(session, &owner.kind, &owner.id))
                .await
        }
    }

    /// Stores the definition: creates the assistant, or updates it if the definition changed.
    fn create_openai_assistant(
        &self,
        engine: &AiEngine,
    ) -> impl Future<Output = Result<Assistant>> + Send {
        let (owner, definition) = (Owner::of(self), self.ai_engine_assistant());
        async move {
            let keeps = remote::keeper(&engine.core, &definition).is_some();
            let saving = engine.core.store().write(Write::Assistant, move |session| {
                assistants::save(session, &owner.kind, &owner.id, &definition)
            });
            let saved = saving.await?;
            if keeps {
                return engine.sync_assistant(saved.id).await;
            }
            // The provider that it named before may have one.
            engine.core.work_outbox();
            Ok(saved)
        }
    }

    /// Stores the definition if it changed; creates a missing assistant.
    fn update_openai_assistant(
        &self,
        engine: &AiEngine,
    ) -> impl Future<Output = Result<Assistant>> + Send {
        self.create_openai_assistant(engine)
    }

    /// Deletes the assistant. Its runs and messages stay. Nothing happens when there is none. The provider's own one is deleted
    /// afterwards, and when that fails it is tried again.
    fn delete_openai_assistant(
        &self,
        engine: &AiEngine,
    ) -> impl Future<Output = Result<()>> + Send {
        let owner = Owner::of(self);
        async move {
            engine
                .core
                .store()
                .write(Write::AssistantDeletion, move |session| {
                    assistants::delete(session, &owner.kind, &owner.id).map(|_| ())
                })
                .await?;
            engine.core.work_outbox();
            Ok(())
        }
    }

    /// [`create_openai_assistant`](Self::create_openai_assistant) in your transaction.
    ///
    /// # Errors
    ///
    /// As there.
    fn create_openai_assistant_in(&self, conn: &mut dyn Session) -> Result<Assistant> {
        let definition = self.ai_engine_assistant();
        let owner = Owner::of(self);
        transaction(conn, |session| assistants::save(session, &owner.kind, &owner.id, &definition))
    }

    /// [`update_openai_assistant`](Self::update_openai_assistant) in your transaction.
    ///
    /// # Errors
    ///
    /// As there.
    fn update_openai_assistant_in(&self, conn: &mut dyn Session) -> Result<Assistant> {
        self.create_openai_assistant_in(conn)
    }

    /// [`delete_openai_assistant`](Self::delete_openai_assistant) in your transaction.
    ///
    /// # Errors
    ///
    /// As there.
    fn delete_openai_assistant_in(&self, conn: &mut dyn Session) -> Result<()> {
        let owner = Owner::of(self);
        transaction(conn, |session| assistants::delete(session, &owner.kind, &owner.id))?;
        Ok(())
    }

    /// Asks this assistant: the request does nothing until it is awaited, streamed or submitted.
    ///
    /// Submitting stores the definition if it changed, the user's message and the run, in one transaction. See
    /// [`RunRequest`].
    fn ai_engine_run(
        &self,
        engine: &AiEngine,
        thread: &AssistantThread,
        content: impl Into<Content>,
    ) -> RunRequest {
        let who = Who::Assistable(Owner::of(self), self.ai_engine_assistant());
        RunRequest::new(engine, who, Messageable::AssistantThread(thread.id), content.into())
    }
}
