//! The events of a streamed response, without and with their frame.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{script::reply::ErrorEvent, service::snapshot};

/// What comes before the text: the response, finished items, the opening of the message. In the
/// background the response waits for its turn first.
pub(crate) fn opening(
    response: &Value,
    background: bool,
    items: &[Value],
    message: Option<&str>,
) -> Vec<Value> {
    let about = |kind: &str, response: &Value| json!({"type": kind, "response": response});
    let mut events = if background {
        let queued = snapshot::queued(response);
        vec![about("response.created", &queued), about("response.queued", &queued)]
    } else {
        vec![about("response.created", response)]
    };
    events.push(about("response.in_progress", response));
    for (index, item) in items.iter().enumerate() {
        events.extend(item_events(index, item));
    }
    if let Some(id) = message {
        let index = items.len();
        let item = message_item(id, "in_progress", None);
        events.push(added(index, &item));
        events.push(json!({
            "type": "response.content_part.added", "item_id": id, "output_index": index,
            "content_index": 0, "part": text_part(""),
        }));
    }
    events
}

/// What closes the message, once its text is known.
pub(crate) fn closing(index: usize, message: &Value, text: &str) -> Vec<Value> {
    let id = &message["id"];
    vec![
        json!({
            "type": "response.output_text.done", "item_id": id, "output_index": index,
            "content_index": 0, "text": text, "logprobs": [],
        }),
        json!({
            "type": "response.content_part.done", "item_id": id, "output_index": index,
            "content_index": 0, "part": text_part(text),
        }),
        done(index, message),
    ]
}

/// `response.completed`, `response.incomplete` or `response.failed`, as the status says.
pub(crate) fn terminal(response: &Value) -> Value {
    let status = response["status"].as_str().unwrap_or_default();
    json!({"type": format!("response.{status}"), "response": response})
}

pub(crate) fn error(shape: ErrorEvent, code: &str, message: &str) -> Value {
    let error = json!({"type": code, "code": code, "message": message, "param": null});
    match shape {
        ErrorEvent::Nested => json!({"type": "error", "error": error}),
        ErrorEvent::Flat => {
            json!({"type": "error", "code": code, "message": message, "param": null})
        }
        ErrorEvent::Untyped => json!({"error": error}),
    }
}

pub(crate) fn keepalive() -> Value {
    json!({"type": "keepalive"})
}

