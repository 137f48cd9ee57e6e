//! The objects of the Assistants API as they begin.

use serde_json::{Map, Value, json};

use crate::service::state::unix_seconds;

/// Until a run is given up that waits for tool outputs.
const RUN_SECONDS: u64 = 600;

/// What a request says of this member, if it says anything.
fn given(body: &Value, name: &str, otherwise: Value) -> Value {
    match &body[name] {
        Value::Null => otherwise,
        given => given.clone(),
    }
}

pub(super) fn assistant(id: &str, body: &Value) -> Value {
    let mut assistant = json!({
        "id": id,
        "object": "assistant",
        "created_at": unix_seconds(),
        "name": body["name"],
        "description": body["description"],
        "model": body["model"],
        "instructions": body["instructions"],
        "tools": given(body, "tools", json!([])),
        "tool_resources": given(body, "tool_resources", json!({})),
        "metadata": given(body, "metadata", json!({})),
        "temperature": given(body, "temperature", json!(1.0)),
        "top_p": given(body, "top_p", json!(1.0)),
        "response_format": given(body, "response_format", json!("auto")),
    });
    // Only told where it was asked for.
    if !body["reasoning_effort"].is_null() {
        assistant["reasoning_effort"] = body["reasoning_effort"].clone();
    }
    assistant
}

/// Sets what the request names; the rest stays.
pub(super) fn update(object: &mut Value, body: &Value) {
    let changes: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    for (name, value) in changes {
        object[name] = value;
    }
}

pub(super) fn thread(id: &str, body: &Value) -> Value {
    json!({
        "id": id,
        "object": "thread",
        "created_at": unix_seconds(),
        "tool_resources": given(body, "tool_resources", json!({})),
        "metadata": given(body, "metadata", json!({})),
    })
}

/// A message that a client adds.
pub(super) fn message(id: &str, thread: &str, body: &Value) -> Value {
    let content: Vec<Value> = match &body["content"] {
        Value::String(said) => vec![text(said)],
        parts => parts.as_array().into_iter().flatten().map(kept_part).collect(),
    };
    json!({
        "id": id,
        "object": "thread.message",
        "created_at": unix_seconds(),
        "thread_id": thread,
        "status": "completed",
        "incomplete_details": null,
        "completed_at": unix_seconds(),
        "incomplete_at": null,
        "role": body["role"],
        "content": content,
        "assistant_id": null,
        "run_id": null,
        "attachments": given(body, "attachments", json!([])),
        "metadata": given(body, "metadata", json!({})),
    })
}

fn kept_part(part: &Value) -> Value {
    part["text"].as_str().map_or_else(|| part.clone(), text)
}

pub(super) fn text(said: &str) -> Value {
    json!({"type": "text", "text": {"value": said, "annotations": []}})
}

/// A message that a run has begun to write.
pub(super) fn answer(id: &str, run: &Value) -> Value {
    let mut message = message(id, "", &json!({"role": "assistant", "content": []}));
    message["thread_id"] = run["thread_id"].clone();
    message["assistant_id"] = run["assistant_id"].clone();
    message["run_id"] = run["id"].clone();
    message["status"] = json!("in_progress");
    message["completed_at"] = Value::Null;
    message
}

/// A run that has no id yet.
pub(super) fn run(thread: &str, assistant: &Value, body: &Value) -> Value {
    let own = |name: &str| given(body, name, assistant[name].clone());
    let instructions = [&own("instructions"), &body["additional_instructions"]];
    let instructions: Vec<&str> =
        instructions.into_iter().filter_map(|said| said.as_str()).collect();
    let truncation = json!({"type": "auto", "last_messages": null});
    json!({
        "id": null,
        "object": "thread.run",
        "created_at": unix_seconds(),
        "thread_id": thread,
        "assistant_id": assistant["id"],
        "status": "queued",
        "required_action": null,
        "last_error": null,
        "expires_at": unix_seconds() + RUN_SECONDS,
        "started_at": null,
        "cancelled_at": null,
        "failed_at": null,
        "completed_at": null,
        "incomplete_details": null,
        "model": own("model"),
        "instructions": instructions.join("\n"),
        "tools": own("tools"),
        "metadata": given(body, "metadata", json!({})),
        "usage": null,
        "temperature": own("temperature"),
        "top_p": own("top_p"),
        "max_prompt_tokens": body["max_prompt_tokens"],
        "max_completion_tokens": body["max_completion_tokens"],
        "truncation_strategy": given(body, "truncation_strategy", truncation),
        "tool_choice": given(body, "tool_choice", json!("auto")),
        "parallel_tool_calls": given(body, "parallel_tool_calls", json!(true)),
        "response_format": own("response_format"),
    })
}

/// What a run does, one thing at a time: it writes a message, or has tools called.
pub(super) fn step(id: &str, run: &Value, details: &Value) -> Value {
    json!({
        "id": id,
        "object": "thread.run.step",
        "created_at": unix_seconds(),
        "run_id": run["id"],
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "type": details["type"],
        "status": "in_progress",
        "cancelled_at": null,
        "completed_at": null,
        "expired_at": null,
        "failed_at": null,
        "last_error": null,
        "step_details": details,
        "usage": null,
        "metadata": {},
    })
}

pub(super) fn usage((input, output): (u64, u64)) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

/// Brings a run, a step or a message to this status; the time when it came to that is noted where there is a place for it.
pub(super) fn set_status(object: &mut Value, status: &str) {
    object["status"] = json!(status);
    let time = match status {
        "in_progress" => "started_at",
        other => &*format!("{other}_at"),
    };
    if let Some(time) = object.get_mut(time) {
        *time = json!(unix_seconds());
    }
    if object["object"] == "thread.run" && super::store::is_over(object) {
        object["expires_at"] = Value::Null;
        object["required_action"] = Value::Null;
    }
}
