//! A chat request in the form of the Responses API, in which scripts and tests speak of what was asked.

use serde_json::{Map, Value, json};

use crate::service::items;

/// The leading messages of the system or developer are the instructions, all others are items.
pub(crate) fn as_response(body: &Value) -> Value {
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let leads = |message: &&Value| message["role"] == "system" || message["role"] == "developer";
    let leading = messages.iter().take_while(leads).count();
    let (instructions, rest) = messages.split_at(leading);
    let instructions: Vec<String> = instructions.iter().map(items::text_of).collect();
    let limit = body.get("max_completion_tokens").or(body.get("max_tokens"));
    json!({
        "model": body["model"],
        "instructions": (!instructions.is_empty()).then(|| instructions.join("\n\n")),
        "input": rest.iter().flat_map(message_items).collect::<Vec<_>>(),
        "tools": body["tools"].as_array().into_iter().flatten().map(unwrapped).collect::<Vec<_>>(),
        "tool_choice": unwrapped(&body["tool_choice"]),
        "max_output_tokens": limit,
    })
}

/// A message, and the calls that it makes; or the output of one.
fn message_items(message: &Value) -> Vec<Value> {
    if message["role"] == "tool" {
        return vec![json!({
            "type": "function_call_output", "call_id": message["tool_call_id"],
            "output": items::text_of(message),
        })];
    }
    let calls: Vec<Value> =
        message["tool_calls"].as_array().into_iter().flatten().map(call).collect();
    let said = message_item(message);
    let silent = said["content"].as_array().is_none_or(Vec::is_empty);
    (!silent || calls.is_empty()).then_some(said).into_iter().chain(calls).collect()
}

fn call(call: &Value) -> Value {
    let function = &call["function"];
    json!({
        "type": "function_call", "call_id": call["id"], "name": function["name"],
        "arguments": function["arguments"],
    })
}

fn message_item(message: &Value) -> Value {
    let role = &message["role"];
    let kind = if role == "assistant" { "output_text" } else { "input_text" };
    let mut content: Vec<Value> = match &message["content"] {
        Value::String(text) => vec![json!({"type": kind, "text": text})],
        Value::Array(parts) => parts.iter().map(|part| content_part(part, kind)).collect(),
        _ => Vec::new(),
    };
    if let Some(refusal) = message["refusal"].as_str() {
        content.push(json!({"type": "refusal", "refusal": refusal}));
    }
    json!({"type": "message", "role": role, "content": content})
}

fn content_part(part: &Value, text: &str) -> Value {
    match part["type"].as_str() {
        Some("text") => json!({"type": text, "text": part["text"]}),
        Some("image_url") => {
            let image = &part["image_url"];
            json!({"type": "input_image", "image_url": image["url"], "detail": image["detail"]})
        }
        Some("file") => {
            let mut file: Map<String, Value> =
                part["file"].as_object().cloned().unwrap_or_default();
            file.insert("type".to_owned(), json!("input_file"));
            Value::Object(file)
        }
        _ => part.clone(),
    }
}

/// `{"type": "function", "function": {…}}` without its inner object.
pub(crate) fn unwrapped(tool: &Value) -> Value {
    let Some(function) = tool["function"].as_object() else {
        return tool.clone();
    };
    let mut flat = function.clone();
    flat.insert("type".to_owned(), json!("function"));
    Value::Object(flat)
}
