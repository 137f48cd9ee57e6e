//! A run that this process does not drive, as far as it is stored: an accumulator like that of a live run, so that its
//! readers go by the same rules.

use std::collections::HashMap;

use super::live::{LiveRun, State};
use crate::model::{Message, MessageStatus, Run};
use crate::store::runs::Claim;
use crate::store::timeline::{Followed, Progress};

impl LiveRun {
    pub(crate) fn stored(run: Run, messages: Vec<Message>) -> Self {
        let mut stored = Self::new(run.clone());
        stored.replica = true;
        stored.state().take(run, messages);
        stored
    }

    /// What to ask about it.
    pub(crate) fn followed(&self) -> Followed {
        let state = self.state();
        let unsettled = state.messages.iter().filter(|message| !message.settled);
        let texts =
            unsettled.filter_map(|message| Some((message.row.as_ref()?.id, message.text.len())));
        Followed { run: self.id, texts: texts.collect() }
    }

    /// Takes over what was stored since. Whether the text still only grew: if not, this accumulator is of no more use.
    pub(crate) fn follow(&self, progress: Progress) -> bool {
        self.update(|state| {
            let Progress { run, messages, appended } = progress;
            let rows = state.messages.iter().filter_map(|message| {
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
                state.change(*slot, |message| message.text.push_str(&appended.text));
            }
            state.take(run, messages);
            true
        })
    }
}

impl State {
    /// A run and messages as they are stored now.
    fn take(&mut self, run: Run, messages: Vec<Message>) {
        self.ended = run.status.is_terminal();
        let claim = Claim { run_id: run.id, token: 0 };
        self.claim = run.started_at.map(|_| claim);
        self.run = run;
        for message in messages {
            if message.is_assistant() {
                self.take_message(message);
            } else {
                self.user_message = Some(message);
            }
        }
    }

    fn take_message(&mut self, row: Message) {
        self.change(row.position - 1, |message| {
            // Once replaced it stays so: a reader may not have looked in between.
            message.replaced |= !row.content.starts_with(&message.text);
            message.settled = row.status != MessageStatus::Streaming;
            message.text.clone_from(&row.content);
            message.row = Some(row);
        });
    }
}
