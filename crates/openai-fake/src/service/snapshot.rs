//! The response object, from the request's fields to its terminal form.

use serde_json::{Map, Value, json};

use crate::service::state::unix_seconds;

/// The object of a response that has just begun: it echoes the request.
pub(crate) fn begun(id: &str, request: &Value, model: &Value, conversation: Option<&str>) -> Value {
    let echo = |name: &str, otherwise: Value| match &request[name] {
        Value::Null => otherwise,
        given => given.clone(),
    };
    json!({
        "id": id,
        "object": "response",
        "created_at": unix_seconds(),
        "status": "in_progress",
        "background": request["background"] == json!(true),
        "completed_at": null,
        "conversation": conversation.map(|id| json!({"id": id})),
        "error": null,
        "frequency_penalty": echo("frequency_penalty", json!(0.0)),
        "incomplete_details": null,
        "instructions": echo("instructions", Value::Null),
        "max_output_tokens": echo("max_output_tokens", Value::Null),
        "max_tool_calls": echo("max_tool_calls", Value::Null),
        "metadata": echo("metadata", json!({})),
        "model": model,
        "output": [],
        "parallel_tool_calls": echo("parallel_tool_calls", json!(true)),
        "presence_penalty": echo("presence_penalty", json!(0.0)),
        "previous_response_id": echo("previous_response_id", Value::Null),
        "prompt_cache_key": echo("prompt_cache_key", Value::Null),
        "prompt_cache_retention": echo("prompt_cache_retention", Value::Null),
        "reasoning": echo("reasoning", json!({"effort": null, "summary": null})),
        "safety_identifier": echo("safety_identifier", Value::Null),
        "service_tier": "default",
        "store": echo("store", json!(true)),
        "temperature": echo("temperature", json!(1.0)),
        "text": echo("text", json!({"format": {"type": "text"}})),
        "tool_choice": echo("tool_choice", json!("auto")),
        "tools": tools(&request["tools"]),
        "top_logprobs": echo("top_logprobs", json!(0)),
        "top_p": echo("top_p", json!(1.0)),
        "truncation": echo("truncation", json!("disabled")),
        "usage": null,
        "user": echo("user", Value::Null),
    })
}

/// The tools as echoed, with the fields that the service fills in.
fn tools(given: &Value) -> Value {
    let given = given.as_array().into_iter().flatten();
    let fill = |tool: &Value| {
        let mut tool: Map<String, Value> = tool.as_object().cloned().unwrap_or_default();
        if tool.get("type").is_some_and(|kind| kind == "function") {
            tool.entry("description").or_insert(Value::Null);
            tool.entry("parameters").or_insert(Value::Null);
            tool.entry("strict").or_insert(json!(true));
        }
        Value::Object(tool)
    };
    given.map(fill).collect()
}

/// A background response before its turn has come.
pub(crate) fn queued(begun: &Value) -> Value {
    let mut object = begun.clone();
    object["status"] = json!("queued");
    object
}

pub(crate) fn completed(mut object: Value, output: &[Value], usage: Value) -> Value {
    object["status"] = json!("completed");
    object["completed_at"] = json!(unix_seconds());
    object["output"] = json!(output);
    object["usage"] = usage;
    object
}

pub(crate) fn incomplete(mut object: Value, reason: &str, output: &[Value], usage: Value) -> Value {
    object["status"] = json!("incomplete");
    object["incomplete_details"] = json!({"reason": reason});
    object["output"] = json!(output);
    object["usage"] = usage;
    object
}

/// A failed response has no output; its usage is there only where the script gave one.
pub(crate) fn failed(mut object: Value, code: &str, message: &str, usage: Value) -> Value {
    object["status"] = json!("failed");
    object["error"] = json!({"code": code, "message": message});
    object["usage"] = usage;
    object
}

/// Whatever it had come to, a cancelled response keeps nothing of it.
pub(crate) fn cancelled(mut object: Value) -> Value {
    for name in ["completed_at", "error", "incomplete_details", "usage"] {
        object[name] = Value::Null;
    }
    object["status"] = json!("cancelled");
    object["output"] = json!([]);
    object
}

pub(crate) fn usage(input: u64, output: u64) -> Value {
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + output,
    })
}

/// The rule of thumb: about four characters a token.
pub(crate) fn tokens(text: &str) -> u64 {
    let characters = text.chars().count();
    u64::try_from(characters.div_ceil(4)).unwrap_or(u64::MAX)
}
