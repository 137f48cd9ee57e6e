use super::hooks::MessageHooks;
use super::messages::Messages;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::follow::events::Events;
use crate::model::{Assistant, AssistantThread, Content, Messageable, Page, Run};
use crate::store::refuse_within;
use crate::store::session::{Session, transaction};
use crate::store::threads::threads;
use crate::submit::request::{RunRequest, Who};

/// A host's record that talks to assistants: `impl Threadable for User {}`.
pub trait Threadable: MessageHooks {
    /// The threads of this record.
    fn assistant_threads<'e>(&self, engine: &'e AiEngine) -> AssistantThreads<'e>
    where
        Self: Sized,
    {
        AssistantThreads { engine, owner: Owner::of(self) }
    }
}

/// The threads of one owner. No method returns or touches another owner's thread.
#[derive(Debug)]
pub struct AssistantThreads<'e> {
    engine: &'e AiEngine,
    owner: Owner,
}

impl AssistantThreads<'_> {
    /// Creates a thread and, with [`History::Conversation`](crate::History::Conversation), a conversation at the provider. If the
    /// provider cannot be reached the thread is created all the same, and its first run creates the conversation. A provider that
    /// does not answer is waited for as long as the client's timeouts allow; [`create_in`](Self::create_in) does not call it.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the thread there, or not. A conversation that was being created at that moment may stay at the
    /// provider; it is empty, and nothing here knows its id.
    ///
    /// # Errors
    ///
    /// [`Error::NoLoader`](crate::Error::NoLoader) when the engine cannot load this type of owner, or the database's.
    pub async fn create(&self) -> Result<AssistantThread> {
        self.engine.core.check_loader(&self.owner.kind)?;
        let owner = self.owner.clone();
        let mut thread = self
            .engine
            .core
            .store()
            .write(Write::Thread, move |session| threads::insert(session, &owner.kind, &owner.id))
            .await?;
        if let Some(remote) =
            self.engine.core.remote().filter(|remote| remote.keeps_conversations())
        {
            match crate::drive::conversation::create_conversation(
                &self.engine.core,
                remote,
                thread.id,
            )
            .await
            {
                Ok(remote_id) => {
                    thread.remote_id = remote_id;
                    thread.endpoint = Some(remote.provider.endpoint().to_owned());
                    thread.protocol = Some(remote.provider.name().to_owned());
                }
                Err(error) => {
                    tracing::warn!(
                        thread = thread.id,
                        error = Error::from(error).brief(),
                        "conversation not created yet; the first run will"
                    )
                }
            }
        }
        Ok(thread)
    }

    /// Creates a thread in your transaction. Its first run creates the provider's conversation.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_in(&self, conn: &mut dyn Session) -> Result<AssistantThread> {
        self.engine.core.check_loader(&self.owner.kind)?;
        threads::insert(conn, &self.owner.kind, &self.owner.id)
    }

    /// The thread with this id.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's thread.
    pub async fn find(&self, id: i64) -> Result<AssistantThread> {
        let owner = self.owner.clone();
        self.engine
            .core
            .store()
            .read(move |session| threads::find(session, &owner.kind, &owner.id, id))
            .await
    }

    /// A page of threads, newest first.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn list(&self, page: Page) -> Result<Vec<AssistantThread>> {
        let owner = self.owner.clone();
        self.engine
            .core
            .store()
            .read(move |session| threads::list(session, &owner.kind, &owner.id, page))
            .await
    }

    /// Deletes a thread with its runs and messages. An active run stops. In the database this is done when the call returns. What
    /// the provider keeps of the thread is deleted in the background; when that fails it is tried again, at growing intervals, by
    /// any started engine ([`AiEngine::start`]).
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not interrupt it: the thread is deleted all the same.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's thread.
    pub async fn destroy(&self, id: i64) -> Result<()> {
        refuse_within()?;
        let (engine, owner) = (self.engine.clone(), self.owner.clone());
        // A task of its own: a caller that goes away must not leave the run going or the provider's part undeleted.
        let destroying = tokio::spawn(async move {
            let runs = engine.core.store().write(Write::ThreadDestroy, move |session| {
                threads::find(session, &owner.kind, &owner.id, id)?;
                threads::destroy(session, id)
            });
            engine.core.runs_destroyed(&runs.await?);
            Ok(())
        });
        destroying.await.map_err(|error| Error::Panicked(error.to_string()))?
    }

    /// Deletes all threads of this owner in your transaction, for when you delete the owner itself. Active runs stop at their next
    /// write after your commit. What the provider keeps of the threads is deleted after your commit, too.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn destroy_all_in(&self, conn: &mut dyn Session) -> Result<()> {
        transaction(conn, |session| {
            for id in threads::ids(session, &self.owner.kind, &self.owner.id)? {
                threads::destroy(session, id)?;
            }
            Ok(())
        })?;
        // Not committed yet: the runs find out by themselves, the outbox is looked into soon.
        self.engine.core.remote_deletions_noted();
        Ok(())
    }
}

impl AssistantThread {
    /// The messages of this thread.
    #[must_use]
    pub fn messages<'e>(&self, engine: &'e AiEngine) -> Messages<'e> {
        Messages { engine, of: Messageable::AssistantThread(self.id) }
    }

    /// The events of this thread: first those that happened already, then each as it happens. Any number of readers may follow.
    ///
    /// ```no_run
    /// # async fn page(engine: &ai_engine::AiEngine, thread: &ai_engine::AssistantThread, last_event_id: Option<&str>) -> ai_engine::Result<()> {
    /// // A text that is no cursor of this thread is an error here, before the HTTP answer has begun.
    /// let mut events = thread.events(engine).resume(last_event_id).await?;
    /// while let Some(event) = events.next().await {
    ///     let event = event?;
    ///     // One server-sent event: `id` is what the browser gives back when it reconnects.
    ///     println!("id: {}\nevent: {}\ndata: {}\n", event.cursor, event.name(), serde_json::to_string(&event).unwrap_or_default());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self, engine: &AiEngine) -> Events {
        Events::of(&engine.core, Messageable::AssistantThread(self.id))
    }

    /// A page of the runs of this thread, newest first.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn runs(&self, engine: &AiEngine, page: Page) -> Result<Vec<Run>> {
        engine.core.runs_of(Messageable::AssistantThread(self.id), page).await
    }

    /// Asks a stored assistant, without the host's struct. It is not checked whose assistant it is. See [`RunRequest`].
    pub fn run<'e>(
        &self,
        engine: &'e AiEngine,
        assistant: &Assistant,
        content: impl Into<Content>,
    ) -> RunRequest<'e> {
        RunRequest::new(
            engine,
            Who::Assistant(assistant.id),
            Messageable::AssistantThread(self.id),
            content.into(),
        )
    }

    /// Stops the active run of this thread, if there is one, and keeps its text. Of several runs that have not ended, it stops the
    /// one that was submitted first. Returns that run as [`Run::cancel`] does.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the run asked to stop, or not.
    ///
    /// # Errors
    ///
    /// As [`Run::cancel`].
    pub async fn cancel(&self, engine: &AiEngine) -> Result<Option<Run>> {
        engine.core.cancel_active(Messageable::AssistantThread(self.id)).await
    }
}
