use serde::Serialize;

use super::{Message, Run};

/// A finished run and what the model said in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// The run; its `status` tells a whole answer from part of one.
    pub run: Run,
    /// The model's messages in order: one as a rule, none when it said nothing.
    pub messages: Vec<Message>,
}

impl Answer {
    /// The last message, if the model said anything.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.messages.last()
    }

    /// All the model said.
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
