use super::hooks::MessageHooks;
use super::messages::Messages;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::follow::events::Events;
use crate::model::{AssistantDefinition, Chat, Content, Messageable, Page, Run};
use crate::store::refuse_within;
use crate::store::session::{Session, transaction};
use crate::store::threads::chats;
use crate::submit::request::{RunRequest, Who};

/// A host's record that talks to bare models: `impl Chattable for User {}`.
pub trait Chattable: MessageHooks {
    /// The chats of this record.
    fn chats<'e>(&self, engine: &'e AiEngine) -> Chats<'e>
    where
        Self: Sized,
    {
        Chats { engine, owner: Owner::of(self) }
    }
}

/// The chats of one owner. No method returns or touches another owner's chat.
#[derive(Debug)]
pub struct Chats<'e> {
    engine: &'e AiEngine,
    owner: Owner,
}

impl Chats<'_> {
    /// Creates a chat. Chats are always local: the provider keeps nothing of them.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the chat there, or not.
    ///
    /// # Errors
    ///
    /// [`Error::NoLoader`](crate::Error::NoLoader) when the engine cannot load this type of owner, or the database's.
    pub async fn create(&self) -> Result<Chat> {
        self.engine.core.check_loader(&self.owner.kind)?;
        let owner = self.owner.clone();
        self.engine
            .core
            .store()
            .write(Write::Chat, move |session| chats::insert(session, &owner.kind, &owner.id))
            .await
    }

    /// Creates a chat in your transaction.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_in(&self, conn: &mut dyn Session) -> Result<Chat> {
        self.engine.core.check_loader(&self.owner.kind)?;
        chats::insert(conn, &self.owner.kind, &self.owner.id)
    }

    /// The chat with this id.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's chat.
    pub async fn find(&self, id: i64) -> Result<Chat> {
        let owner = self.owner.clone();
        self.engine
            .core
            .store()
            .read(move |session| chats::find(session, &owner.kind, &owner.id, id))
            .await
    }

    /// A page of chats, newest first.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn list(&self, page: Page) -> Result<Vec<Chat>> {
        let owner = self.owner.clone();
        self.engine
            .core
            .store()
            .read(move |session| chats::list(session, &owner.kind, &owner.id, page))
            .await
    }

    /// Deletes a chat with its runs and messages. An active run stops.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not interrupt it: the chat is deleted all the same.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's chat.
    pub async fn destroy(&self, id: i64) -> Result<()> {
        refuse_within()?;
        let (engine, owner) = (self.engine.clone(), self.owner.clone());
        // A task of its own: a caller that goes away must not leave the run going or the provider's part undeleted.
        let destroying = tokio::spawn(async move {
            let runs = engine.core.store().write(Write::ChatDestroy, move |session| {
                chats::find(session, &owner.kind, &owner.id, id)?;
                chats::destroy(session, id)
            });
            engine.core.runs_destroyed(&runs.await?);
            Ok(())
        });
        destroying.await.map_err(|error| Error::Panicked(error.to_string()))?
    }

    /// Deletes all chats of this owner in your transaction, for when you delete the owner itself. Active runs stop at their next
    /// write after your commit.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn destroy_all_in(&self, conn: &mut dyn Session) -> Result<()> {
        transaction(conn, |session| {
            for id in chats::ids(session, &self.owner.kind, &self.owner.id)? {
                chats::destroy(session, id)?;
            }
            Ok(())
        })
    }
}

impl Chat {
    /// The messages of this chat.
    #[must_use]
    pub fn messages<'e>(&self, engine: &'e AiEngine) -> Messages<'e> {
        Messages { engine, of: Messageable::Chat(self.id) }
    }

    /// The events of this chat: first those that happened already, then each as it happens. Any number of readers may follow.
    ///
    /// ```no_run
    /// # async fn page(engine: &ai_engine::AiEngine, chat: &ai_engine::Chat, last_event_id: Option<&str>) -> ai_engine::Result<()> {
    /// // A text that is no cursor of this chat is an error here, before the HTTP answer has begun.
    /// let mut events = chat.events(engine).resume(last_event_id).await?;
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
        Events::of(&engine.core, Messageable::Chat(self.id))
    }

    /// A page of the runs of this chat, newest first.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn runs(&self, engine: &AiEngine, page: Page) -> Result<Vec<Run>> {
        engine.core.runs_of(Messageable::Chat(self.id), page).await
    }

    /// Asks a model; options such as instructions or temperature go into a definition. See [`RunRequest`].
    pub fn run<'e>(
        &self,
        engine: &'e AiEngine,
        model: impl Into<AssistantDefinition>,
        content: impl Into<Content>,
    ) -> RunRequest<'e> {
        RunRequest::new(
            engine,
            Who::Model(model.into()),
            Messageable::Chat(self.id),
            content.into(),
        )
    }

    /// Stops the active run of this chat, if there is one, and keeps its text. Of several runs that have not ended, it stops the
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
        engine.core.cancel_active(Messageable::Chat(self.id)).await
    }
}

impl From<&str> for AssistantDefinition {
    fn from(model: &str) -> Self {
        Self::new(model)
    }
}
