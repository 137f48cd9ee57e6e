//! One handle for the threads and the chats of an owner, and what can be done with each of them.

use std::marker::PhantomData;

use super::create::ConversationRequest;
use super::forget::destroy_all;
use super::messages::Messages;
use super::record::Owner;
use crate::drive::conversation::create_conversation;
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::follow::events::Events;
use crate::model::{AssistantThread, Chat, Page, Paged, Run, Turn};
use crate::store::conversations::Other;
use crate::store::recent::Recent;
use crate::store::session::{Session, transaction};
use crate::store::threads::ConversationRow;
use crate::store::{refuse_within, runs, runs_of, turns};

/// A thread or a chat: what [`Conversations`] are of. No other type implements it.
pub trait Conversation: Kind {}

/// What can be done with a thread and with a chat alike.
macro_rules! conversation {
    ($row:ty) => {
        impl Conversation for $row {}

        impl $row {
            /// Its messages.
            #[must_use]
            pub fn messages(&self, engine: &AiEngine) -> Messages {
                Messages { engine: engine.clone(), of: self.messageable() }
            }

            /// Its events: first those that happened already, then each as it happens. Any number of readers may follow.
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
                Events::of(&engine.core, self.messageable())
            }

            /// A page of its turns in the order of the conversation, the newest page first: what a page shows after a reload, with
            /// how each run ended and why. A message that is still streaming comes with the text stored so far. Turns that are not on
            /// the current path are left out. One statement, whatever the depth.
            ///
            /// The next page, which is the one above, is [`Page::after`] with what this one gives as [`next`](Paged::next).
            ///
            /// # Cancellation
            ///
            /// It only reads: dropping the future changes nothing.
            ///
            /// # Errors
            ///
            /// [`Error::Invalid`](crate::Error::Invalid) for the token of another list, or the database's.
            pub async fn turns(&self, engine: &AiEngine, page: Page) -> Result<Paged<Turn>> {
                let of = self.messageable();
                engine.core.store().read(move |session| turns::page(session, of, page)).await
            }

            /// A page of its runs, newest first.
            ///
            /// # Cancellation
            ///
            /// It only reads: dropping the future changes nothing.
            ///
            /// # Errors
            ///
            /// [`Error::NotFound`](crate::Error::NotFound) when `page.before` is no run of it,
            /// [`Error::Invalid`](crate::Error::Invalid) for the token of another list, or the database's.
            pub async fn runs(&self, engine: &AiEngine, page: Page) -> Result<Vec<Run>> {
                engine.core.runs_of(self.messageable(), page).await
            }

            /// Its active run, if there is one; of several that have not ended, the one that was submitted first. For a page that comes
            /// back and wants the answer that is on its way.
            ///
            /// # Cancellation
            ///
            /// It only reads: dropping the future changes nothing.
            ///
            /// # Errors
            ///
            /// The database's.
            pub async fn active_run(&self, engine: &AiEngine) -> Result<Option<Run>> {
                let of = self.messageable();
                let find = move |session: &mut dyn Session| {
                    let id = runs_of::active(session, of)?;
                    id.map(|id| runs::require(session, id)).transpose()
                };
                engine.core.store().read(find).await
            }

            /// Stops its active run, if there is one, and keeps its text. Of several runs that have not ended, it stops the one
            /// that was submitted first. Returns that run as [`Run::cancel`] does.
            ///
            /// # Cancellation
            ///
            /// Dropping the future may leave the run asked to stop, or not.
            ///
            /// # Errors
            ///
            /// As [`Run::cancel`].
            pub async fn cancel(&self, engine: &AiEngine) -> Result<Option<Run>> {
                engine.core.cancel_active(self.messageable()).await
            }
        }
    };
}

conversation!(AssistantThread);
conversation!(Chat);

/// How threads and chats differ.
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the conversations are ours")]
pub trait Kind: Recent {
    /// The provider may keep something of it, as of a thread.
    const IS_KEPT_REMOTELY: bool;

    /// Makes what belongs to a new one beside its row.
    fn completed(self, engine: &AiEngine) -> impl Future<Output = Self> + Send;
}

/// The transactions that make and delete one.
pub(super) const fn writes<C: Kind>() -> (Write, Write) {
    if C::IS_KEPT_REMOTELY {
        (Write::Thread, Write::ThreadDestroy)
    } else {
        (Write::Chat, Write::ChatDestroy)
    }
}

impl Kind for AssistantThread {
    const IS_KEPT_REMOTELY: bool = true;

    async fn completed(mut self, engine: &AiEngine) -> Self {
        let core = &engine.core;
        let default = core.remotes().find(None);
        let Some(remote) = default.filter(|remote| remote.keeps_conversations()) else {
            return self;
        };
        match create_conversation(core, remote, self.id, Other::Stays).await {
            Ok(None) => {}
            Ok(remote_id) => {
                self.remote_id = remote_id;
                self.endpoint = Some(remote.service.endpoint.to_string());
                self.protocol = Some(remote.service.protocol.to_string());
            }
            Err(error) => {
                tracing::warn!(
                    thread = self.id,
                    error = Error::from(error).brief(),
                    "conversation not created yet; the first run will"
                );
            }
        }
        self
    }
}

