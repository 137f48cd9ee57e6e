//! What the server answers, read leniently but for ids: those are kept, so they must be what they say.

use serde_json::{Value, json};

use crate::item::Item;
use crate::openai::lenient::{self, Object, take_object, take_text};
use crate::openai::secrets::Secrets;
use crate::openai::unstable::Usage;
use crate::openai::{ApiError, Error, ResponseError, Result};

pub(super) const ASSISTANT: &str = "asst_";
pub(super) const THREAD: &str = "thread_";
pub(super) const RUN: &str = "run_";
pub(super) const MESSAGE: &str = "msg_";

/// The id of an object of this kind.
pub(super) fn id_of(object: &Object, prefix: &str, secrets: &Secrets) -> Result<String> {
    let id = lenient::text(object, "id").unwrap_or_default();
    if id.len() > prefix.len() && id.starts_with(prefix) {
        return Ok(id.to_owned());
    }
    let shown = lenient::bounded(&secrets.redact(id), 64);
    let message = format!("its id is {shown:?}, where one that begins with {prefix:?} belongs");
    let text = Value::Object(object.clone()).to_string();
    Err(Error::malformed("the answer", message, &secrets.redact(&text)))
}

/// A page of assistants. Source: `OpenAI`'s API description, schema `ListAssistantsResponse`.
#[derive(Debug)]
pub(crate) struct AssistantPage {
    /// Each with its id and its metadata. What has no id is none.
    pub(crate) assistants: Vec<(String, Value)>,
    pub(crate) has_more: bool,
}

impl AssistantPage {
    pub(super) fn of(object: &Object) -> Self {
        let data = object.get("data").and_then(Value::as_array).into_iter().flatten();
        let named = data.filter_map(|one| {
            let id = one["id"].as_str().filter(|id| id.starts_with(ASSISTANT))?;
            Some((id.to_owned(), one["metadata"].clone()))
        });
        let has_more = object.get("has_more").and_then(Value::as_bool).unwrap_or_default();
        Self { assistants: named.collect(), has_more }
    }
}

/// A run. Source: `OpenAI`'s API description, schema `RunObject`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) model: Option<String>,
    pub(crate) incomplete_reason: Option<String>,
    pub(crate) error: Option<ResponseError>,
    pub(crate) usage: Option<Usage>,
    /// The calls that it waits for, as items.
    pub(crate) calls: Vec<Item>,
}

impl Run {
    pub(super) fn of(mut object: Object, secrets: &Secrets) -> Result<Self> {
        let id = id_of(&object, RUN, secrets)?;
        let error = object.remove("last_error").filter(|error| !error.is_null()).map(|error| {
            let envelope = Object::from_iter([("error".to_owned(), error)]);
            let error = ApiError::from_object(&envelope).in_stream().finish(secrets);
            let ApiError { code, kind, status, message, .. } = error;
            ResponseError { code, kind, status, message }
        });
        let calls = lenient::object(&object, "required_action")
            .and_then(|action| lenient::object(action, "submit_tool_outputs"))
            .and_then(|outputs| outputs.get("tool_calls")?.as_array());
        Ok(Self {
            id,
            calls: calls.into_iter().flatten().map(call).collect(),
            status: take_text(&mut object, "status").unwrap_or_default(),
            model: take_text(&mut object, "model"),
            incomplete_reason: lenient::object(&object, "incomplete_details")
                .and_then(|details| lenient::owned_text(details, "reason")),
            usage: lenient::object(&object, "usage").map(Usage::from_object),
            error,
        })
    }

    /// Whether it does nothing any more, and nothing can be done with it.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(&*self.status, "queued" | "in_progress" | "requires_action" | "cancelling" | "")
    }
}

fn call(call: &Value) -> Item {
    let function = &call["function"];
    let arguments = match &function["arguments"] {
        Value::String(text) if !text.trim().is_empty() => text.clone(),
        // They are to be JSON in a text; some servers send the JSON itself.
        arguments @ Value::Object(_) => arguments.to_string(),
        _ => "{}".to_owned(),
    };
    let name = function["name"].as_str().unwrap_or_default();
    Item::from(json!({
        "type": "function_call", "call_id": call["id"], "name": name, "arguments": arguments,
    }))
}

