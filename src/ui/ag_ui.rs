//! Events of a run as events of AG-UI.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{arguments, call_error, message_name, question_name, run_error, run_facts, usage};
use crate::follow::event::{Event, EventKind};
use crate::model::{Message, Role, Run, RunStatus, ToolCall, ToolCallStatus, Turn};

/// The version that is spoken.
const PROTOCOL_VERSION: &str = "1.0";

/// Bytes of the messages in one event of history.
pub(super) const MOST_HISTORY: usize = 8 * 1024 * 1024;

/// Makes events of AG-UI 1.0 (package `@ag-ui/core`) of the events of one run. Each is the JSON of one server-sent event, without a
/// name.
///
/// [`RunEvents::ag_ui`](crate::RunEvents::ag_ui) does all that; this is for other ways to a page. A text that turns out to be another
/// one than was streamed cannot be told in this protocol but by the whole history: where [`wants_history`](Self::wants_history) says
/// so of an event, send [`history`](Self::history) behind what [`encode`](Self::encode) makes of it, and go on with the events behind
/// what that history shows ([`Paged::follow`](crate::Paged::follow)).
#[derive(Debug)]
pub struct AgUiEncoder {
    thread_id: String,
    run_id: String,
    begun: bool,
    /// Texts that are open, by the ids of their messages.
    open: Vec<i64>,
    /// What was said of each call, by its id.
    calls: BTreeMap<i64, Told>,
    /// Those that wait for somebody.
    waiting: BTreeMap<i64, ToolCall>,
}

/// How much of a call the page knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Asked,
    Over,
}

