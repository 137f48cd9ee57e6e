//! One run in the making, from where it begins or goes on to where it ends or waits for tool outputs.

use serde_json::{Value, json};

use crate::{
    fake::Shared,
    script::reply::{Ending, ErrorEvent, Reply},
    service::{
        items,
        job::{Job, final_text, has_message},
        snapshot,
        state::State,
    },
    wire::{
        assistants as wire,
        frame::{Event, Voice},
    },
};

use super::objects::{self, set_status};

#[derive(Debug)]
pub(super) struct ThreadJob {
    id: String,
    thread: String,
    run: Value,
    /// What is told before the run is in progress.
    first: Vec<Event>,
    /// The message, and the step that this is.
    writing: (Value, Value),
    /// The messages among the items.
    others: Vec<(Value, Value)>,
    /// The step that has its tools called.
    calling: Value,
    input_tokens: u64,
    /// Tokens in and out, by the whole run.
    used: (u64, u64),
}

/// The event that says how an object is now.
pub(super) fn told_as(object: &Value) -> Event {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    Event::Named(format!("{}.{}", text("object"), text("status")), object.clone())
}

fn created(object: &Value) -> Event {
    Event::Named(
        format!("{}.created", object["object"].as_str().unwrap_or_default()),
        object.clone(),
    )
}

/// The items of this type.
fn of_type<'r>(reply: &'r Reply, kind: &'static str) -> impl Iterator<Item = &'r Value> {
    reply.items.iter().filter(move |item| item["type"] == kind)
}

/// A message that the run writes, and the step that this is.
fn writing(state: &mut State, run: &Value, id: &str) -> (Value, Value) {
    let details = json!({"type": "message_creation", "message_creation": {"message_id": id}});
    (objects::answer(id, run), objects::step(&state.mint("step"), run, &details))
}

impl ThreadJob {
    pub(super) fn new(
        state: &mut State,
        run: Value,
        first: Vec<Event>,
        reply: &Reply,
        input_tokens: u64,
        used: (u64, u64),
    ) -> Self {
        let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        let mut others = Vec::new();
        for item in of_type(reply, "message") {
            let id = item["id"].as_str().unwrap_or_default();
            let (mut message, step) = writing(state, &run, id);
            let parts = item["content"].as_array().into_iter().flatten();
            message["content"] = parts.map(wire::part).collect();
            others.push((message, step));
        }
        let id = state.mint("msg");
        let (message, step) = writing(state, &run, &id);
        let calls: Vec<Value> = of_type(reply, "function_call").map(wire::call).collect();
        let details = json!({"type": "tool_calls", "tool_calls": calls});
        Self {
            id: text("id"),
            thread: text("thread_id"),
            calling: objects::step(&state.mint("step"), &run, &details),
            run,
            first,
            writing: (message, step),
            others,
            input_tokens,
            used,
        }
    }

    fn calls(&self) -> &[Value] {
        let calls = self.calling["step_details"]["tool_calls"].as_array();
        calls.map(Vec::as_slice).unwrap_or_default()
    }

    /// The tokens of what is made now, and of the whole run.
    fn count(&mut self, reply: &Reply) -> Value {
        let said: String = reply.items.iter().map(items::text_of).collect();
        let estimated = || (self.input_tokens, snapshot::tokens(&(said + &final_text(reply))));
        let (input, output) = reply.usage.unwrap_or_else(estimated);
        self.used = (self.used.0 + input, self.used.1 + output);
        objects::usage((input, output))
    }

    fn close_message(&mut self, reply: &Reply, usage: &Value, last_error: &Value) -> Vec<Event> {
        let (message, step) = &mut self.writing;
        let reason = match &reply.ending {
            Ending::Completed => None,
            Ending::Incomplete(reason) if reason == "content_filter" => Some("content_filter"),
            Ending::Incomplete(_) => Some("max_tokens"),
            Ending::Failed { .. } => Some("run_failed"),
        };
        message["content"] = json!([objects::text(&final_text(reply))]);
        message["incomplete_details"] = json!(reason.map(|reason| json!({"reason": reason})));
        set_status(message, if reason.is_some() { "incomplete" } else { "completed" });
        step["usage"] = usage.clone();
        step["last_error"] = last_error.clone();
        set_status(step, if last_error.is_null() { "completed" } else { "failed" });
        vec![told_as(message), told_as(step)]
    }

