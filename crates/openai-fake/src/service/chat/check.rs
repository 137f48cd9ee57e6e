//! The parameters of a chat request, and whether its messages make a conversation.

use serde_json::{Value, json};

use crate::service::{
    check::{self, number},
    conversations,
    error::ApiError,
};

use super::known;

pub(super) fn parameters(body: &Value) -> Result<(), ApiError> {
    known::check(body)?;
    number(body, "max_completion_tokens", "integer", 1.0, f64::MAX)?;
    number(body, "max_tokens", "integer", 1.0, f64::MAX)?;
    number(body, "n", "integer", 1.0, 128.0)?;
    number(body, "temperature", "decimal", 0.0, 2.0)?;
    number(body, "top_p", "decimal", 0.0, 1.0)?;
    number(body, "frequency_penalty", "decimal", -2.0, 2.0)?;
    number(body, "presence_penalty", "decimal", -2.0, 2.0)?;
    number(body, "top_logprobs", "integer", 0.0, 20.0)?;
    conversations::metadata(&body["metadata"])?;
    check::stream_options(body)?;
    if body["tools"] == json!([]) {
        return Err(empty_array("tools"));
    }
    check::wrapped_tools(&body["tools"])?;
    of_model(body)
}

/// What the models that reason do not take.
fn of_model(body: &Value) -> Result<(), ApiError> {
    let model = body["model"].as_str().unwrap_or_default();
    if !body["max_tokens"].is_null() && reasons(model) {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                       'max_completion_tokens' instead.";
        let error = ApiError::bad_request(message).param("max_tokens");
        return Err(error.code("unsupported_parameter"));
    }
    let mut tools = body["tools"].as_array().into_iter().flatten();
    let effort = body["reasoning_effort"].as_str();
    let unspoken = if always_reasons(model) { "default" } else { "none" };
    let thinks = begins(model, &["gpt-5.4", "gpt-5.5"]) || always_reasons(model);
    if thinks
        && effort.unwrap_or(unspoken) != "none"
        && tools.any(|tool| tool["type"] == "function")
    {
        let message = format!(
            "Function tools with reasoning_effort are not supported for {model} in \
             /v1/chat/completions. To use function tools, use /v1/responses or set \
             reasoning_effort to 'none'."
        );
        return Err(ApiError::bad_request(message).param("reasoning_effort"));
    }
    Ok(())
}

fn reasons(model: &str) -> bool {
    begins(model, &["o1", "o3", "o4", "gpt-5", "gpt-6"])
}

/// Also where the request does not say how much.
fn always_reasons(model: &str) -> bool {
    begins(model, &["gpt-5.6", "gpt-6"])
}

fn begins(model: &str, families: &[&str]) -> bool {
    families.iter().any(|family| {
        model
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    })
}

fn empty_array(param: &str) -> ApiError {
    let message = format!(
        "Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty \
         array instead."
    );
    ApiError::bad_request(message).param(param).code("empty_array")
}

pub(super) fn messages(messages: &Value) -> Result<(), ApiError> {
    let messages = match messages {
        Value::Null => return Err(ApiError::missing("messages")),
        Value::Array(messages) if messages.is_empty() => return Err(empty_array("messages")),
        Value::Array(messages) => messages,
        _ => return Err(ApiError::wrong_type("messages", "an array")),
    };
    for (index, message) in messages.iter().enumerate() {
        one(message, &format!("messages[{index}]"))?;
    }
    pairing(messages)
}

fn one(message: &Value, path: &str) -> Result<(), ApiError> {
    if !message.is_object() {
        return Err(ApiError::wrong_type(path, "an object"));
    }
    let role = message["role"].as_str();
    let role = role.ok_or_else(|| ApiError::missing(&format!("{path}.role")))?;
    known::check_message(message, role, path)?;
    if role == "tool" && !message["tool_call_id"].is_string() {
        return Err(ApiError::missing(&format!("{path}.tool_call_id")));
    }
    let content = format!("{path}.content");
    match &message["content"] {
        Value::String(_) => {}
        Value::Array(parts) if parts.is_empty() => return Err(empty_array(&content)),
        Value::Array(parts) => {
            for (index, part) in parts.iter().enumerate() {
                known::check_part(part, &format!("{content}[{index}]"))?;
            }
        }
        Value::Null => {
            let said = ["tool_calls", "function_call", "audio", "refusal"];
            let elsewhere = said.iter().any(|name| !message[*name].is_null());
            if role != "assistant" || !elsewhere {
                let message = "Invalid value for 'content': expected a string, got null.";
                return Err(ApiError::bad_request(message).param(content));
            }
        }
        _ => return Err(ApiError::wrong_type(&content, "a string or an array")),
    }
    calls(message, path)
}

fn calls(message: &Value, path: &str) -> Result<(), ApiError> {
    let path = format!("{path}.tool_calls");
    let calls = match &message["tool_calls"] {
        Value::Null => return Ok(()),
        Value::Array(calls) if calls.is_empty() => return Err(empty_array(&path)),
        Value::Array(calls) => calls,
        _ => return Err(ApiError::wrong_type(&path, "an array")),
    };
    for (index, call) in calls.iter().enumerate() {
        let path = format!("{path}[{index}]");
        for name in ["id", "type"] {
            if !call[name].is_string() {
                return Err(ApiError::missing(&format!("{path}.{name}")));
            }
        }
        for name in ["name", "arguments"] {
            if call["type"] == "function" && !call["function"][name].is_string() {
                return Err(ApiError::missing(&format!("{path}.function.{name}")));
            }
        }
    }
    Ok(())
}

/// The outputs follow their calls at once, and all of them.
fn pairing(messages: &[Value]) -> Result<(), ApiError> {
    let mut open: Vec<&str> = Vec::new();
    let mut after_calls = false;
    let unanswered = |open: &[&str], index: usize| {
        let message = format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding \
             to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            open.join(", ")
        );
        ApiError::bad_request(message).param(format!("messages.[{index}].role"))
    };
    for (index, message) in messages.iter().enumerate() {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !after_calls || !open.contains(&id) {
                let message = "Invalid parameter: messages with role 'tool' must be a response to \
                               a preceeding message with 'tool_calls'.";
                let param = format!("messages.[{index}].role");
                return Err(ApiError::bad_request(message).param(param));
            }
            open.retain(|other| *other != id);
            continue;
        }
        if !open.is_empty() {
            return Err(unanswered(&open, index));
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        open = calls.filter_map(|call| call["id"].as_str()).collect();
        after_calls = !open.is_empty();
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open, messages.len())) }
}

/// What many chat templates demand: a system message at the most in the beginning, then the user and the assistant by turns.
pub(super) fn template(messages: &Value) -> Result<(), ApiError> {
    let mut messages = messages.as_array().into_iter().flatten().peekable();
    messages.next_if(|message| message["role"] == "system");
    let mut expected = "user";
    for message in messages {
        match message["role"].as_str() {
            Some("system" | "developer") => {
                return Err(ApiError::template("System message must be at the beginning."));
            }
            // Calls and their outputs are within the turn of the assistant.
            Some("tool") => {}
            Some("assistant")
                if message["tool_calls"] != json!(null) && expected == "assistant" => {}
            Some(role) if role == expected => {
                expected = if role == "user" { "assistant" } else { "user" };
            }
            _ => {
                return Err(ApiError::template(
                    "Conversation roles must alternate user/assistant/user/assistant/...",
                ));
            }
        }
    }
    Ok(())
}
