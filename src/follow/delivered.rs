//! What a reader of a run has not been delivered yet: one rule for hooks, subscribers and readers of the database.

use super::transcript::{Seen, SeenMessage};
use crate::model::{Message, Run, RunStatus, ToolCall};

/// How much of one run a reader has been delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) opening: Opening,
    /// Messages in earlier places were delivered already, whatever they said.
    pub(crate) passed: i64,
    /// By their places.
    pub(crate) messages: Vec<DeliveredText>,
    /// Calls of tools by their places, each with the number of the change that was delivered last.
    pub(crate) calls: Vec<(i64, i64)>,
    pub(crate) ended: bool,
    looked: Looked,
}

/// Up to which change of a transcript everything was delivered: so that a look costs what is new, and not what there is. No
/// part of what was delivered.
#[derive(Debug, Clone, Copy, Default)]
struct Looked {
    source: u64,
    version: u64,
}

impl PartialEq for Looked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Looked {}

impl Delivered {
    /// All of the run.
    pub(crate) fn all() -> Self {
        Self { ended: true, ..Self::default() }
    }

    /// Calls in these places are delivered anew.
    pub(crate) fn forget_calls(&mut self, positions: impl Iterator<Item = i64>) {
        for position in positions {
            self.calls.retain(|(known, _)| *known != position);
        }
    }

    /// Whether anything of it was delivered is not known: each call comes anew, and each settled message as replaced, whole.
    pub(crate) fn doubt(&mut self) {
        self.looked = Looked::default();
        self.calls.clear();
        for message in self.messages.iter_mut().filter(|message| message.settled) {
            // No text is as long.
            *message = DeliveredText::new(message.slot, usize::MAX, NOTHING, false);
        }
    }

    /// The message in this place, or where it would be.
    fn find(&self, slot: i64) -> Result<usize, usize> {
        self.messages.binary_search_by_key(&slot, |seen| seen.slot)
    }
}

/// How far the beginning of a run was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Opening {
    #[default]
    Nothing,
    Queued,
    Asked,
    Begun,
}

/// How much of one message was delivered.
#[derive(Debug, Clone)]
pub(crate) struct DeliveredText {
    pub(crate) slot: i64,
    pub(crate) bytes: usize,
    /// Of the text delivered: what a crash left may be another text.
    pub(crate) digest: u64,
    pub(crate) settled: bool,
    /// The transcript whose text was compared with what was delivered, and whether it begins with that; 0 for none.
    source: u64,
    goes_on: bool,
}

/// A source is no part of what was delivered.
impl PartialEq for DeliveredText {
    fn eq(&self, other: &Self) -> bool {
        (self.slot, self.bytes, self.digest, self.settled)
            == (other.slot, other.bytes, other.digest, other.settled)
    }
}

impl Eq for DeliveredText {}

