//! The events of a thread, a chat or a run, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::cursor::Cursor;
use super::delivered::Change;
use super::hub::gone;
use super::reader::Reader;
use crate::engine::core::Core;
use crate::error::Result;
use crate::model::{Message, Messageable, Run, ToolCall};
use crate::store::{refuse_within, runs, threads};

/// One thing that happened, and the place after it.
///
/// As JSON: the fields of its kind, `event` (its [`name`](Self::name)) and `cursor`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The place behind this event; give it to [`Events::after`], or its text to [`Events::resume`], to go on from there.
    pub cursor: Cursor,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
///
/// The events of a run come in this order: [`RunQueued`](Self::RunQueued); [`MessageStarted`](Self::MessageStarted) with the
/// user's message; [`RunStarted`](Self::RunStarted); for each message of the model `MessageStarted`, any number of
/// [`MessageAppended`](Self::MessageAppended), then [`MessageSettled`](Self::MessageSettled) or
/// [`MessageReplaced`](Self::MessageReplaced); at last [`RunSettled`](Self::RunSettled). A run that ended while it waited for its
/// turn was never started, so its `RunStarted` is left out.
///
/// When another branch is taken, [`TurnSuperseded`](Self::TurnSuperseded) comes for each turn that leaves the path, before the
/// first event of what takes its place. A turn that comes back to the path is told anew, whole. A reader that begins later is told
/// what is on the path, and nothing of what had left it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A run was submitted.
    #[non_exhaustive]
    RunQueued {
        /// The run as it was then.
        run: Run,
    },
    /// A process drives the run.
    #[non_exhaustive]
    RunStarted {
        /// The run as it was then.
        run: Run,
    },
    /// The run has ended; its status says how.
    #[non_exhaustive]
    RunSettled {
        /// The run. It does not change any more.
        run: Run,
    },
    /// A turn left the current path, with all its messages: take it off the page. A reader that was cut off while it caught up may
    /// be told of a turn that it does not know; there is nothing to do then.
    #[non_exhaustive]
    TurnSuperseded {
        /// The turn: the [`seq`](Message::seq) of its messages.
        seq: i64,
        /// Its run, if it has one.
        run_id: Option<i64>,
    },
    /// A message was stored. A message of the user or of the host comes whole, and no other event follows for it. A message of the
    /// model comes empty; its text follows with the next events.
    #[non_exhaustive]
    MessageStarted {
        /// The message.
        message: Message,
    },
    /// A message of the model grew.
    #[non_exhaustive]
    MessageAppended {
        /// The message.
        message_id: i64,
        /// Where in its text, in bytes: the length of all pieces before this one.
        offset: usize,
        /// The text added.
        text: String,
    },
    /// A message of the model ended with a text that does not begin with the pieces delivered before: show this one instead.
    #[non_exhaustive]
    MessageReplaced {
        /// The message. It does not change any more.
        message: Message,
    },
    /// A message of the model has ended; the pieces delivered before are all of its text.
    #[non_exhaustive]
    MessageSettled {
        /// The message. It does not change any more.
        message: Message,
    },
    /// A call of a tool was asked for, or changed: it waits for somebody, is carried out, has an output. A reader that begins later
    /// is told what it is now, and not each step on the way there.
    #[non_exhaustive]
    ToolCall {
        /// The call.
        call: ToolCall,
    },
}

impl Event {
    /// The kind's name, such as `message_appended`: what the `event` of its JSON says.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind.name()
    }
}

impl EventKind {
    /// Its name, such as `message_appended`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RunQueued { .. } => "run_queued",
            Self::RunStarted { .. } => "run_started",
            Self::RunSettled { .. } => "run_settled",
            Self::TurnSuperseded { .. } => "turn_superseded",
            Self::MessageStarted { .. } => "message_started",
            Self::MessageAppended { .. } => "message_appended",
            Self::MessageReplaced { .. } => "message_replaced",
            Self::MessageSettled { .. } => "message_settled",
            Self::ToolCall { .. } => "tool_call",
        }
    }
}

impl From<Change> for EventKind {
    fn from(change: Change) -> Self {
        match change {
            Change::Queued(run) => Self::RunQueued { run },
            Change::Begun(run) => Self::RunStarted { run },
            Change::Ended(run) => Self::RunSettled { run },
            Change::Superseded { seq, run_id } => Self::TurnSuperseded { seq, run_id },
            Change::UserMessage(message) | Change::Said(message) | Change::Created(message) => {
                Self::MessageStarted { message }
            }
            Change::Appended { message_id, offset, text } => {
                Self::MessageAppended { message_id, offset, text }
            }
            Change::Replaced(message) => Self::MessageReplaced { message },
            Change::Settled(message) => Self::MessageSettled { message },
            Change::ToolCall(call) => Self::ToolCall { call },
        }
    }
}

/// The events of a thread or chat as an endless stream: first those that happened already, from the beginning or behind a
/// [`Cursor`], then each as it happens. No event is missing and none comes twice, whenever and in whichever process the reader
/// begins.
///
/// Pieces of text that a reader has not taken yet are joined: a slow reader gets larger pieces, and no queue grows for it. Text of a
/// run that this process drives comes as it arrives. Text of a run that another process drives comes once it is stored, within half
/// a second; all readers of a process share one query for that. The stream ends when the engine is shut down
/// ([`AiEngine::shutdown`](crate::AiEngine::shutdown)); the reader then goes on in another process, with its last cursor.
///
/// It does not check who owns the thread or chat: get it from its owner's
/// [`find`](crate::AssistantThreads::find).
///
/// # Errors
///
/// An error is the last item: [`Error::NotFound`](crate::Error::NotFound) once the thread or chat is deleted,
/// [`Error::Invalid`](crate::Error::Invalid) for a cursor of another one, or the database's while the reader catches up.
/// Once it has caught up, the stream waits for a database that is away instead of failing.
pub struct Events {
    core: Core,
    of: Messageable,
    inner: Inner,
}

