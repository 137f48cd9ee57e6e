//! The messages of one thread or chat.

use crate::drive::deliver::deliver_created;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::{Content, Message, Messageable, Page, Role};
use crate::store::messages::{self, NewMessage};
use crate::store::session::{Session, transaction};
use crate::store::threads;
use crate::submit::enqueue::make_room;
use crate::submit::interrupt::Interrupted;

/// The messages of one thread or chat.
#[derive(Debug)]
pub struct Messages {
    pub(crate) engine: AiEngine,
    pub(crate) of: Messageable,
}

impl Messages {
    /// A page of messages in the order of the conversation: the newest, or those before one of them. A message that
    /// is still streaming comes with the text stored so far.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when `page.before` is no message of this conversation.
    pub async fn list(&self, page: Page) -> Result<Vec<Message>> {
        let of = self.of;
        self.engine.core.store().read(move |session| messages::page(session, of, page)).await
    }

    /// Adds a message without asking the model: a system message, or history from another system. The model sees it with the next
    /// run. Returns when the owner's create hook has returned, or its timeout (10 s unless set) has passed.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the message stored, or not; its hook may then not be called.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when the content is empty or too long,
    /// [`Error::Busy`](crate::Error::Busy) while a run is active, since it would not be known whether the message comes before or
    /// after the answer, [`Error::NotFound`](crate::Error::NotFound) when the thread or chat was deleted.
    pub async fn create(&self, role: Role, content: impl Into<Content>) -> Result<Message> {
        let (of, text) = (self.of, content.into().checked()?);
        let engine = self.engine.clone();
        let created = self
            .engine
            .core
            .store()
            .write(Write::Message, move |session| create_in(session, &engine, of, role, &text))
            .await?;
        let (message, found_dead) = created;
        found_dead.stop(&self.engine.core);
        self.engine.core.hubs().nudge();
        deliver_created(&self.engine.core, self.of, &message).await;
        Ok(message)
    }

    /// [`create`](Self::create) in your transaction; no hook is called.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_in(
        &self,
        conn: &mut dyn Session,
        role: Role,
        content: impl Into<Content>,
    ) -> Result<Message> {
        // Of a run that it ended, because its process had died, the owner hears by a sweep.
        Ok(create_in(conn, &self.engine, self.of, role, &content.into().checked()?)?.0)
    }
}

fn create_in(
    session: &mut dyn Session,
    engine: &AiEngine,
    of: Messageable,
    role: Role,
    text: &str,
) -> Result<(Message, Interrupted)> {
    // In a host's transaction a savepoint: a refusal takes no turn's number.
    transaction(session, |session| {
        let parent = threads::lock(session, of)?;
        let found_dead = make_room(session, &engine.core, of)?;
        let new = NewMessage::local(of, None, parent.seq, 0, role, text.to_owned());
        let said = messages::insert(session, &new.following(parent.head))?;
        if parent.head.is_some() {
            threads::set_head(session, of, None)?;
        }
        Ok((said, found_dead))
    })
}
