//! What a reader of events is shown, put together as a browser would.

use std::collections::HashMap;

use ai_engine::{Event, EventKind, Role};

use crate::host::{show, tell};

/// The texts of the messages that are not over.
#[derive(Debug, Default)]
pub struct Shown {
    texts: HashMap<i64, String>,
}

impl Shown {
    pub fn take(&mut self, event: Event) {
        match event.kind {
            EventKind::MessageStarted { message, .. } if message.role == Role::Assistant => {
                self.texts.insert(message.id, message.content);
            }
            EventKind::MessageAppended { message_id, offset, text, .. } => {
                let told = self.texts.entry(message_id).or_default();
                if told.len() != offset {
                    tell(&format!("message {message_id} goes on at {offset} after {told:?}"));
                }
                told.push_str(&text);
                show(message_id, "part", told);
            }
            EventKind::MessageReplaced { message, .. } => {
                self.texts.remove(&message.id);
                show(message.id, "whole", &message.content);
            }
            EventKind::MessageSettled { message, .. } => {
                let told = self.texts.remove(&message.id).unwrap_or_default();
                if told != message.content {
                    tell(&format!(
                        "message {} is {:?}, told was {told:?}",
                        message.id, message.content
                    ));
                }
                show(message.id, "whole", &told);
            }
            _ => {}
        }
    }
}
