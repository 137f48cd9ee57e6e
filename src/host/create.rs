//! Creating a thread or chat, with a name.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use serde_json::Value;

use super::conversations::{Conversation, writes};
use super::record::Owner;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::Naming;
use crate::store::session::Session;

/// A thread or chat that is to be created: `.await` creates it, [`create_in`](Self::create_in) does so in your transaction.
///
/// Awaited, it also creates, for a thread with [`History::Conversation`](crate::History::Conversation), a conversation at the
/// provider. If the provider cannot be reached the thread is created all the same, and its first run creates the conversation. A
/// provider that does not answer is waited for as long as the client's timeouts allow; [`create_in`](Self::create_in) does not call
/// it.
///
/// ```no_run
/// # use ai_engine::prelude::*;
/// # async fn example(engine: &ai_engine::AiEngine, user: &impl Threadable) -> ai_engine::Result<()> {
/// let threads = user.assistant_threads(engine);
/// let plain = threads.create().await?;
/// let named = threads.create().title("My trip").metadata(serde_json::json!({"folder": 7})).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancellation
///
/// Dropping the future leaves the thread or chat there, or not. A conversation that was being created at that moment may stay
/// at the provider; it is empty, and nothing here knows its id.
///
/// # Errors
///
/// [`Error::NoLoader`](crate::Error::NoLoader) when the engine cannot load this type of owner,
/// [`Error::Invalid`](crate::Error::Invalid) for a title or metadata out of its limits, or the database's.
#[must_use = "nothing is created until this is awaited, or created in a transaction"]
#[derive(Debug)]
pub struct ConversationRequest<C> {
    engine: AiEngine,
    owner: Owner,
    naming: Naming,
    of: PhantomData<fn() -> C>,
}

impl<C: Conversation> ConversationRequest<C> {
    pub(super) fn new(engine: &AiEngine, owner: &Owner) -> Self {
        let (engine, owner) = (engine.clone(), owner.clone());
        Self { engine, owner, naming: Naming::default(), of: PhantomData }
    }

    /// Its title: at most 255 characters, without NUL. White space around it is left out, and a blank one is none.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.naming.title = Some(title.into());
        self
    }

    /// What you note of it: a JSON object of at most 16 KiB, without NUL. The model is not told.
    pub fn metadata(mut self, metadata: Value) -> Self {
        self.naming.metadata = Some(metadata);
        self
    }

    /// Creates it in your transaction. The first run of a thread creates the provider's conversation.
    ///
    /// # Errors
    ///
    /// As listed at [`ConversationRequest`].
    pub fn create_in(self, conn: &mut dyn Session) -> Result<C> {
        self.engine.core.check_loader(&self.owner.kind)?;
        C::insert(conn, &self.owner.kind, &self.owner.id, &self.naming.checked()?)
    }

    async fn create(self) -> Result<C> {
        let Self { engine, owner, naming, .. } = self;
        engine.core.check_loader(&owner.kind)?;
        let named = naming.checked()?;
        let created = engine.core.store().write(writes::<C>().0, move |session| {
            C::insert(session, &owner.kind, &owner.id, &named)
        });
        Ok(created.await?.completed(&engine).await)
    }
}

impl<C: Conversation> IntoFuture for ConversationRequest<C> {
    type Output = Result<C>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<C>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.create())
    }
}
