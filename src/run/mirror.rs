//! A run that this process does not drive, as far as it is stored: an accumulator like that of a live run, so that its
//! readers go by the same rules.

use super::live::{LiveMessage, LiveRun, State};
use crate::model::{Message, MessageStatus, Run};
use crate::store::runs::Claim;
use crate::store::turns::{Followed, Progress};

impl LiveRun {
    pub(super) fn stored(run: Run, messages: Vec<Message>) -> Self {
        let mut stored = Self::new(run.clone());
        stored.mirror = true;
        stored.state().take(run, messages);
        stored
    }

    /// What to ask about it.
    pub(super) fn followed(&self) -> Followed {
        let state = self.state();
        let unsettled = state.messages.iter().filter(|message| !message.settled);
        let texts =
            unsettled.filter_map(|message| Some((message.row.as_ref()?.id, message.text.len())));
        Followed { run: self.id, texts: texts.collect() }
    }

    /// Takes over what was stored since. Whether the text still only grew: if not, this accumulator is of no more use.
    pub(super) fn follow(&self, progress: Progress) -> bool {
        self.update(|state| {
            let Progress { run, messages, appended } = progress;
            for appended in appended {
                let known = |message: &&mut LiveMessage| {
                    message.row.as_ref().is_some_and(|row| row.id == appended.message_id)
                };
                let Some(message) = state.messages.iter_mut().find(known) else { continue };
                if message.text.len() != appended.offset {
                    return false;
                }
                message.text.push_str(&appended.text);
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
        let message = self.message_at(row.position - 1);
        message.replaced = !row.content.starts_with(&message.text);
        message.settled = row.status != MessageStatus::Streaming;
        message.text.clone_from(&row.content);
        message.row = Some(row);
    }
}
