//! A run that this process does not drive, as far as it is stored: a transcript like that of a run driven here, so that its
//! readers go by the same rules.

use std::collections::HashMap;

use super::transcript::{Seen, Transcript};
use crate::model::{Message, MessageStatus, Run, ToolCall};
use crate::store::timeline::{Followed, Progress};

impl Transcript {
    pub(crate) fn stored(run: Run, messages: Vec<Message>, calls: Vec<ToolCall>) -> Self {
        let stored = Self::of(run.clone(), true);
        stored.update(|seen| seen.take(run, messages, calls));
        stored
    }

    /// What to ask about it.
    pub(crate) fn followed(&self) -> Followed {
        self.look(|seen| {
            let unsettled = seen.messages.iter().filter(|message| !message.settled);
            let texts = unsettled
                .filter_map(|message| Some((message.row.as_ref()?.id, message.text.len())));
            Followed { run: self.id, texts: texts.collect() }
        })
    }

    /// Takes over what was stored since. Whether the text still only grew: if not, this transcript is of no more use.
    pub(crate) fn follow(&self, progress: Progress) -> bool {
        self.update(|seen| {
            let Progress { run, messages, appended, calls } = progress;
            let rows = seen.messages.iter().filter_map(|message| {
                message.row.as_ref().map(|row| (row.id, (message.slot, message.text.len())))
            });
            let mut known: HashMap<i64, (i64, usize)> =
                if appended.is_empty() { HashMap::new() } else { rows.collect() };
            for appended in appended {
                let Some((slot, bytes)) = known.get_mut(&appended.message_id) else { continue };
                if *bytes != appended.offset {
                    return false;
                }
                *bytes += appended.text.len();
                seen.change(*slot, |message| message.text.push_str(&appended.text));
            }
            seen.take(run, messages, calls);
            true
        })
    }
}

impl Seen {
    /// A run and messages as they are stored now.
    pub(crate) fn take(&mut self, run: Run, mut messages: Vec<Message>, calls: Vec<ToolCall>) {
        self.ended = run.status.is_terminal();
        self.begun = run.started_at.is_some();
        self.run = run;
        // Told in the order of their places, in whichever the database gives them.
        messages.sort_by_key(|message| message.position);
        for message in messages {
            if message.is_assistant() {
                self.take_message(message);
            } else {
                self.user_message = Some(message);
            }
        }
        self.show_calls(calls);
    }

    fn take_message(&mut self, row: Message) {
        // It comes with each look, and does not change any more.
        let settled = self.message(row.position - 1).is_some_and(|known| known.settled);
        if settled {
            return;
        }
        self.change(row.position - 1, |message| {
            // Once replaced it stays so: a reader may not have looked in between.
            message.replaced |= !row.content.starts_with(&message.text);
            message.settled = row.status != MessageStatus::Streaming;
            message.text.clone_from(&row.content);
            message.row = Some(row);
        });
    }
}
