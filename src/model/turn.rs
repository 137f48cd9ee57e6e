use serde::Serialize;

use super::{AssistantThread, Chat, Message, Run, ToolCall};

/// One turn of a thread or chat: what a page shows as a question with its answers, or as one message of the host's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Turn {
    /// Its number in the conversation.
    pub seq: i64,
    /// Its run, with how it ended and why; `None` for a message that the host stored without one.
    pub run: Option<Run>,
    /// Its messages in order: the question, then each of the model's of which something is stored.
    pub messages: Vec<Message>,
    /// The calls of tools that the model asked for, in order. Where they stand among the messages says
    /// [`position`](ToolCall::position).
    pub tool_calls: Vec<ToolCall>,
    /// The runs that answer in the same place as this one, by their ids, in the order in which they were submitted; itself
    /// included. Empty when there is no other.
    pub siblings: Vec<i64>,
}

/// A thread as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ThreadSummary {
    /// The thread.
    pub thread: AssistantThread,
    /// Its last message; `None` while it has none.
    pub last_message: Option<Message>,
    /// Its run that has not ended; of several, the one that was submitted first.
    pub active_run: Option<Run>,
}

/// A chat as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChatSummary {
    /// The chat.
    pub chat: Chat,
    /// Its last message; `None` while it has none.
    pub last_message: Option<Message>,
    /// Its run that has not ended; of several, the one that was submitted first.
    pub active_run: Option<Run>,
}