impl Kind for Chat {
    const IS_KEPT_REMOTELY: bool = false;

    async fn completed(self, _: &AiEngine) -> Self {
        self
    }
}

/// The threads or the chats of one owner: [`AssistantThreads`], [`Chats`]. No method returns or touches another owner's.
#[derive(Debug)]
pub struct Conversations<C> {
    engine: AiEngine,
    owner: Owner,
    of: PhantomData<fn() -> C>,
}

/// The threads of one owner. With [`History::Conversation`](crate::History::Conversation) the provider keeps a conversation for each.
pub type AssistantThreads = Conversations<AssistantThread>;

/// The chats of one owner. Chats are always local: the provider keeps nothing of them.
pub type Chats = Conversations<Chat>;

impl<C: Conversation> Conversations<C> {
    pub(crate) fn of(engine: &AiEngine, owner: Owner) -> Self {
        Self { engine: engine.clone(), owner, of: PhantomData }
    }

    /// Creates a thread or chat when it is awaited. See [`ConversationRequest`].
    pub fn create(&self) -> ConversationRequest<C> {
        ConversationRequest::new(&self.engine, &self.owner)
    }

    /// Creates a thread or chat in your transaction. The first run of a thread creates the provider's conversation.
    ///
    /// # Errors
    ///
    /// As listed at [`ConversationRequest`].
    pub fn create_in(&self, conn: &mut dyn Session) -> Result<C> {
        self.create().create_in(conn)
    }

    /// The one with this id.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's.
    pub async fn find(&self, id: i64) -> Result<C> {
        let owner = self.owner.clone();
        let find = move |session: &mut dyn Session| C::find(session, &owner.kind, &owner.id, id);
        self.engine.core.store().read(find).await
    }

    /// A page of them, newest first, in the order in which they were created.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when `page.before` is none of this owner's,
    /// [`Error::Invalid`](crate::Error::Invalid) for the token of another list, or the database's.
    pub async fn list(&self, page: Page) -> Result<Vec<C>> {
        let owner = self.owner.clone();
        let list = move |session: &mut dyn Session| C::list(session, &owner.kind, &owner.id, page);
        self.engine.core.store().read(list).await
    }

    /// A page of them by their last activity, newest first, each with its last message and the run that has not ended: what a side
    /// bar shows. An activity is a turn that begins; a new one counts from its creation. One statement, however many there are.
    ///
    /// The next page is [`Page::after`] with what this one gives as [`next`](Paged::next), which stays good when what it was taken
    /// from is deleted meanwhile. What has an activity meanwhile moves to the front, and is not seen again behind.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when `page.before` is none of this owner's,
    /// [`Error::Invalid`](crate::Error::Invalid) for the token of another list, or the database's.
    pub async fn recent(&self, page: Page) -> Result<Paged<C::Summary>> {
        let owner = self.owner.clone();
        let recent = move |session: &mut dyn Session| {
            <C as Recent>::recent(session, &owner.kind, &owner.id, page)
        };
        self.engine.core.store().read(recent).await
    }

    /// Deletes one with its runs and messages. An active run stops. In the database this is done when the call returns. What the
    /// provider keeps of a thread is deleted in the background; when that fails it is tried again, at growing intervals, by any
    /// started engine ([`AiEngine::start`]).
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not interrupt it: it is deleted all the same.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's.
    pub async fn destroy(&self, id: i64) -> Result<()> {
        refuse_within()?;
        let (core, owner) = (self.engine.core.clone(), self.owner.clone());
        // A task of its own: a caller that goes away must not leave the run going or the provider's part undeleted.
        let destroying = tokio::spawn(async move {
            let runs = core.store().write(writes::<C>().1, move |session| {
                C::find(session, &owner.kind, &owner.id, id)?;
                C::destroy(session, id)
            });
            core.runs_destroyed(&runs.await?);
            Ok(())
        });
        destroying.await.map_err(|error| Error::Panicked(error.to_string()))?
    }

    /// Deletes all of this owner in your transaction, for when you delete the owner itself. Active runs stop at their next write
    /// after your commit. What the provider keeps of threads is deleted after your commit, too.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn destroy_all_in(&self, conn: &mut dyn Session) -> Result<()> {
        transaction(conn, |session| destroy_all::<C>(session, &self.owner, &mut Vec::new()))?;
        if C::IS_KEPT_REMOTELY {
            // Not committed yet: the runs find out by themselves, the outbox is looked into soon.
            self.engine.core.remote_deletions_noted();
        }
        Ok(())
    }
}
