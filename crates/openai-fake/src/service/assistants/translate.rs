//! Runs and messages in the form of the Responses API, in which scripts and tests speak of what was asked.

use serde_json::{Value, json};

use crate::{Input, service::chat};

/// The run in the form of a request for a response.
pub(super) fn asked(run: &Value, input: &[Value]) -> Value {
    let text = run["instructions"].as_str().filter(|text| !text.is_empty());
    json!({
        "model": run["model"],
        "instructions": text,
        "input": input,
        "tools": run["tools"].as_array().into_iter().flatten().map(chat::unwrapped).collect::<Vec<_>>(),
        "tool_choice": chat::unwrapped(&run["tool_choice"]),
    })
}

/// A message of a thread as an item.
pub(super) fn item_of(message: &Value) -> Value {
    let kind = if message["role"] == "assistant" { "output_text" } else { "input_text" };
    let part = |part: &Value| match part["type"].as_str() {
        Some("text") => {
            let text = part["text"].get("value").unwrap_or(&part["text"]);
            json!({"type": kind, "text": text})
        }
        Some("image_url") => {
            let image = &part["image_url"];
            json!({"type": "input_image", "image_url": image["url"], "detail": image["detail"]})
        }
        Some("image_file") => {
            let image = &part["image_file"];
            json!({"type": "input_image", "file_id": image["file_id"], "detail": image["detail"]})
        }
        _ => part.clone(),
    };
    let content: Vec<Value> = match &message["content"] {
        Value::String(text) => vec![json!({"type": kind, "text": text})],
        parts => parts.as_array().into_iter().flatten().map(part).collect(),
    };
    json!({"type": "message", "role": message["role"], "content": content})
}

/// What a request alone says of what the model is sent, if it asks for a run. The service knows more: what was said before.
pub(crate) fn input_of(path: &str, body: &Value) -> Option<Input> {
    let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
    let messages = match segments.as_slice() {
        ["threads", "runs"] => &body["thread"]["messages"],
        ["threads", _, "runs"] => &body["additional_messages"],
        ["threads", _, "runs", _, "submit_tool_outputs"] => &body["tool_outputs"],
        _ => return None,
    };
    let item = |given: &Value| match &given["tool_call_id"] {
        Value::Null => item_of(given),
        id => {
            json!({"type": "function_call_output", "call_id": id, "output": given["output"]})
        }
    };
    let items: Vec<Value> = messages.as_array().into_iter().flatten().map(item).collect();
    Some(Input::of(&asked(body, &items)))
}