/// The assistant message; without a text it has no part yet.
pub(crate) fn message_item(id: &str, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(text_part).into_iter().collect();
    json!({
        "id": id, "type": "message", "role": "assistant", "status": status, "content": content,
    })
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn added(index: usize, item: &Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn done(index: usize, item: &Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

/// How a finished item would have been streamed.
fn item_events(index: usize, item: &Value) -> Vec<Value> {
    let mut begun = item.clone();
    let mut events = Vec::new();
    match item["type"].as_str() {
        Some("function_call") => {
            begun["status"] = json!("in_progress");
            begun["arguments"] = json!("");
            events.push(added(index, &begun));
            events.extend(argument_events(index, item));
        }
        Some("reasoning") => {
            begun["summary"] = json!([]);
            if let Some(content) = begun.get_mut("content") {
                *content = json!([]);
            }
            events.push(added(index, &begun));
            events.extend(summary_events(index, item));
            events.extend(thought_events(index, item));
        }
        Some("message") => {
            begun["status"] = json!("in_progress");
            begun["content"] = json!([]);
            events.push(added(index, &begun));
            events.extend(content_events(index, item));
        }
        _ => events.push(added(index, &begun)),
    }
    events.push(done(index, item));
    events
}

/// The parts of a message, each text in one delta.
fn content_events(index: usize, item: &Value) -> Vec<Value> {
    let mut events = Vec::new();
    let parts = item["content"].as_array().into_iter().flatten();
    for (content_index, part) in parts.enumerate() {
        let event = |kind: &str, more: Value| {
            let mut event = json!({
                "type": format!("response.{kind}"), "item_id": item["id"], "output_index": index,
                "content_index": content_index,
            });
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
            event
        };
        if part["type"] == "output_text" {
            let text = &part["text"];
            events.push(event("content_part.added", json!({"part": text_part("")})));
            events.push(event("output_text.delta", json!({"delta": text, "logprobs": []})));
            events.push(event("output_text.done", json!({"text": text, "logprobs": []})));
        } else {
            events.push(event("content_part.added", json!({"part": part})));
        }
        events.push(event("content_part.done", json!({"part": part})));
    }
    events
}

/// The text in two parts of as many characters, or one more in the first.
pub(crate) fn halves(text: &str) -> (&str, &str) {
    let middle = text.chars().count().div_ceil(2);
    let split = text.char_indices().nth(middle).map_or(text.len(), |(at, _)| at);
    text.split_at(split)
}

fn argument_events(index: usize, item: &Value) -> Vec<Value> {
    let arguments = item["arguments"].as_str().unwrap_or_default();
    let (first, second) = halves(arguments);
    let delta = |delta: &str| {
        json!({
            "type": "response.function_call_arguments.delta", "item_id": item["id"],
            "output_index": index, "delta": delta,
        })
    };
    vec![
        delta(first),
        delta(second),
        json!({
            "type": "response.function_call_arguments.done", "item_id": item["id"],
            "output_index": index, "name": item["name"], "arguments": arguments,
        }),
    ]
}

fn summary_events(index: usize, item: &Value) -> Vec<Value> {
    let mut events = Vec::new();
    let parts = item["summary"].as_array().into_iter().flatten();
    for (summary_index, part) in parts.enumerate() {
        let text = &part["text"];
        let event = |kind: &str, name: &str, value: Value| {
            let mut event = json!({
                "type": format!("response.reasoning_summary_{kind}"), "item_id": item["id"],
                "output_index": index, "summary_index": summary_index,
            });
            event[name] = value;
            event
        };
        let empty = json!({"type": "summary_text", "text": ""});
        events.push(event("part.added", "part", empty));
        events.push(event("text.delta", "delta", text.clone()));
        events.push(event("text.done", "text", text.clone()));
        events.push(event("part.done", "part", part.clone()));
    }
    events
}

/// What the model thought, where it is told, one delta a word.
fn thought_events(index: usize, item: &Value) -> Vec<Value> {
    let mut events = Vec::new();
    let parts = item["content"].as_array().into_iter().flatten();
    for (content_index, part) in parts.enumerate() {
        let event = |kind: &str, name: &str, value: Value| {
            let mut event = json!({
                "type": format!("response.{kind}"), "item_id": item["id"],
                "output_index": index, "content_index": content_index,
            });
            event[name] = value;
            event
        };
        let empty = json!({"type": "reasoning_text", "text": ""});
        events.push(event("content_part.added", "part", empty));
        let text = part["text"].as_str().unwrap_or_default();
        for word in text.split_inclusive(char::is_whitespace) {
            events.push(event("reasoning_text.delta", "delta", json!(word)));
        }
        events.push(event("reasoning_text.done", "text", json!(text)));
        events.push(event("content_part.done", "part", part.clone()));
    }
    events
}

/// A text delta. There are thousands in a stream, hence a plain struct instead of a JSON tree.
#[derive(Debug, Serialize)]
pub(crate) struct TextDelta<'a> {
    pub(crate) item_id: &'a str,
    pub(crate) output_index: usize,
    pub(crate) content_index: usize,
    pub(crate) delta: &'a str,
    pub(crate) logprobs: [u8; 0],
}

#[derive(Serialize)]
struct Numbered<'a, T> {
    r#type: &'a str,
    sequence_number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    obfuscation: Option<&'a str>,
    #[serde(flatten)]
    event: T,
}

/// One event as it goes over the wire. One without a type has no number either.
pub(crate) fn frame(number: usize, obfuscate: bool, mut event: Value) -> Bytes {
    let Some(kind) = event["type"].as_str().map(str::to_owned) else {
        return Bytes::from(format!("data: {event}\n\n"));
    };
    if let Some(fields) = event.as_object_mut() {
        fields.remove("type");
    }
    framed(&kind, number, obfuscate, event)
}

pub(crate) fn delta_frame(number: usize, obfuscate: bool, delta: TextDelta<'_>) -> Bytes {
    framed("response.output_text.delta", number, obfuscate, delta)
}

fn framed(kind: &str, number: usize, obfuscate: bool, event: impl Serialize) -> Bytes {
    let padded = obfuscate && kind.rsplit('.').next() == Some("delta");
    let numbered = Numbered {
        r#type: kind,
        sequence_number: number,
        obfuscation: padded.then(|| padding(number)),
        event,
    };
    // Strings, numbers and JSON values always serialise.
    let data = serde_json::to_string(&numbered).unwrap_or_default();
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}

/// Padding that varies in length from event to event, as the real one does.
pub(crate) fn padding(number: usize) -> &'static str {
    const NOISE: &str = "kQ3vT9xZb7LmW2pRs8Yd";
    let length = 4 + number.wrapping_mul(7) % 13;
    NOISE.get(..length).unwrap_or(NOISE)
}