/// FNV-1a, which can be carried on as text is appended.
fn digest(so_far: u64, text: &str) -> u64 {
    text.bytes()
        .fold(so_far, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a of nothing.
const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

impl DeliveredText {
    pub(crate) const fn new(slot: i64, bytes: usize, digest: u64, settled: bool) -> Self {
        Self { slot, bytes, digest, settled, source: 0, goes_on: false }
    }

    /// All of `text`.
    pub(crate) fn of(slot: i64, text: &str, settled: bool) -> Self {
        Self::new(slot, text.len(), digest(NOTHING, text), settled)
    }

    /// Whether the message goes on from what was delivered. Within one transcript the text only grows, until it is
    /// replaced; what another one delivered is compared, once.
    fn goes_on_in(&mut self, message: &SeenMessage, source: u64) -> bool {
        if self.bytes == 0 {
            (self.source, self.goes_on) = (source, true);
            return true;
        }
        if self.source == source {
            return self.goes_on && !message.replaced;
        }
        let goes_on = match message.text.get(..self.bytes) {
            Some(delivered) => digest(NOTHING, delivered) == self.digest,
            // It has not come as far; when it has, its text is compared.
            None if !message.settled && message.text.len() < self.bytes => return false,
            None => false,
        };
        (self.source, self.goes_on) = (source, goes_on);
        goes_on
    }
}

/// One thing a reader has not been delivered.
#[derive(Debug)]
pub(crate) enum Change {
    /// A turn left the path.
    Superseded { seq: i64, run_id: Option<i64> },
    /// The run is submitted.
    Queued(Run),
    /// The user's message is stored.
    UserMessage(Message),
    /// The host stored a message without a run.
    Said(Message),
    /// The run is in progress.
    Begun(Run),
    /// A message of the model is stored; its text follows.
    Created(Message),
    /// Text of a message that was begun by `Created`.
    Appended { message_id: i64, offset: usize, text: String },
    /// The message is settled with another text than the one delivered.
    Replaced(Message),
    /// The message is settled.
    Settled(Message),
    /// A call of a tool changed.
    ToolCall(ToolCall),
    /// The run has ended.
    Ended(Run),
    /// These questions wait behind the run.
    Waiting(Vec<Message>),
}

impl Seen {
    /// The next thing that was not told, if there is one yet.
    pub(crate) fn after(&self, delivered: &mut Delivered) -> Option<Change> {
        let begun = self.begun;
        if delivered.opening < Opening::Queued {
            delivered.opening = Opening::Queued;
            return Some(Change::Queued(self.run.as_it_was(RunStatus::Queued)));
        }
        if delivered.opening < Opening::Asked {
            match &self.user_message {
                Some(message) => {
                    delivered.opening = Opening::Asked;
                    return Some(Change::UserMessage(message.clone()));
                }
                // It is loaded with the claim.
                None if !begun && !self.ended => return None,
                None => delivered.opening = Opening::Asked,
            }
        }
        if delivered.opening < Opening::Begun {
            if !begun && !self.ended {
                return None;
            }
            delivered.opening = Opening::Begun;
            if begun {
                return Some(Change::Begun(self.run.as_it_was(RunStatus::InProgress)));
            }
        }
        if delivered.looked.source != self.source {
            delivered.looked = Looked { source: self.source, version: 0 };
        }
        for (version, message) in self.changed_since(delivered.looked.version) {
            // What was asked for before it was said.
            if let Some(call) = self.of_calls(delivered, message.slot) {
                return Some(call);
            }
            if let Some(change) = self.of_message(message, delivered) {
                return Some(change);
            }
            delivered.looked.version = version;
        }
        if let Some(call) = self.of_calls(delivered, i64::MAX - 1) {
            return Some(call);
        }
        (self.ended && !std::mem::replace(&mut delivered.ended, true))
            .then(|| Change::Ended(self.run.clone()))
    }

    /// The next change of a call that stands before this slot.
    fn of_calls(&self, delivered: &mut Delivered, slot: i64) -> Option<Change> {
        let before = self.calls.iter().take_while(|call| call.position <= slot);
        // The calls of an answer may stand before its text. Their outputs stand behind all of it, and before the next one's.
        for call in before.filter(|call| call.output_position > delivered.passed) {
            let known = delivered.calls.binary_search_by_key(&call.position, |known| known.0);
            match known {
                Ok(at) if delivered.calls[at].1 >= call.version => continue,
                Ok(at) => delivered.calls[at].1 = call.version,
                Err(at) => delivered.calls.insert(at, (call.position, call.version)),
            }
            return Some(Change::ToolCall(call.clone()));
        }
        None
    }

    fn of_message(&self, message: &SeenMessage, delivered: &mut Delivered) -> Option<Change> {
        let row = message.row.as_ref().filter(|_| message.slot >= delivered.passed)?;
        let seen = match delivered.find(message.slot) {
            Ok(at) => &mut delivered.messages[at],
            Err(at) => {
                delivered.messages.insert(at, DeliveredText::new(message.slot, 0, NOTHING, false));
                return Some(Change::Created(row.as_it_began()));
            }
        };
        if seen.settled {
            return None;
        }
        if !seen.goes_on_in(message, self.source) {
            seen.settled = message.settled;
            return message.settled.then(|| Change::Replaced(row.clone()));
        }
        if let Some(text) = message.text.get(seen.bytes..).filter(|text| !text.is_empty()) {
            let (offset, text) = (seen.bytes, text.to_owned());
            seen.bytes = message.text.len();
            seen.digest = digest(seen.digest, &text);
            return Some(Change::Appended { message_id: row.id, offset, text });
        }
        seen.settled = message.settled;
        message.settled.then(|| Change::Settled(row.clone()))
    }
}

#[cfg(test)]
#[path = "delivered_tests.rs"]
mod tests;