/// A message of a thread. Source: `OpenAI`'s API description, schema `MessageObject`.
#[derive(Debug, Clone)]
pub(crate) struct ThreadMessage {
    pub(crate) id: String,
    /// The run that wrote it.
    pub(crate) run: Option<String>,
    /// Its canonical form.
    pub(crate) item: Item,
}

impl ThreadMessage {
    pub(super) fn of(mut object: Object, secrets: &Secrets) -> Result<Self> {
        let id = id_of(&object, MESSAGE, secrets)?;
        let run = take_text(&mut object, "run_id");
        let role = take_text(&mut object, "role").unwrap_or_else(|| "assistant".to_owned());
        let is_answer = role == "assistant";
        let content = match object.remove("content") {
            Some(Value::Array(parts)) => {
                parts.into_iter().filter_map(|kind| part(kind, is_answer)).collect()
            }
            Some(Value::String(text)) => vec![text_part(&text, &[], is_answer)],
            _ => Vec::new(),
        };
        let mut item = json!({"type": "message", "id": id, "role": role, "content": content});
        if is_answer {
            let status = take_text(&mut object, "status");
            item["status"] = status.unwrap_or_else(|| "completed".to_owned()).into();
        }
        Ok(Self { id, run, item: Item::from(item) })
    }
}

fn text_part(text: &str, annotations: &[Value], is_answer: bool) -> Value {
    if is_answer {
        json!({"type": "output_text", "text": text, "annotations": annotations})
    } else {
        json!({"type": "input_text", "text": text})
    }
}

fn part(part: Value, is_answer: bool) -> Option<Value> {
    let Value::Object(mut part) = part else { return None };
    let kind = take_text(&mut part, "type").unwrap_or_default();
    Some(match &*kind {
        "text" => match part.remove("text") {
            Some(Value::String(text)) => text_part(&text, &[], is_answer),
            Some(Value::Object(mut text)) => {
                let value = take_text(&mut text, "value").unwrap_or_default();
                let annotations = match text.remove("annotations") {
                    Some(Value::Array(found)) => found.into_iter().map(annotation).collect(),
                    _ => Vec::new(),
                };
                text_part(&value, &annotations, is_answer)
            }
            _ => return None,
        },
        "refusal" => json!({"type": "refusal", "refusal": part.remove("refusal")}),
        "image_url" => {
            let image = take_object(&mut part, "image_url")?;
            json!({"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail")})
        }
        "image_file" => {
            let image = take_object(&mut part, "image_file")?;
            json!({"type": "input_image", "file_id": image.get("file_id"), "detail": image.get("detail")})
        }
        _ => return None,
    })
}

/// A source in the form of the item: `{"type": "file_citation", "file_citation": {…}}` is flat there.
fn annotation(annotation: Value) -> Value {
    let Value::Object(mut fields) = annotation else { return annotation };
    let kind = lenient::owned_text(&fields, "type");
    if let Some(inner) = kind.and_then(|kind| take_object(&mut fields, &kind)) {
        fields.extend(inner);
    }
    Value::Object(fields)
}

/// A page of messages.
#[derive(Debug, Clone)]
pub(crate) struct ThreadMessages {
    /// In the order asked for.
    pub(crate) data: Vec<ThreadMessage>,
    /// Whether more follow.
    pub(crate) has_more: bool,
}

impl ThreadMessages {
    pub(super) fn of(mut object: Object, secrets: &Secrets) -> Result<Self> {
        let Some(Value::Array(found)) = object.remove("data") else {
            let text = Value::Object(object).to_string();
            let message = "it is no list of messages: it has no data";
            return Err(Error::malformed("the answer", message, &secrets.redact(&text)));
        };
        let objects = found.into_iter().filter_map(|value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        });
        Ok(Self {
            data: objects
                .map(|message| ThreadMessage::of(message, secrets))
                .collect::<Result<_>>()?,
            has_more: object.get("has_more").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}
