//! The AI SDK's `UIMessage`: what a page holds of a conversation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::beside::{Address, FileUrl, beside_the_text};
use super::history::replay;
use super::ui_message_encoder::UiMessageEncoder;
use super::{message_facts, message_name, run_facts, run_name};
use crate::model::{Message, Part, Role, RunStatus, Turn};

/// A message in the AI SDK's form (`UIMessage` of the package `ai`, version 7): what a page holds of a conversation, sends with a
/// question, and is given as its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UiMessage {
    /// `message-` and the id of the [`Message`], or `run-` and that of the [`Run`](crate::Run) for what a model answered. What a
    /// page sends has an id of the page's making.
    pub id: String,
    /// `user`, `assistant` or `system`.
    pub role: String,
    /// Texts, calls of tools, pictures.
    #[serde(default)]
    pub parts: Vec<Value>,
    /// What is known of it beside: of an answer the run's status, tokens and cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

impl UiMessage {
    /// The question and the answer of a turn, as a stream of its run would have made them. Messages of the system's are left out.
    #[must_use]
    pub fn of_turn(turn: &Turn) -> Vec<Self> {
        Self::made_of(turn, None)
    }

    /// The same with pictures and files that are stored here, where `url` says under which address the host serves them.
    #[must_use]
    pub fn with_files(
        turn: &Turn,
        url: impl Fn(&Message, &Part) -> Option<String> + Send + Sync + 'static,
    ) -> Vec<Self> {
        Self::made_of(turn, Some(Arc::new(url)))
    }

    pub(super) fn made_of(turn: &Turn, url: Option<FileUrl>) -> Vec<Self> {
        let shown = turn.messages.iter().filter(|message| match message.role {
            Role::User => true,
            Role::Assistant => turn.run.is_none(),
            Role::System => false,
        });
        let mut all: Vec<Self> =
            shown.map(|message| Self::of_message(message, url.as_deref())).collect();
        if let Some(run) = &turn.run
            && (!turn.tool_calls.is_empty() || turn.messages.iter().any(Message::is_assistant))
        {
            let mut encoder = UiMessageEncoder::new(run);
            encoder.file_url = url;
            let (events, cursor) = replay(turn, run);
            let chunks = events.iter().flat_map(|event| encoder.encode(event)).collect();
            let mut facts = run_facts(run);
            if run.status == RunStatus::RequiresAction {
                // A page that sends a decision is given what comes after this.
                facts.insert("cursor".to_owned(), cursor.to_string().into());
                facts.extend(encoder.waits_for());
            }
            all.push(Self {
                id: run_name(run.id),
                role: "assistant".to_owned(),
                parts: parts(chunks),
                metadata: Some(facts.into()),
            });
        }
        all
    }

    fn of_message(message: &Message, url: Option<&Address>) -> Self {
        let mut chunks = Vec::new();
        if !message.content.is_empty() || message.parts.is_empty() {
            chunks.push(json!({"type": "text-start"}));
            chunks.push(json!({"type": "text-delta", "delta": message.content}));
            chunks.push(json!({"type": "text-end"}));
        }
        chunks.extend(beside_the_text(message, url));
        if chunks.is_empty() {
            // All that it holds is left out, and the AI SDK takes no message without a part.
            chunks.push(json!({"type": "text-start"}));
            chunks.push(json!({"type": "text-end"}));
        }
        Self {
            id: message_name(message.id),
            role: message.role.as_str().to_owned(),
            parts: parts(chunks),
            metadata: Some(message_facts(message).into()),
        }
    }

    /// Its texts, one after the other.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.parts.iter().filter(|part| part["type"] == "text");
        texts.filter_map(|part| part["text"].as_str()).collect()
    }
}

/// What a page makes of chunks, in the words of the package `ai` (`processUIMessageStream`).
fn parts(chunks: Vec<Value>) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    for chunk in chunks {
        let text = |name: &str| chunk[name].as_str().unwrap_or_default();
        match text("type") {
            "start-step" => parts.push(json!({"type": "step-start"})),
            "text-start" => parts.push(
                json!({"type": "text", "text": "", "state": "streaming", "id": chunk["id"]}),
            ),
            "reasoning-start" => parts.push(
                json!({"type": "reasoning", "text": "", "state": "streaming", "id": chunk["id"]}),
            ),
            "text-delta" | "reasoning-delta" => {
                if let Some(Value::String(so_far)) =
                    named(&mut parts, "id", &chunk["id"]).and_then(|part| part.get_mut("text"))
                {
                    so_far.push_str(text("delta"));
                }
            }
            "text-end" | "reasoning-end" => {
                if let Some(part) = named(&mut parts, "id", &chunk["id"]) {
                    part.insert("state".to_owned(), "done".into());
                }
            }
            "source-url" | "source-document" | "file" => parts.push(chunk),
            "tool-input-available" => parts.push(json!({
                "type": "dynamic-tool", "toolName": chunk["toolName"], "toolCallId": chunk["toolCallId"],
                "state": "input-available", "input": chunk["input"],
            })),
            "tool-approval-response" => {
                let asked = parts.iter_mut().rev().filter_map(Value::as_object_mut);
                let mut asked = asked.filter(|part| {
                    part.get("approval").is_some_and(|asked| asked["id"] == chunk["approvalId"])
                });
                if let Some(part) = asked.next() {
                    part.insert("state".to_owned(), "approval-responded".into());
                    let mut approval = json!({"id": chunk["approvalId"], "approved": chunk["approved"]});
                    if let Some(reason) = chunk.get("reason") {
                        approval["reason"] = reason.clone();
                    }
                    part.insert("approval".to_owned(), approval);
                }
            }
            kind => {
                let changes = match kind {
                    "tool-approval-request" => {
                        json!({"state": "approval-requested", "approval": {"id": chunk["approvalId"]}})
                    }
                    "tool-output-available" => {
                        json!({"state": "output-available", "output": chunk["output"]})
                    }
                    "tool-output-error" => {
                        json!({"state": "output-error", "errorText": chunk["errorText"]})
                    }
                    "tool-output-denied" => json!({"state": "output-denied"}),
                    _ => continue,
                };
                if let (Some(part), Value::Object(changes)) =
                    (named(&mut parts, "toolCallId", &chunk["toolCallId"]), changes)
                {
                    part.extend(changes);
                }
            }
        }
    }
    // A page knows a text by its chunk's id no longer than it streams.
    for part in parts.iter_mut().filter_map(Value::as_object_mut) {
        if part["type"] == "text" {
            part.remove("id");
        }
    }
    parts
}

/// The last part with this value.
fn named<'p>(
    parts: &'p mut [Value],
    key: &str,
    value: &Value,
) -> Option<&'p mut Map<String, Value>> {
    let mut objects = parts.iter_mut().rev().filter_map(Value::as_object_mut);
    objects.find(|part| part.get(key) == Some(value))
}
