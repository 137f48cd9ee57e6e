//! The messages of one thread or chat.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use serde_json::Value;

use crate::drive::deliver::deliver_created;
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::model::{Checked, Content, Message, MessageNote, Messageable, Note, Page, Part, Role};
use crate::store::messages::{self, NewMessage};
use crate::store::session::{Session, transaction};
use crate::store::{parts, threads};
use crate::submit::asked::checked;
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

    /// The message with this id, also one that has left the current path.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for a message of another thread or chat, or the database's.
    pub async fn find(&self, id: i64) -> Result<Message> {
        let of = self.of;
        let found = move |session: &mut dyn Session| {
            let found = messages::by_ids(session, &[id])?.pop();
            let found = found.filter(|message| message.messageable == of);
            found.ok_or_else(|| Error::not_found("message", id))
        };
        self.engine.core.store().read(found).await
    }

    /// A part by its [`id`](Part::id), also of a message that is off the path.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when no message of this conversation has it.
    pub async fn part(&self, id: i64) -> Result<Part> {
        let of = self.of;
        self.engine.core.store().read(move |session| parts::find(session, of, id)).await
    }

    /// The bytes of the part with this [`id`](Part::id): of a picture, a file or sound that was given to a message of this
    /// conversation, or of a picture that the model made.
    ///
    /// A user chose bytes and media type of what is his: whoever serves them to browsers does so with
    /// `X-Content-Type-Options: nosniff`, and as a download, unless it is a picture.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when no message of this conversation has it, or its bytes are not stored here
    /// ([`Part::has_bytes`]).
    pub async fn part_bytes(&self, id: i64) -> Result<Vec<u8>> {
        let of = self.of;
        self.engine.core.store().read(move |session| parts::bytes(session, of, id)).await
    }

    /// Adds a message without asking the model, when it is awaited: a system message, or history from another system. The model sees
    /// it with the next run. See [`MessageRequest`].
    pub fn create(&self, role: Role, content: impl Into<Content>) -> MessageRequest {
        let (engine, note) = (self.engine.clone(), Note::default());
        MessageRequest { engine, of: self.of, role, content: content.into(), note }
    }

    /// [`create`](Self::create) in your transaction; no hook is called.
    ///
    /// # Errors
    ///
    /// As listed at [`MessageRequest`].
    pub fn create_in(
        &self,
        conn: &mut dyn Session,
        role: Role,
        content: impl Into<Content>,
    ) -> Result<Message> {
        self.create(role, content).create_in(conn)
    }
}

/// A message that is to be added to a thread or chat without asking the model: `.await` adds it,
/// [`create_in`](Self::create_in) does so in your transaction.
///
/// Awaited, it returns when the owner's create hook has returned, or its timeout (10 s unless set) has passed.
///
/// # Cancellation
///
/// Dropping the future leaves the message stored, or not; its hook may then not be called.
///
/// # Errors
///
/// [`Error::Invalid`](crate::Error::Invalid) when the content is empty or too long, a part, author or metadata is out of its limits,
/// or a system message has parts,
/// [`Error::Busy`](crate::Error::Busy) while a run is active, since it would not be known whether the message comes before or
/// after the answer, [`Error::NotFound`](crate::Error::NotFound) when the thread or chat was deleted.
#[must_use = "nothing is stored until this is awaited, or created in a transaction"]
#[derive(Debug)]
pub struct MessageRequest {
    engine: AiEngine,
    of: Messageable,
    role: Role,
    content: Content,
    note: Note,
}

impl MessageRequest {
    /// Which of several people said it: 1 to 255 characters, without NUL. The model is not told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.note.author = Some(author.into());
        self
    }

    /// What you note of it: a JSON object of at most 16 KiB, without NUL. The model is not told.
    pub fn message_metadata(mut self, metadata: Value) -> Self {
        self.note.metadata = Some(metadata);
        self
    }

    /// Adds it in your transaction; no hook is called.
    ///
    /// # Errors
    ///
    /// As listed at [`MessageRequest`].
    pub fn create_in(self, conn: &mut dyn Session) -> Result<Message> {
        let (engine, said) = self.checked()?;
        // Of a run that it ended, because its process had died, the owner hears by a sweep.
        Ok(create_in(conn, &engine, &said)?.0)
    }

    fn checked(self) -> Result<(AiEngine, Said)> {
        let (of, role) = (self.of, self.role);
        let (content, note) =
            (checked(&self.engine.core, self.content, None)?, self.note.checked()?);
        if role == Role::System && !content.parts.is_empty() {
            let reason = "must be text alone; give pictures and files to a message of the user";
            return Err(Error::invalid("content", "of a system message", reason));
        }
        Ok((self.engine, Said { of, role, content, note }))
    }

    async fn create(self) -> Result<Message> {
        let (engine, said) = self.checked()?;
        let (core, of, writing) = (engine.core.clone(), said.of, engine.clone());
        let created =
            core.store().write(Write::Message, move |session| create_in(session, &writing, &said));
        let (message, found_dead) = created.await?;
        found_dead.stop(&core);
        core.hubs().nudge();
        deliver_created(&core, of, &message).await;
        Ok(message)
    }
}

impl IntoFuture for MessageRequest {
    type Output = Result<Message>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Message>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.create())
    }
}

/// A message whose values have been checked.
#[derive(Debug)]
struct Said {
    of: Messageable,
    role: Role,
    content: Checked,
    note: MessageNote,
}

fn create_in(
    session: &mut dyn Session,
    engine: &AiEngine,
    said: &Said,
) -> Result<(Message, Interrupted)> {
    // In a host's transaction a savepoint: a refusal takes no turn's number.
    transaction(session, |session| {
        let parent = threads::lock(session, said.of)?;
        let found_dead = make_room(session, &engine.core, said.of)?;
        let text = said.content.text.clone();
        let new = NewMessage::local(said.of, None, parent.seq, 0, said.role, text);
        let new = new.noted(said.note.clone()).following(parent.head);
        let message = messages::insert_with(session, new, &said.content.parts)?;
        if parent.head.is_some() {
            threads::set_head(session, said.of, None)?;
        }
        Ok((message, found_dead))
    })
}
