//! What a reader of a run has not seen yet: one rule for hooks, subscribers and readers of the database.

use super::live::State;
use crate::model::{Message, MessageStatus, Run, RunStatus};

/// How far a reader has come.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    user_message: bool,
    begun: bool,
    /// By slot: whether the message was seen, how many bytes of it, and whether its end.
    messages: Vec<Seen>,
    ended: bool,
}

#[derive(Debug)]
struct Seen {
    slot: i64,
    bytes: usize,
    /// Of the text seen: the database's text may have become another.
    digest: u64,
    settled: bool,
}

/// FNV-1a, which can be carried on as text is appended.
fn digest(so_far: u64, text: &str) -> u64 {
    text.bytes()
        .fold(so_far, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a of nothing.
const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

/// One thing a reader has not seen.
#[derive(Debug)]
pub(crate) enum Change {
    /// The user's message is stored.
    UserMessage(Message),
    /// The run is in progress.
    Begun(Run),
    /// A message of the model is stored; its text follows.
    Created(Message),
    /// Text of the message followed last by `Created`, or of an earlier one.
    Appended { message_id: i64, offset: usize, text: String },
    /// The message is settled with another text than the streamed one.
    Replaced(Message),
    /// The message is settled.
    Settled(Message),
    /// The run has ended.
    Ended(Run),
}

impl State {
    /// The next thing after `cursor`, if there is one yet.
    pub(crate) fn after(&self, cursor: &mut Cursor) -> Option<Change> {
        if self.claim.is_none() && !self.ended {
            return None;
        }
        if !std::mem::replace(&mut cursor.user_message, true)
            && let Some(message) = &self.user_message
        {
            return Some(Change::UserMessage(message.clone()));
        }
        if !std::mem::replace(&mut cursor.begun, true) && self.claim.is_some() {
            let mut begun = self.run.clone();
            begun.status = RunStatus::InProgress;
            return Some(Change::Begun(begun));
        }
        for message in &self.messages {
            let Some(row) = &message.row else { continue };
            let Some(seen) = cursor.messages.iter_mut().find(|seen| seen.slot == message.slot)
            else {
                cursor.messages.push(Seen {
                    slot: message.slot,
                    bytes: 0,
                    digest: NOTHING,
                    settled: false,
                });
                let mut created = row.clone();
                created.content.clear();
                created.status = MessageStatus::Streaming;
                return Some(Change::Created(created));
            };
            if seen.settled {
                continue;
            }
            let unchanged = !message.replaced
                && message.text.get(..seen.bytes).is_some_and(|text| {
                    !self.from_database || digest(NOTHING, text) == seen.digest
                });
            if !unchanged {
                if message.settled {
                    seen.settled = true;
                    return Some(Change::Replaced(row.clone()));
                }
                continue;
            }
            if seen.bytes < message.text.len() {
                let (offset, text) = (seen.bytes, message.text[seen.bytes..].to_owned());
                seen.bytes = message.text.len();
                seen.digest = digest(seen.digest, &text);
                return Some(Change::Appended { message_id: row.id, offset, text });
            }
            if message.settled {
                seen.settled = true;
                return Some(Change::Settled(row.clone()));
            }
        }
        if self.ended && !std::mem::replace(&mut cursor.ended, true) {
            return Some(Change::Ended(self.run.clone()));
        }
        None
    }
}
