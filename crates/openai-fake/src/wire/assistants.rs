//! The events of a streamed run. Their names are in the event lines alone.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    script::reply::ErrorEvent,
    wire::{events::halves, frame::Event},
};

/// A text delta. There are thousands in a stream, hence a plain struct instead of a JSON tree.
#[derive(Serialize)]
struct MessageDelta<'a> {
    id: &'a str,
    object: &'static str,
    delta: Delta<'a>,
}

#[derive(Serialize)]
struct Delta<'a> {
    content: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    index: usize,
    r#type: &'static str,
    text: Text<'a>,
}

#[derive(Serialize)]
struct Text<'a> {
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[u8; 0]>,
}

pub(crate) fn delta_frame(message_id: &str, index: usize, text: &str) -> Bytes {
    // The list comes with the first piece; the next ones add to the value alone.
    let text = Text { value: text, annotations: (index == 0).then_some([]) };
    let delta = Delta { content: [Part { index: 0, r#type: "text", text }] };
    let event = MessageDelta { id: message_id, object: "thread.message.delta", delta };
    // Strings and numbers always serialise.
    let data = serde_json::to_string(&event).unwrap_or_default();
    Bytes::from(format!("event: thread.message.delta\ndata: {data}\n\n"))
}

/// A part of an item as a message of a thread has it.
pub(crate) fn part(part: &Value) -> Value {
    match part["type"].as_str() {
        Some("output_text") => {
            json!({"type": "text", "text": {"value": part["text"], "annotations": []}})
        }
        _ => part.clone(),
    }
}

/// Each part of a message in one delta.
pub(crate) fn part_deltas(message_id: &Value, content: &Value) -> Vec<Event> {
    let parts = content.as_array().into_iter().flatten().enumerate();
    let delta = |(index, part): (usize, &Value)| {
        let mut part = part.clone();
        part["index"] = json!(index);
        let event = json!({
            "id": message_id, "object": "thread.message.delta", "delta": {"content": [part]},
        });
        Event::Named("thread.message.delta".to_owned(), event)
    };
    parts.map(delta).collect()
}

/// A function call as a step of a run has it.
pub(crate) fn call(item: &Value) -> Value {
    json!({
        "id": item["call_id"], "type": "function",
        "function": {"name": item["name"], "arguments": item["arguments"], "output": null},
    })
}

/// A call in pieces: its id and name come in the first, its arguments in the others.
pub(crate) fn call_deltas(step_id: &Value, index: usize, call: &Value) -> Vec<Event> {
    let function = &call["function"];
    let arguments = function["arguments"].as_str().unwrap_or_default();
    let (head, tail) = halves(arguments);
    let delta = |call: Value| {
        let details = json!({"type": "tool_calls", "tool_calls": [call]});
        let event = json!({
            "id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details},
        });
        Event::Named("thread.run.step.delta".to_owned(), event)
    };
    let more = |part: &str| {
        delta(json!({"index": index, "type": "function", "function": {"arguments": part}}))
    };
    vec![
        delta(json!({
            "index": index, "id": call["id"], "type": "function",
            "function": {"name": function["name"], "arguments": "", "output": null},
        })),
        more(head),
        more(tail),
    ]
}

/// An error that nothing follows.
pub(crate) fn error(shape: ErrorEvent, code: &str, message: &str) -> Event {
    let error = json!({"code": code, "message": message, "param": null, "type": code});
    match shape {
        ErrorEvent::Untyped => Event::Untyped(json!({"error": error})),
        ErrorEvent::Nested | ErrorEvent::Flat => Event::Named("error".to_owned(), error),
    }
}