/// The events of one run, from its beginning or a [`Cursor`] to its end. Dropping it leaves the run going.
///
/// # Errors
///
/// As [`Events`]; [`Error::RunGone`](crate::Error::RunGone) when the run was deleted with its thread, and
/// [`Error::NotDriven`](crate::Error::NotDriven) when this process had to give it up.
pub struct RunEvents {
    core: Core,
    run: Run,
    after: Option<Cursor>,
    inner: Inner,
}

type Inner = Pin<Box<dyn Stream<Item = Result<Event>> + Send>>;

impl Events {
    pub(crate) fn of(core: &Core, of: Messageable) -> Self {
        let reader = Reader::of_conversation(core, of);
        Self { core: core.clone(), of, inner: follow(reader) }
    }

    /// Begins behind this place instead of at the beginning. It may come from another process, or from before a restart.
    /// A cursor of another thread or chat is the stream's first item, an error; [`resume`](Self::resume) checks it beforehand.
    #[must_use]
    pub fn after(self, cursor: Cursor) -> Self {
        let reader = Reader::of_conversation(&self.core, self.of).after(cursor);
        Self { inner: follow(reader), ..self }
    }

    /// Begins behind the place that a browser gives back as `Last-Event-ID`, or at the beginning where there is none. Looks
    /// before the first event whether that place exists, so that a web handler can still answer with an error.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a text that is no cursor, that of another thread or chat, or one ahead
    /// of everything there is (another database's); [`Error::NotFound`](crate::Error::NotFound) when the thread or chat was
    /// deleted; or the database's.
    pub async fn resume(self, last_event_id: Option<&str>) -> Result<Self> {
        let cursor = checked(&self.core, self.of, last_event_id).await?;
        Ok(match cursor {
            Some(cursor) => self.after(cursor),
            None => self,
        })
    }

    /// The next event; `None` when the engine is shut down.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no event: the next call returns it.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        self.inner.next().await
    }
}

/// The cursor that a text is, if it is one of this conversation, which is there.
async fn checked(
    core: &Core,
    of: Messageable,
    last_event_id: Option<&str>,
) -> Result<Option<Cursor>> {
    let text = last_event_id.map(str::trim).filter(|text| !text.is_empty());
    let cursor = text.map(str::parse::<Cursor>).transpose()?;
    if let Some(cursor) = &cursor {
        cursor.check(of)?;
    }
    let heads = core.store().read(move |session| threads::heads(session, &[of])).await?;
    let next = heads.get(&of).copied().ok_or_else(|| gone(of))?;
    match cursor {
        Some(cursor) if cursor.wanted().seq > next => Err(cursor.is_ahead()),
        cursor => Ok(cursor),
    }
}

impl RunEvents {
    pub(crate) fn of(core: &Core, run: Run) -> Self {
        let reader = Reader::of_run(core, &run);
        Self { core: core.clone(), run, after: None, inner: follow(reader) }
    }

    fn reader(&self) -> Reader {
        let reader = Reader::of_run(&self.core, &self.run);
        match &self.after {
            Some(cursor) => reader.after(cursor.clone()),
            None => reader,
        }
    }

    /// Only to where the run waits for somebody's decision.
    pub(crate) fn until_it_waits(self) -> Self {
        let reader = self.reader().until_it_waits();
        Self { inner: follow(reader), ..self }
    }

    pub(crate) const fn core(&self) -> &Core {
        &self.core
    }

    /// Where it begins, if not at the beginning.
    pub(crate) const fn begins_after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Whether the end of its stream is that of the engine.
    pub(crate) fn is_closed(&self) -> bool {
        *self.core.closed().borrow()
    }

    /// The run as it was when its events were asked for.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// Begins behind this place instead of at the beginning of the run; a place before the run is its beginning.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        let reader = self.reader();
        Self { inner: follow(reader), ..self }
    }

    /// Begins behind the place that a browser gives back as `Last-Event-ID`; as [`Events::resume`].
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// As there; [`Error::NotFound`](crate::Error::NotFound) when the run was deleted.
    pub async fn resume(self, last_event_id: Option<&str>) -> Result<Self> {
        let (id, of) = (self.run.id, self.run.messageable);
        let cursor = checked(&self.core, of, last_event_id).await?;
        self.core.store().read(move |session| runs::require(session, id)).await?;
        Ok(match cursor {
            Some(cursor) => self.after(cursor),
            None => self,
        })
    }

    /// The next event; `None` after the run's end, or when the engine is shut down.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no event: the next call returns it.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        self.inner.next().await
    }
}

/// Reads until the end, the first error, or the engine's shutdown: a web server that ends in good order waits for the
/// answers that it streams.
fn follow(reader: Reader) -> Inner {
    let closed = reader.core().closed().subscribe();
    Box::pin(stream::unfold(Some((reader, closed)), |reading| async {
        let (mut reader, mut closed) = reading?;
        if let Err(error) = refuse_within() {
            return Some((Err(error), None));
        }
        let next = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => return None,
            next = reader.next() => next,
        };
        match next {
            Ok(Some(change)) => {
                let event = Event { cursor: reader.cursor.clone(), kind: change.into() };
                Some((Ok(event), Some((reader, closed))))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl Stream for Events {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl Stream for RunEvents {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("of", &self.of).finish_non_exhaustive()
    }
}

impl fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunEvents").field("run", &self.run).finish_non_exhaustive()
    }
}