impl AgUiEncoder {
    /// Of this run. Its thread is known to the page by our id, and so is the run.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        let id = run.messageable.thread_id().or(run.messageable.chat_id()).unwrap_or_default();
        Self::named(id.to_string(), run.id.to_string())
    }

    /// The same with the ids that the page gave them ([`AgUiRequest`](super::AgUiRequest)).
    #[must_use]
    pub fn named(thread_id: impl Into<String>, run_id: impl Into<String>) -> Self {
        Self {
            thread_id: thread_id.into(),
            run_id: run_id.into(),
            begun: false,
            open: Vec::new(),
            calls: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// The events that tell of this one; none for one of no use to a page.
    #[must_use]
    pub fn encode(&mut self, event: &Event) -> Vec<Value> {
        let mut out = Vec::new();
        self.begin(&mut out);
        match &event.kind {
            EventKind::MessageStarted { message } if message.is_assistant() => {
                self.begin_text(message.id, &mut out);
            }
            EventKind::MessageAppended { message_id, text, .. } => {
                self.begin_text(*message_id, &mut out);
                out.push(json!({
                    "type": "TEXT_MESSAGE_CONTENT", "messageId": message_name(*message_id), "delta": text,
                }));
            }
            EventKind::MessageSettled { message } | EventKind::MessageReplaced { message } => {
                self.end_text(message.id, &mut out);
                thoughts(message, &mut out);
            }
            EventKind::ToolCall { call } => self.call(call, &mut out),
            EventKind::RunSettled { run } => self.end(run, &mut out),
            EventKind::MessageStarted { .. }
            | EventKind::RunQueued { .. }
            | EventKind::RunStarted { .. }
            | EventKind::TurnSuperseded { .. }
            | EventKind::Waiting { .. } => {}
        }
        out
    }

    /// Whether a page needs the history behind this event.
    #[must_use]
    pub const fn wants_history(event: &Event) -> bool {
        matches!(event.kind, EventKind::MessageReplaced { .. })
    }

    /// What was said, the oldest turn first: it takes the place of all that the page has. Messages of the system's are left out, and
    /// so are the oldest turns where all together are more than 8 MiB as JSON: AG-UI's client reads no event of more than 10 Mi
    /// characters.
    #[must_use]
    pub fn history(&mut self, turns: &[Turn]) -> Vec<Value> {
        let mut out = Vec::new();
        self.begin(&mut out);
        self.end_texts(&mut out);
        let mut told: Vec<Vec<Value>> = Vec::new();
        let mut bytes = 0;
        for turn in turns.iter().rev() {
            let mut messages = Vec::new();
            said(turn, &mut messages);
            bytes += messages.iter().map(|message| message.to_string().len()).sum::<usize>();
            if bytes > MOST_HISTORY && !told.is_empty() {
                break;
            }
            told.push(messages);
        }
        let left_out = turns.len() - told.len();
        let messages: Vec<Value> = told.into_iter().rev().flatten().collect();
        for turn in turns.iter().skip(left_out) {
            for call in &turn.tool_calls {
                let over = call.status.is_terminal();
                self.calls.insert(call.id, if over { Told::Over } else { Told::Asked });
                self.note_waiting(call);
            }
        }
        out.push(json!({"type": "MESSAGES_SNAPSHOT", "messages": messages}));
        out
    }

    /// The events of the end of a stream whose run waits for somebody's decision: an interrupt for each call that needs approval,
    /// or else the calls that the page is to carry out.
    #[must_use]
    pub fn waits(&mut self) -> Vec<Value> {
        let mut out = Vec::new();
        self.begin(&mut out);
        self.end_texts(&mut out);
        let needs_approval = |call: &&ToolCall| call.status == ToolCallStatus::AwaitingApproval;
        let interrupts: Vec<Value> =
            self.waiting.values().filter(needs_approval).map(interrupt).collect();
        let outcome = if interrupts.is_empty() {
            let ids: Vec<String> = self.waiting.keys().map(ToString::to_string).collect();
            json!({"type": "success", "pendingToolCallIds": ids})
        } else {
            json!({"type": "interrupt", "interrupts": interrupts})
        };
        out.push(json!({
            "type": "RUN_FINISHED", "threadId": self.thread_id, "runId": self.run_id, "outcome": outcome,
        }));
        out
    }

    fn begin(&mut self, out: &mut Vec<Value>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.push(json!({
                "type": "RUN_STARTED", "threadId": self.thread_id, "runId": self.run_id,
                "protocolVersion": PROTOCOL_VERSION,
            }));
        }
    }

    fn begin_text(&mut self, id: i64, out: &mut Vec<Value>) {
        if !self.open.contains(&id) {
            self.open.push(id);
            let id = message_name(id);
            out.push(json!({"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}));
        }
    }

    fn end_text(&mut self, id: i64, out: &mut Vec<Value>) {
        if self.open.contains(&id) {
            self.open.retain(|open| *open != id);
            out.push(json!({"type": "TEXT_MESSAGE_END", "messageId": message_name(id)}));
        }
    }

    fn end_texts(&mut self, out: &mut Vec<Value>) {
        for id in self.open.clone() {
            self.end_text(id, out);
        }
    }

    fn note_waiting(&mut self, call: &ToolCall) {
        match call.status {
            ToolCallStatus::AwaitingApproval | ToolCallStatus::AwaitingOutput => {
                self.waiting.insert(call.id, call.clone());
            }
            _ => drop(self.waiting.remove(&call.id)),
        }
    }

    fn call(&mut self, call: &ToolCall, out: &mut Vec<Value>) {
        self.note_waiting(call);
        let id = call.id.to_string();
        let told = *self.calls.entry(call.id).or_insert_with(|| {
            out.push(json!({
                "type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": call.name,
            }));
            out.push(json!({
                "type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": arguments(call),
            }));
            out.push(json!({"type": "TOOL_CALL_END", "toolCallId": id}));
            Told::Asked
        });
        if told == Told::Asked && call.status.is_terminal() {
            self.calls.insert(call.id, Told::Over);
            out.push(json!({
                "type": "TOOL_CALL_RESULT", "messageId": output_name(call), "toolCallId": id,
                "content": result(call), "role": "tool",
            }));
        }
    }

    fn end(&mut self, run: &Run, out: &mut Vec<Value>) {
        self.end_texts(out);
        let mut counts = usage(run);
        counts.insert("model".to_owned(), run.model.as_str().into());
        let counts = json!([counts]);
        if run.status == RunStatus::Failed {
            let mut error =
                json!({"type": "RUN_ERROR", "message": run_error(run), "usage": counts});
            if let Some(reason) = &run.reason {
                error["code"] = reason.as_str().into();
            }
            out.push(error);
            return;
        }
        let outcome = if run.status == RunStatus::Cancelled { "cancelled" } else { "success" };
        // An answer that broke off is no error, and there is no outcome for it: what it is stands in the metadata.
        out.push(json!({
            "type": "RUN_FINISHED", "threadId": self.thread_id, "runId": self.run_id,
            "outcome": {"type": outcome}, "usage": counts, "metadata": run_facts(run),
        }));
    }
}

fn output_name(call: &ToolCall) -> String {
    format!("call-{}-output", call.id)
}

/// Whether a message is named like that.
pub(super) fn is_output_name(id: &str) -> bool {
    id.strip_prefix("call-").is_some_and(|id| id.ends_with("-output"))
}

/// What a page is shown of what came of a call.
fn result(call: &ToolCall) -> &str {
    match call.status {
        ToolCallStatus::Completed => call.output.as_deref().unwrap_or_default(),
        _ => call_error(call),
    }
}

/// What has to be decided.
fn interrupt(call: &ToolCall) -> Value {
    let mut interrupt = json!({
        "id": question_name(call), "reason": "tool_approval", "toolCallId": call.id.to_string(), "message": format!("May {} be called?", call.name),
    });
    let until = call.decide_until.and_then(DateTime::from_timestamp_millis);
    if let Some(until) = until {
        interrupt["expiresAt"] = until.to_rfc3339().into();
    }
    interrupt
}

/// What the provider told of the model's thoughts.
fn thoughts(message: &Message, out: &mut Vec<Value>) {
    for part in &message.parts {
        let Some(text) = part.text() else { continue };
        let id = format!("part-{}", part.id);
        out.push(json!({"type": "REASONING_START", "messageId": id}));
        out.push(json!({"type": "REASONING_MESSAGE_START", "messageId": id, "role": "reasoning"}));
        out.push(json!({"type": "REASONING_MESSAGE_CONTENT", "messageId": id, "delta": text}));
        out.push(json!({"type": "REASONING_MESSAGE_END", "messageId": id}));
        out.push(json!({"type": "REASONING_END", "messageId": id}));
    }
}

/// Adds the messages of a turn, as a page would have made them of its events.
fn said(turn: &Turn, messages: &mut Vec<Value>) {
    let mut calls = turn.tool_calls.iter().peekable();
    for message in &turn.messages {
        while let Some(call) = calls.next_if(|call| call.position < message.position) {
            called(call, messages);
        }
        let id = message_name(message.id);
        match message.role {
            Role::System => {}
            Role::User => {
                messages.push(json!({"id": id, "role": "user", "content": message.content}));
            }
            Role::Assistant => {
                messages.push(json!({"id": id, "role": "assistant", "content": message.content}));
                for part in &message.parts {
                    if let Some(text) = part.text() {
                        let id = format!("part-{}", part.id);
                        messages.push(json!({"id": id, "role": "reasoning", "content": text}));
                    }
                }
            }
        }
    }
    for call in calls {
        called(call, messages);
    }
}

fn called(call: &ToolCall, messages: &mut Vec<Value>) {
    let id = call.id.to_string();
    messages.push(json!({
        "id": id, "role": "assistant",
        "toolCalls": [{
            "id": id, "type": "function", "function": {"name": call.name, "arguments": arguments(call)},
        }],
    }));
    if call.status.is_terminal() {
        messages.push(json!({
            "id": output_name(call), "role": "tool", "toolCallId": id, "content": result(call),
        }));
    }
}
