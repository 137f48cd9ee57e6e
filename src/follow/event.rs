//! What a stream of events is made of.

use serde::Serialize;

use super::cursor::Cursor;
use super::delivered::Change;
use crate::model::{Message, Run, ToolCall};

/// One thing that happened, and the place after it.
///
/// As JSON: the fields of its kind, `event` (its [`name`](Self::name)) and `cursor`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The place behind this event; give it to [`Events::after`](crate::Events::after), or its text to
    /// [`Events::resume`](crate::Events::resume), to go on from there.
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
    /// Other questions wait behind the run that this stream is at. Only a stream that asks for them tells
    /// it ([`Events::with_waiting`](crate::Events::with_waiting), [`OwnerEvents::with_waiting`](crate::OwnerEvents::with_waiting)).
    ///
    /// It is no event of its own place: the `cursor` is that of the event before, and a reader that resumes there is told again what
    /// waits then. The runs of these questions come with their own events when their turn comes.
    #[non_exhaustive]
    Waiting {
        /// All that wait now, in their order.
        messages: Vec<Message>,
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
            Self::Waiting { .. } => "waiting",
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
            Change::Waiting(messages) => Self::Waiting { messages },
        }
    }
}