    /// What is told of the calls; the step is open until their outputs are there.
    fn call_events(&mut self) -> Vec<Event> {
        let mut begun = self.calling.clone();
        begun["step_details"]["tool_calls"] = json!([]);
        let mut events = vec![created(&begun), told_as(&begun)];
        for (index, call) in self.calls().iter().enumerate() {
            events.extend(wire::call_deltas(&begun["id"], index, call));
        }
        let wanted = |call: &Value| {
            let function = &call["function"];
            json!({
                "id": call["id"], "type": "function",
                "function": {"name": function["name"], "arguments": function["arguments"]},
            })
        };
        let calls: Vec<Value> = self.calls().iter().map(wanted).collect();
        self.run["required_action"] =
            json!({"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}});
        set_status(&mut self.run, "requires_action");
        events
    }
}

impl Job for ThreadJob {
    fn id(&self) -> &str {
        &self.id
    }

    fn in_background(&self) -> bool {
        true
    }

    fn voice(&self, _reply: &Reply) -> Voice {
        let id = self.writing.0["id"].as_str().unwrap_or_default();
        Voice::Thread { message_id: id.to_owned() }
    }

    fn opening(&mut self, reply: &Reply) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.first);
        set_status(&mut self.run, "in_progress");
        events.push(told_as(&self.run));
        for (message, step) in &mut self.others {
            let whole = message["content"].take();
            message["content"] = json!([]);
            events.extend([created(step), told_as(step), created(message), told_as(message)]);
            events.extend(wire::part_deltas(&message["id"], &whole));
            message["content"] = whole;
            set_status(message, "completed");
            set_status(step, "completed");
            events.extend([told_as(message), told_as(step)]);
        }
        if has_message(reply) {
            let (message, step) = &self.writing;
            events.extend([created(step), told_as(step), created(message), told_as(message)]);
        }
        events
    }

    /// What an event says is so before it leaves: who has seen it may go on at once.
    fn tells(&mut self, event: &Event, shared: &Shared) {
        let Event::Named(kind, object) = event else { return };
        let store = &mut shared.state().assistants;
        if kind == "thread.run.requires_action" {
            store.told(&self.thread, &self.id, &self.calling);
        }
        store.told(&self.thread, &self.id, object);
        store.used(&self.thread, &self.id, self.used);
    }

    fn close(&mut self, reply: &Reply) -> Vec<Event> {
        let usage = self.count(reply);
        let last_error = match &reply.ending {
            Ending::Failed { code, message } => json!({"code": code, "message": message}),
            _ => Value::Null,
        };
        let mut events = Vec::new();
        if has_message(reply) {
            events = self.close_message(reply, &usage, &last_error);
        }
        let waits = !self.calls().is_empty() && matches!(reply.ending, Ending::Completed);
        if waits {
            events.extend(self.call_events());
        } else {
            if reply.reports_usage {
                self.run["usage"] = objects::usage(self.used);
            }
            self.run["last_error"] = last_error;
            let status = match &reply.ending {
                Ending::Completed => "completed",
                Ending::Incomplete(_) => "incomplete",
                Ending::Failed { .. } => "failed",
            };
            if let Ending::Incomplete(reason) = &reply.ending {
                // The other protocols call the same limit so.
                let reason = reason.replace("max_output_tokens", "max_completion_tokens");
                self.run["incomplete_details"] = json!({"reason": reason});
            }
            set_status(&mut self.run, status);
        }
        match &reply.ending {
            Ending::Failed { code, message } if reply.error_event != ErrorEvent::Nested => {
                events.push(wire::error(reply.error_event, code, message));
            }
            _ => events.extend([told_as(&self.run), Event::Done]),
        }
        events
    }

    /// It never is: a run goes on without its client.
    fn cancel(&mut self) {}

    fn settle(&mut self, shared: &Shared) {
        shared.state().assistants.told(&self.thread, &self.id, &self.run);
    }

    fn take_answer(&mut self) -> (u16, Value) {
        (200, self.run.take())
    }

    fn keepalive(&self) -> Event {
        Event::Comment
    }
}
