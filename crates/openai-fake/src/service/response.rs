//! One response of the Responses API in the making.

use std::mem;

use serde_json::Value;

use crate::{
    fake::Shared,
    script::reply::Reply,
    service::{
        ending,
        job::{Job, has_message},
        snapshot,
    },
    wire::{
        events,
        frame::{Event, Voice},
    },
};

/// What a run needs to know of the request it answers.
#[derive(Debug)]
pub(crate) struct ResponseJob {
    pub(crate) id: String,
    pub(crate) response: Value,
    pub(crate) message_id: String,
    pub(crate) input: Vec<Value>,
    pub(crate) input_tokens: u64,
    pub(crate) conversation: Option<String>,
    /// Whether the items go to the conversation, if there is one.
    pub(crate) store: bool,
    pub(crate) obfuscate: bool,
    pub(crate) background: bool,
}

impl ResponseJob {
    fn message(&self, reply: &Reply) -> Option<&str> {
        has_message(reply).then_some(self.message_id.as_str())
    }
}

impl Job for ResponseJob {
    fn id(&self) -> &str {
        &self.id
    }

    fn in_background(&self) -> bool {
        self.background
    }

    fn voice(&self, reply: &Reply) -> Voice {
        Voice::Response { message_id: self.message_id.clone(), output_index: reply.items.len() }
    }

    fn obfuscates(&self) -> bool {
        self.obfuscate
    }

    fn opening(&mut self, reply: &Reply) -> Vec<Event> {
        let message = self.message(reply);
        let events = events::opening(&self.response, self.background, &reply.items, message);
        events.into_iter().map(Event::Json).collect()
    }

    fn tells(&mut self, event: &Event, shared: &Shared) {
        let Event::Json(event) = event else { return };
        if self.background && event["type"] == "response.in_progress" {
            shared.state().update_response(&self.id, &self.response);
        }
    }

    fn close(&mut self, reply: &Reply) -> Vec<Event> {
        let begun = mem::take(&mut self.response);
        let (response, events) = ending::of(begun, reply, self.message(reply), self.input_tokens);
        self.response = response;
        events.into_iter().map(Event::Json).collect()
    }

    fn cancel(&mut self) {
        self.response = snapshot::cancelled(mem::take(&mut self.response));
    }

    /// Stores the outcome and lets the conversation go.
    fn settle(&mut self, shared: &Shared) {
        let response = &self.response;
        let keep = matches!(response["status"].as_str(), Some("completed" | "incomplete"));
        let mut state = shared.state();
        if state.is_cancelled(&self.id) {
            return;
        }
        state.update_response(&self.id, response);
        if let Some(conversation) = &self.conversation {
            if keep && self.store {
                let mut items = mem::take(&mut self.input);
                items.extend(response["output"].as_array().into_iter().flatten().cloned());
                // The conversation may have been deleted meanwhile; then the items go nowhere.
                let _ = state.append(conversation, items);
            }
            state.unlock(conversation, &self.id);
        }
    }

    fn take_answer(&mut self) -> (u16, Value) {
        (200, mem::take(&mut self.response))
    }

    fn keepalive(&self) -> Event {
        Event::Json(events::keepalive())
    }
}
