//! An answer put together from its chunks. No connection is needed for it.

use std::borrow::Cow;

use serde_json::Value;

use super::calls::Calls;
use super::chunk::{Choice, Chunk};
use crate::openai::unstable::Usage;
use crate::openai::{Error, Result};

/// What the model said, whole.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    /// Why it ended, in the server's word.
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Option<Usage>,
    /// How it was served, in the server's word.
    pub(crate) service_tier: Option<String>,
    /// In the order in which they began.
    pub(crate) pieces: Vec<Piece>,
}

/// A piece of what it said.
#[derive(Debug)]
pub(crate) enum Piece {
    Reasoning(String),
    Message { parts: Vec<Part>, annotations: Vec<Value> },
    Call { id: Option<String>, name: String, arguments: String },
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Refusal(String),
}

/// What a chunk brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The id of the answer, once.
    pub(super) started: Option<String>,
    /// More of the message, and its place among the pieces.
    pub(super) text: Option<(usize, String)>,
}

/// What began.
#[derive(Debug)]
enum Begun {
    Reasoning,
    Message,
    Call(usize),
}

/// Puts chunks together.
#[derive(Debug, Default)]
pub(super) struct Reader {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Usage>,
    service_tier: Option<String>,
    finish_reason: Option<String>,
    order: Vec<Begun>,
    /// Place of the message among what began.
    message: Option<usize>,
    parts: Vec<Part>,
    annotations: Vec<Value>,
    reasoning: String,
    calls: Calls,
    /// There was a choice, whatever it said.
    answered: bool,
    bytes: usize,
    most_bytes: usize,
}

impl Reader {
    /// `most_bytes`: of all that is kept.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, ..Self::default() }
    }

    pub(super) fn read(&mut self, chunk: Chunk<'_>) -> Result<News> {
        let started = match (&self.id, chunk.id) {
            (None, Some(id)) => {
                let id = id.into_owned();
                self.id = Some(id.clone());
                Some(id)
            }
            _ => None,
        };
        if self.model.is_none() {
            self.model = chunk.model.map(Cow::into_owned);
        }
        // Some servers count as they go; the last count is the whole.
        self.usage = chunk.usage.or(self.usage);
        self.service_tier = chunk.service_tier.or_else(|| self.service_tier.take());
        let text = match chunk.choice {
            Some(choice) => self.read_choice(choice)?,
            None => None,
        };
        Ok(News { started, text })
    }

    fn read_choice(&mut self, choice: Choice) -> Result<Option<(usize, String)>> {
        self.answered = true;
        self.finish_reason = choice.finish_reason.or_else(|| self.finish_reason.take());
        // Some servers say at the end all that they said before.
        if choice.is_whole && !self.order.is_empty() {
            return Ok(None);
        }
        self.count(choice.reasoning.len() + choice.text.len() + choice.refusal.len())?;
        if !choice.reasoning.is_empty() {
            if self.reasoning.is_empty() {
                self.order.push(Begun::Reasoning);
            }
            self.reasoning.push_str(&choice.reasoning);
        }
        let text = self.say(choice.text, &choice.refusal);
        for annotation in choice.annotations {
            self.count(annotation.to_string().len())?;
            self.annotations.push(annotation);
        }
        for fragment in choice.calls {
            // Each piece costs something, also an empty one.
            self.count(fragment.arguments.len() + 64)?;
            self.order.extend(self.calls.add(fragment).map(Begun::Call));
        }
        Ok(text)
    }

    /// Takes more of the message; its place and what is new.
    fn say(&mut self, mut text: String, refusal: &str) -> Option<(usize, String)> {
        if text.is_empty() && refusal.is_empty() {
            return None;
        }
        let place = *self.message.get_or_insert_with(|| {
            self.order.push(Begun::Message);
            self.order.len() - 1
        });
        if !text.is_empty() {
            match self.parts.last_mut() {
                Some(Part::Text(last)) => last.push_str(&text),
                _ => self.parts.push(Part::Text(text.clone())),
            }
        }
        if !refusal.is_empty() {
            match self.parts.last_mut() {
                Some(Part::Refusal(last)) => last.push_str(refusal),
                _ => self.parts.push(Part::Refusal(refusal.to_owned())),
            }
            text.push_str(refusal);
        }
        Some((place, text))
    }

    fn count(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.most_bytes {
            let (what, limit) = ("the answer", self.most_bytes);
            return Err(Error::TooLarge { what, limit, setting: "max_body_bytes" });
        }
        Ok(())
    }

    /// Whether the server said why the answer is over.
    pub(super) const fn is_finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// Whether it ended, and not for an error.
    pub(super) fn is_whole(&self) -> bool {
        self.finish_reason.as_deref().is_some_and(|reason| reason != "error")
    }

    /// Whether any chunk was of an answer.
    pub(super) const fn has_answer(&self) -> bool {
        self.answered
    }

    /// All that it said.
    pub(super) fn finish(&mut self) -> Completion {
        let mut this = std::mem::take(self);
        let mut annotations = Some(this.annotations).filter(|found| !found.is_empty());
        let order = this.order;
        let pieces = order.into_iter().map(|begun| match begun {
            Begun::Reasoning => Piece::Reasoning(std::mem::take(&mut this.reasoning)),
            Begun::Message => Piece::Message {
                parts: std::mem::take(&mut this.parts),
                annotations: annotations.take().unwrap_or_default(),
            },
            Begun::Call(at) => {
                let call = this.calls.take(at);
                Piece::Call { id: call.id, name: call.name, arguments: call.arguments }
            }
        });
        Completion {
            pieces: pieces.collect(),
            id: this.id,
            model: this.model,
            finish_reason: this.finish_reason,
            usage: this.usage,
            service_tier: this.service_tier,
        }
    }
}
