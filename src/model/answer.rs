use serde::Serialize;

use super::{Message, Run};

/// A run that has ended, and the messages of the model in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// The run; its `status` says whether the answer is whole.
    pub run: Run,
    /// The model's messages in order: mostly one; none when the model wrote nothing.
    pub messages: Vec<Message>,
}

impl Answer {
    /// The last message, if the model wrote any.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.messages.last()
    }

    /// The text of all messages, with a blank line between two.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.messages.iter().map(|m| m.content.as_str()).collect();
        texts.join("\n\n")
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}
