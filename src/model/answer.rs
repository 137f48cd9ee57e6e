use serde::Serialize;

use super::{Message, Part, Run};

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

    /// What all messages have beside their texts, in order: pictures that the model made, sources, summaries of its thoughts.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.messages.iter().flat_map(|message| &message.parts)
    }

    /// The text of all messages, with a blank line between two.
    #[must_use]
    pub fn text(&self) -> String {
        // A message may be a picture alone.
        let texts =
            self.messages.iter().map(|m| m.content.as_str()).filter(|text| !text.is_empty());
        let texts: Vec<&str> = texts.collect();
        texts.join("\n\n")
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}
