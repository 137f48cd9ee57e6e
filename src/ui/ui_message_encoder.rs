//! Events of a run as chunks of the AI SDK's UI message stream.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::beside::{FileUrl, beside_the_text};
use super::{
    arguments, call_error, json_or_text, message_name, question_name, question_named, run_error,
    run_facts, run_name,
};
use crate::follow::cursor::Cursor;
use crate::follow::event::{Event, EventKind};
use crate::model::{Message, Messageable, Part, Reason, Run, RunStatus, ToolCall, ToolCallStatus};

/// Makes chunks of the AI SDK's UI message stream (version 7 of the package `ai`: `uiMessageChunkSchema`) of the events of one run.
///
/// Each chunk is the JSON of one server-sent event, without a name; behind the last one a stream says `[DONE]`.
/// [`RunEvents::ui_message_stream`](crate::RunEvents::ui_message_stream) does all that; this is for other ways to a page.
///
/// ```
/// # use ai_engine::{Run, RunEvents, ui::UiMessageEncoder};
/// # async fn send(mut events: RunEvents) -> ai_engine::Result<()> {
/// let mut encoder = UiMessageEncoder::new(events.run());
/// while let Some(event) = events.next().await {
///     for chunk in encoder.encode(&event?) {
///         println!("{chunk}"); // {"type":"text-delta","id":"message-7","delta":"Once"}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct UiMessageEncoder {
    run: String,
    /// Where the run stands.
    of: Messageable,
    seq: i64,
    begun: bool,
    step: Step,
    /// Texts that are open, by the ids of their messages.
    open: Vec<i64>,
    /// What was said of each call, by its place in the turn.
    calls: BTreeMap<i64, Told>,
    /// Calls whose outputs the page may send, by their ids.
    awaiting_output: BTreeSet<i64>,
    pub(super) file_url: Option<FileUrl>,
}

/// One call of the model: its texts, and what it asked for.
#[derive(Debug, Default)]
struct Step {
    open: bool,
    /// The number that its calls say.
    number: Option<i64>,
    /// Where the outputs of its calls begin: what stands behind them is of another step.
    outputs: Option<i64>,
    /// Its chunks, so that they can be sent again when a text turns out to be another one.
    chunks: Vec<Value>,
}

/// How much of a call the page knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It had it before this stream, however far.
    Before,
    Asked,
    /// Somebody was asked, when it had been begun so often.
    AwaitingApproval(i64),
    Approved,
    Over,
}

