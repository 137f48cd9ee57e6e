//! Events of a run as chunks of the AI SDK's UI message stream.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{arguments, call_error, json_or_text, message_name, run_error, run_facts, run_name};
use crate::follow::cursor::Cursor;
use crate::follow::event::{Event, EventKind};
use crate::model::{
    Annotation, Message, Part, PartKind, Reason, Run, RunStatus, ToolCall, ToolCallStatus,
};

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
    begun: bool,
    step: Step,
    /// Texts that are open, by the ids of their messages.
    open: Vec<i64>,
    /// What was said of each call, by its place in the turn.
    calls: BTreeMap<i64, Told>,
    pub(super) file_url: Option<FileUrl>,
}

/// Under which address the host serves a part.
pub(super) type Address = dyn Fn(&Message, &Part) -> Option<String> + Send + Sync;
pub(super) type FileUrl = Arc<Address>;

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
    AwaitingApproval,
    Approved,
    Over,
}

impl UiMessageEncoder {
    /// Of this run from its beginning.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        Self {
            run: run_name(run.id),
            begun: false,
            step: Step::default(),
            open: Vec::new(),
            calls: BTreeMap::new(),
            file_url: None,
        }
    }

    /// Goes on with a message of which the page has what came before this place.
    #[must_use]
    pub fn after(mut self, cursor: &Cursor) -> Self {
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
        let facts = json!({"status": "requires_action", "cursor": cursor.to_string()});
        out.push(json!({"type": "finish", "finishReason": "tool-calls", "messageMetadata": facts}));
        out
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
        if self.step.open {
            out.push(json!({"type": "reset-step"}));
            self.step.chunks.retain(|chunk| chunk["id"] != id.as_str());
            out.extend(self.step.chunks.iter().cloned());
        }
        self.open.retain(|open| *open != message.id);
        self.begin_text(message.id, out);
        self.push(json!({"type": "text-delta", "id": id, "delta": message.content}), out);
        self.settle(message, out);
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
        if call.changed_arguments.is_some() && told == Told::AwaitingApproval {
            self.push(input(call), out);
        }
        // A page that comes later is told who decided all the same.
        let decided = call.decided_at.is_some()
            && matches!(call.status, ToolCallStatus::Rejected | ToolCallStatus::Approved);
        if told == Told::Asked && (call.status == ToolCallStatus::AwaitingApproval || decided) {
            told = Told::AwaitingApproval;
            self.push(
                json!({"type": "tool-approval-request", "approvalId": id, "toolCallId": id}),
                out,
            );
        }
        let answer = |approved: bool| {
            let mut chunk =
                json!({"type": "tool-approval-response", "approvalId": id, "approved": approved});
            if !approved {
                chunk["reason"] = call_error(call).into();
            }
            chunk
        };
        let refused = matches!(call.status, ToolCallStatus::Rejected | ToolCallStatus::Cancelled);
        if told == Told::AwaitingApproval && call.status != ToolCallStatus::AwaitingApproval {
            told = Told::Approved;
            self.push(answer(!refused), out);
            if refused {
                told = Told::Over;
                self.push(json!({"type": "tool-output-denied", "toolCallId": id}), out);
            }
        }
        if told != Told::Over && call.status.is_terminal() {
            let chunk = match (call.status, told) {
                (ToolCallStatus::Completed, _) => {
                    let output = json_or_text(call.output.as_deref().unwrap_or_default());
                    json!({"type": "tool-output-available", "toolCallId": id, "output": output})
                }
                (ToolCallStatus::Rejected, Told::Before) => {
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

/// Thoughts, sources, pictures and files of a message, as chunks.
pub(super) fn beside_the_text(message: &Message, file_url: Option<&Address>) -> Vec<Value> {
    let mut chunks = Vec::new();
    for part in &message.parts {
        let id = format!("part-{}", part.id);
        if let Some(text) = part.text() {
            chunks.push(json!({"type": "reasoning-start", "id": id}));
            chunks.push(json!({"type": "reasoning-delta", "id": id, "delta": text}));
            chunks.push(json!({"type": "reasoning-end", "id": id}));
            continue;
        }
        chunks.extend(match part.annotation() {
            Some(Annotation::UrlCitation { url, title, .. }) => {
                Some(json!({"type": "source-url", "sourceId": id, "url": url, "title": title}))
            }
            Some(
                Annotation::FileCitation { filename, .. }
                | Annotation::ContainerFileCitation { filename, .. },
            ) => Some(json!({
                "type": "source-document", "sourceId": id, "mediaType": "application/octet-stream",
                "title": filename, "filename": filename,
            })),
            Some(Annotation::FilePath { .. } | Annotation::Other) => None,
            None => {
                let url = file_url.and_then(|url| url(message, part)).or_else(|| part.url.clone());
                url.map(|url| json!({"type": "file", "url": url, "mediaType": media_type(part)}))
            }
        });
    }
    chunks
}

fn media_type(part: &Part) -> &str {
    let usual = match part.kind {
        PartKind::Image => "image/*",
        _ => "application/octet-stream",
    };
    part.media_type.as_deref().unwrap_or(usual)
}

impl fmt::Debug for UiMessageEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiMessageEncoder").field("run", &self.run).finish_non_exhaustive()
    }
}
