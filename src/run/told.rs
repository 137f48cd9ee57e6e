//! What a reader of a run has not been told yet: one rule for hooks, subscribers and readers of the database.

use super::live::{LiveMessage, State};
use crate::model::{Message, MessageStatus, Run, RunStatus};

/// How much of one run a reader has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(super) opening: Opening,
    /// Messages in earlier places were told already, whatever they said.
    pub(super) passed: i64,
    pub(super) messages: Vec<Seen>,
    pub(super) ended: bool,
}

impl Told {
    /// All of the run.
    pub(super) fn all() -> Self {
        Self { ended: true, ..Self::default() }
    }
}

/// How far the beginning of a run was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opening {
    #[default]
    Nothing,
    Queued,
    Asked,
    Begun,
}

/// How much of one message was told.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) slot: i64,
    pub(super) bytes: usize,
    /// Of the text told: what a crash left may be another text.
    pub(super) digest: u64,
    pub(super) settled: bool,
    /// The accumulator whose text is known to begin with what was told; 0 for none.
    source: u64,
}

/// A source is no part of what was told.
impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        (self.slot, self.bytes, self.digest, self.settled)
            == (other.slot, other.bytes, other.digest, other.settled)
    }
}

impl Eq for Seen {}

/// FNV-1a, which can be carried on as text is appended.
fn digest(so_far: u64, text: &str) -> u64 {
    text.bytes()
        .fold(so_far, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a of nothing.
const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

impl Seen {
    pub(super) const fn new(slot: i64, bytes: usize, digest: u64, settled: bool) -> Self {
        Self { slot, bytes, digest, settled, source: 0 }
    }

    /// All of `text`.
    pub(super) fn of(slot: i64, text: &str, settled: bool) -> Self {
        Self::new(slot, text.len(), digest(NOTHING, text), settled)
    }

    /// Whether the message goes on from what was told. Within one accumulator the text only grows, until it is
    /// replaced; what another one told is compared.
    fn goes_on_in(&mut self, message: &LiveMessage, source: u64) -> bool {
        if self.bytes == 0 {
            self.source = source;
        } else if self.source == source {
            return !message.replaced;
        } else {
            let told = message.text.get(..self.bytes);
            if told.is_none_or(|told| digest(NOTHING, told) != self.digest) {
                return false;
            }
            self.source = source;
        }
        true
    }
}

/// One thing a reader has not been told.
#[derive(Debug)]
pub(crate) enum Change {
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
    /// Text of a message that was told of by `Created`.
    Appended { message_id: i64, offset: usize, text: String },
    /// The message is settled with another text than the one told.
    Replaced(Message),
    /// The message is settled.
    Settled(Message),
    /// The run has ended.
    Ended(Run),
}

impl State {
    /// The next thing that was not told, if there is one yet.
    pub(crate) fn after(&self, told: &mut Told) -> Option<Change> {
        let begun = self.claim.is_some();
        if told.opening < Opening::Queued {
            told.opening = Opening::Queued;
            return Some(Change::Queued(self.run.as_it_was(RunStatus::Queued)));
        }
        if told.opening < Opening::Asked {
            match &self.user_message {
                Some(message) => {
                    told.opening = Opening::Asked;
                    return Some(Change::UserMessage(message.clone()));
                }
                // It is loaded with the claim.
                None if !begun && !self.ended => return None,
                None => told.opening = Opening::Asked,
            }
        }
        if told.opening < Opening::Begun {
            if !begun && !self.ended {
                return None;
            }
            told.opening = Opening::Begun;
            if begun {
                return Some(Change::Begun(self.run.as_it_was(RunStatus::InProgress)));
            }
        }
        let change = self.messages.iter().find_map(|message| self.of_message(message, told));
        if change.is_none() && self.ended && !std::mem::replace(&mut told.ended, true) {
            return Some(Change::Ended(self.run.clone()));
        }
        change
    }

    fn of_message(&self, message: &LiveMessage, told: &mut Told) -> Option<Change> {
        let row = message.row.as_ref().filter(|_| message.slot >= told.passed)?;
        let Some(seen) = told.messages.iter_mut().find(|seen| seen.slot == message.slot) else {
            told.messages.push(Seen::new(message.slot, 0, NOTHING, false));
            let mut created = row.clone();
            created.content.clear();
            created.status = MessageStatus::Streaming;
            return Some(Change::Created(created));
        };
        if seen.settled {
            return None;
        }
        if !seen.goes_on_in(message, self.source) {
            seen.settled = message.settled;
            return message.settled.then(|| Change::Replaced(row.clone()));
        }
        if seen.bytes < message.text.len() {
            let (offset, text) = (seen.bytes, message.text[seen.bytes..].to_owned());
            seen.bytes = message.text.len();
            seen.digest = digest(seen.digest, &text);
            return Some(Change::Appended { message_id: row.id, offset, text });
        }
        seen.settled = message.settled;
        message.settled.then(|| Change::Settled(row.clone()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::model::{Messageable, RemoteState, Role, Usage};
    use crate::run::LiveRun;

    fn run(status: RunStatus) -> Run {
        let now = Utc::now();
        Run {
            id: 1,
            messageable: Messageable::AssistantThread(1),
            assistant_id: None,
            assistant_name: None,
            model: "m".to_owned(),
            seq: 1,
            status,
            reason: None,
            error: None,
            attempts: 1,
            idempotency_key: None,
            usage: Usage::default(),
            created_at: now,
            started_at: Some(now),
            finished_at: None,
        }
    }

    /// A source of the run in which the model has said this much.
    fn said(text: &str, status: MessageStatus) -> LiveRun {
        let now = Utc::now();
        let message = Message {
            id: 9,
            messageable: Messageable::AssistantThread(1),
            run_id: Some(1),
            seq: 1,
            position: 1,
            role: Role::Assistant,
            status,
            content: text.to_owned(),
            model: None,
            usage: Usage::default(),
            remote_id: None,
            remote_state: RemoteState::Absent,
            created_at: now,
            updated_at: now,
        };
        let ended = status != MessageStatus::Streaming;
        let run = run(if ended { RunStatus::Completed } else { RunStatus::InProgress });
        LiveRun::stored(run, vec![message])
    }

    /// What a reader of this source is told, in a word each.
    fn tell(source: &LiveRun, told: &mut Told) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(change) = source.state().after(told) {
            words.push(match change {
                Change::Appended { offset, text, .. } => format!("{offset}:{text}"),
                Change::Replaced(message) => format!("replaced {}", message.content),
                Change::Settled(_) => "settled".to_owned(),
                Change::Ended(_) => "ended".to_owned(),
                _ => continue,
            });
        }
        words
    }

    #[test]
    fn a_reader_that_changes_its_source_is_told_the_rest() {
        let mut told = Told::default();
        assert_eq!(tell(&said("Once ", MessageStatus::Streaming), &mut told), ["0:Once "]);
        // The other source is behind: nothing until it has caught up.
        assert_eq!(tell(&said("On", MessageStatus::Streaming), &mut told), [""; 0]);
        let end = said("Once upon", MessageStatus::Completed);
        assert_eq!(tell(&end, &mut told), ["5:upon", "settled", "ended"]);
        assert_eq!(tell(&end, &mut told), [""; 0]);
    }

    #[test]
    fn another_text_in_another_source_replaces_what_was_told() {
        for (text, status) in
            [("On", MessageStatus::Incomplete), ("Twice upon", MessageStatus::Completed)]
        {
            let mut told = Told::default();
            tell(&said("Once ", MessageStatus::Streaming), &mut told);
            assert_eq!(tell(&said("Twice ", MessageStatus::Streaming), &mut told), [""; 0]);
            let replaced = format!("replaced {text}");
            assert_eq!(tell(&said(text, status), &mut told), [replaced.as_str(), "ended"]);
        }
    }
}