impl UiMessageEncoder {
    /// Of this run from its beginning.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        Self {
            run: run_name(run.id),
            of: run.messageable,
            seq: run.seq,
            begun: false,
            step: Step::default(),
            open: Vec::new(),
            calls: BTreeMap::new(),
            awaiting_output: BTreeSet::new(),
            file_url: None,
        }
    }

    /// Goes on with a message of which the page has what came before this place. A place in another run says nothing of this one.
    #[must_use]
    pub fn after(mut self, cursor: &Cursor) -> Self {
        let cursor = cursor.clone().within(self.seq);
        if (cursor.of, cursor.seq) != (self.of, self.seq) {
            return self;
        }
        let known = cursor.delivered.calls.iter();
        self.calls = known.map(|(position, _)| (*position, Told::Before)).collect();
        self
    }

    /// Says where a page finds the bytes of a picture or file that is stored here. Those of which it says `None` are left out, as
    /// all are without it.
    #[must_use]
    pub fn files(
        mut self,
        url: impl Fn(&Message, &Part) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.file_url = Some(Arc::new(url));
        self
    }

    /// The chunks that tell of this event; none for an event of no use to a page.
    #[must_use]
    pub fn encode(&mut self, event: &Event) -> Vec<Value> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            out.push(json!({"type": "start", "messageId": self.run}));
        }
        match &event.kind {
            EventKind::RunQueued { run } | EventKind::RunStarted { run } => {
                out.push(json!({"type": "message-metadata", "messageMetadata": run_facts(run)}));
            }
            EventKind::MessageStarted { message } if message.is_assistant() => {
                if self.step.outputs.is_some_and(|outputs| message.position > outputs) {
                    self.finish_step(&mut out);
                }
                self.begin_text(message.id, &mut out);
            }
            EventKind::MessageAppended { message_id, text, .. } => {
                self.begin_text(*message_id, &mut out);
                self.push(
                    json!({"type": "text-delta", "id": message_name(*message_id), "delta": text}),
                    &mut out,
                );
            }
            EventKind::MessageSettled { message } => self.settle(message, &mut out),
            EventKind::MessageReplaced { message } => self.replace(message, &mut out),
            EventKind::ToolCall { call } => self.call(call, &mut out),
            EventKind::RunSettled { run } => self.end(run, &mut out),
            EventKind::MessageStarted { .. }
            | EventKind::TurnSuperseded { .. }
            | EventKind::Waiting { .. } => {}
        }
        out
    }

    /// The chunks of the end of a stream whose run waits for somebody's decision. The place goes with them: a page that sends a
    /// decision sends it back, and is given what comes after it ([`ChatRequest::cursor`](super::ChatRequest::cursor)).
    #[must_use]
    pub fn waits(&mut self, cursor: &Cursor) -> Vec<Value> {
        let mut out = Vec::new();
        self.finish_step(&mut out);
        let mut facts = self.waits_for();
        facts.insert("status".to_owned(), RunStatus::RequiresAction.as_str().into());
        facts.insert("cursor".to_owned(), cursor.to_string().into());
        out.push(json!({"type": "finish", "finishReason": "tool-calls", "messageMetadata": facts}));
        out
    }

    /// The calls whose outputs the page may send, where there are any: they look like others there.
    pub(super) fn waits_for(&self) -> Map<String, Value> {
        let ids: Vec<String> = self.awaiting_output.iter().map(ToString::to_string).collect();
        let named = (!ids.is_empty()).then(|| ("awaitingOutput".to_owned(), ids.into()));
        named.into_iter().collect()
    }

    /// Adds a chunk of a step.
    fn push(&mut self, chunk: Value, out: &mut Vec<Value>) {
        if !std::mem::replace(&mut self.step.open, true) {
            out.push(json!({"type": "start-step"}));
        }
        let last = self.step.chunks.last_mut();
        match last.filter(|last| chunk["type"] == "text-delta" && last["id"] == chunk["id"]) {
            Some(Value::Object(last)) if last["type"] == "text-delta" => {
                if let (Some(Value::String(so_far)), Some(more)) =
                    (last.get_mut("delta"), chunk["delta"].as_str())
                {
                    so_far.push_str(more);
                }
            }
            _ => self.step.chunks.push(chunk.clone()),
        }
        out.push(chunk);
    }

    fn finish_step(&mut self, out: &mut Vec<Value>) {
        for id in std::mem::take(&mut self.open) {
            out.push(json!({"type": "text-end", "id": message_name(id)}));
        }
        if std::mem::take(&mut self.step).open {
            out.push(json!({"type": "finish-step"}));
        }
    }

    fn begin_text(&mut self, id: i64, out: &mut Vec<Value>) {
        if !self.open.contains(&id) {
            self.open.push(id);
            self.push(json!({"type": "text-start", "id": message_name(id)}), out);
        }
    }

    fn settle(&mut self, message: &Message, out: &mut Vec<Value>) {
        self.begin_text(message.id, out);
        self.open.retain(|open| *open != message.id);
        self.push(json!({"type": "text-end", "id": message_name(message.id)}), out);
        for chunk in beside_the_text(message, self.file_url.as_deref()) {
            self.push(chunk, out);
        }
    }

    /// The text is another one: the step is told again.
    fn replace(&mut self, message: &Message, out: &mut Vec<Value>) {
        let id = message_name(message.id);
        let is_of_it = |chunk: &Value| chunk["id"] == id.as_str();
        let text = [
            json!({"type": "text-start", "id": id}),
            json!({"type": "text-delta", "id": id, "delta": message.content}),
            json!({"type": "text-end", "id": id}),
        ];
        self.open.retain(|open| *open != message.id);
        match self.step.chunks.iter().position(is_of_it).filter(|_| self.step.open) {
            // Where the old one stood: what is beside it keeps its place.
            Some(place) => {
                self.step.chunks.retain(|chunk| !is_of_it(chunk));
                self.step.chunks.splice(place..place, text);
                out.push(json!({"type": "reset-step"}));
                out.extend(self.step.chunks.iter().cloned());
            }
            None => text.into_iter().for_each(|chunk| self.push(chunk, out)),
        }
        for chunk in beside_the_text(message, self.file_url.as_deref()) {
            self.push(chunk, out);
        }
    }

    fn call(&mut self, call: &ToolCall, out: &mut Vec<Value>) {
        let id = call.id.to_string();
        let mut told = self.calls.get(&call.position).copied();
        if told.is_none() {
            if self.step.number.is_some_and(|number| number != call.step) {
                self.finish_step(out);
            }
            self.push(input(call), out);
            self.step.number = Some(call.step);
            let outputs = self.step.outputs.unwrap_or(call.output_position);
            self.step.outputs = Some(outputs.min(call.output_position));
            told = Some(Told::Asked);
        }
        let mut told = told.unwrap_or(Told::Asked);
        if call.changed_arguments.is_some() && matches!(told, Told::AwaitingApproval(_)) {
            self.output(input(call), out);
        }
        // Of what the tool itself refused nobody was asked.
        let was_asked = call.decided_at.is_some() || call.decide_until.is_some();
        // A page that comes later is told how it was decided all the same.
        let decided =
            was_asked && matches!(call.status, ToolCallStatus::Rejected | ToolCallStatus::Approved);
        let waits = call.status == ToolCallStatus::AwaitingApproval;
        let asked = Told::AwaitingApproval(call.attempts);
        // Also of one that was decided on, where it is asked about again: what the page has of it is the answer to another question.
        if waits && told != asked && told != Told::Over || decided && told == Told::Asked {
            told = asked;
            self.output(
                json!({
                    "type": "tool-approval-request", "approvalId": question_name(call), "toolCallId": id,
                }),
                out,
            );
        }
        if let (Told::AwaitingApproval(attempts), false) = (told, waits) {
            let refused = call.status == ToolCallStatus::Rejected;
            if call.status == ToolCallStatus::Cancelled && call.decided_at.is_none() {
                self.take_back_questions(call, out);
            } else {
                let asked = format!("{}.{attempts}", call.id);
                let mut answer = json!({
                    "type": "tool-approval-response", "approvalId": asked, "approved": !refused,
                });
                if refused {
                    answer["reason"] = call_error(call).into();
                }
                self.output(answer, out);
            }
            told = Told::Approved;
            if refused {
                told = Told::Over;
                self.output(json!({"type": "tool-output-denied", "toolCallId": id}), out);
            }
        }
        if told != Told::Over && call.status.is_terminal() {
            let chunk = match (call.status, told) {
                (ToolCallStatus::Completed, _) => {
                    let output = json_or_text(call.output.as_deref().unwrap_or_default());
                    json!({"type": "tool-output-available", "toolCallId": id, "output": output})
                }
                (ToolCallStatus::Rejected, Told::Before) if was_asked => {
                    json!({"type": "tool-output-denied", "toolCallId": id})
                }
                _ => {
                    let error = call_error(call);
                    json!({"type": "tool-output-error", "toolCallId": id, "errorText": error})
                }
            };
            told = Told::Over;
            self.output(chunk, out);
        }
        self.calls.insert(call.position, told);
        if call.status == ToolCallStatus::AwaitingOutput {
            self.awaiting_output.insert(call.id);
        } else {
            self.awaiting_output.remove(&call.id);
        }
    }

    /// Nobody decided on it before the run was cancelled: the step is told again without the question. The AI SDK knows no call that
    /// ended and was asked about without an answer.
    fn take_back_questions(&mut self, call: &ToolCall, out: &mut Vec<Value>) {
        let asks = |chunk: &Value| {
            let question = chunk["approvalId"].as_str().and_then(question_named);
            question.is_some_and(|(id, _)| id == call.id)
        };
        if self.step.open && self.step.chunks.iter().any(asks) {
            self.step.chunks.retain(|chunk| !asks(chunk));
            out.push(json!({"type": "reset-step"}));
            out.extend(self.step.chunks.iter().cloned());
        }
    }

    /// What came of a call. Of one that the page had before this stream it begins no step, in which it would not be found.
    fn output(&mut self, chunk: Value, out: &mut Vec<Value>) {
        if self.step.open {
            self.push(chunk, out);
        } else {
            out.push(chunk);
        }
    }

    fn end(&mut self, run: &Run, out: &mut Vec<Value>) {
        self.finish_step(out);
        let finish = |reason: &str, facts: Map<String, Value>| json!({"type": "finish", "finishReason": reason, "messageMetadata": facts});
        let facts = run_facts(run);
        match run.status {
            RunStatus::Completed => out.push(finish("stop", facts)),
            RunStatus::Cancelled => {
                out.push(json!({"type": "abort", "reason": "cancelled"}));
                out.push(finish("interrupted", facts));
            }
            RunStatus::Failed => {
                out.push(json!({"type": "message-metadata", "messageMetadata": facts}));
                // A page throws here: nothing may follow.
                out.push(json!({"type": "error", "errorText": run_error(run)}));
            }
            _ => {
                let reason = match run.reason {
                    Some(Reason::MaxOutputTokens | Reason::ContextLengthExceeded) => "length",
                    Some(Reason::ContentFilter) => "content-filter",
                    Some(Reason::MaxSteps | Reason::ToolCalls) => "tool-calls",
                    _ => "other",
                };
                out.push(finish(reason, facts));
            }
        }
    }
}

/// A page has no types for the tools of a host.
fn input(call: &ToolCall) -> Value {
    json!({
        "type": "tool-input-available", "toolCallId": call.id.to_string(), "toolName": call.name,
        "input": json_or_text(arguments(call)), "dynamic": true,
    })
}

impl fmt::Debug for UiMessageEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiMessageEncoder").field("run", &self.run).finish_non_exhaustive()
    }
}
