//! The parameters of the Assistants API: names, types, limits.

use serde_json::Value;

use crate::{
    Request,
    service::{
        check::{number, wrapped_tools},
        conversations,
        error::ApiError,
        known::{Names, check_members},
    },
};

/// Without this header there is no such API.
pub(super) fn beta(request: &Request) -> Result<(), ApiError> {
    let given = request.headers.get("openai-beta").map_or("", String::as_str);
    if given.split(',').any(|name| name.trim() == "assistants=v2") {
        return Ok(());
    }
    let message = "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please \
                   try again by setting the header 'OpenAI-Beta: assistants=v2'.";
    Err(ApiError::bad_request(message).code("invalid_beta"))
}

/// The body, an object with these names; none is an empty one.
pub(super) fn body(request: &Request, names: Names) -> Result<&Value, ApiError> {
    const NOTHING: &Value = &Value::Null;
    let body = request.body.as_ref().unwrap_or(NOTHING);
    object(body, names, "")?;
    conversations::metadata(&body["metadata"])?;
    Ok(body)
}

fn object(value: &Value, names: Names, path: &str) -> Result<(), ApiError> {
    match value {
        Value::Null => Ok(()),
        Value::Object(members) => check_members(members, names, path),
        _ if path.is_empty() => Err(ApiError::bad_request("The body must be a JSON object.")),
        _ => Err(ApiError::wrong_type(path, "an object")),
    }
}

/// What assistants and runs have in common.
pub(super) fn settings(body: &Value) -> Result<(), ApiError> {
    number(body, "temperature", "decimal", 0.0, 2.0)?;
    number(body, "top_p", "decimal", 0.0, 1.0)?;
    number(body, "max_prompt_tokens", "integer", 256.0, f64::MAX)?;
    number(body, "max_completion_tokens", "integer", 256.0, f64::MAX)?;
    wrapped_tools(&body["tools"])
}

/// The messages in a member of a body.
pub(super) fn messages<'b>(list: &'b Value, path: &str) -> Result<&'b [Value], ApiError> {
    let list = match list {
        Value::Null => return Ok(&[]),
        Value::Array(list) => list,
        _ => return Err(ApiError::wrong_type(path, "an array")),
    };
    for (index, given) in list.iter().enumerate() {
        message(given, &format!("{path}[{index}]"))?;
    }
    Ok(list)
}

/// A message to add; the path of one that is the body itself is empty.
pub(super) fn message(message: &Value, path: &str) -> Result<(), ApiError> {
    use super::known::MESSAGE;
    object(message, MESSAGE, path)?;
    conversations::metadata(&message["metadata"])?;
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let role = message["role"].as_str().ok_or_else(|| ApiError::missing(&at("role")))?;
    if !["user", "assistant"].contains(&role) {
        let text =
            format!("Invalid value: '{role}'. Supported values are: 'user' and 'assistant'.");
        return Err(ApiError::invalid_value(&at("role"), text));
    }
    let content = at("content");
    let empty = || ApiError::bad_request("Message content must be non-empty.").param(&content);
    match &message["content"] {
        Value::Null => Err(ApiError::missing(&content)),
        Value::String(text) if text.trim().is_empty() => Err(empty()),
        Value::Array(parts) if parts.is_empty() => Err(empty()),
        Value::Array(parts) => {
            parts.iter().enumerate().try_for_each(|(index, given)| part(given, &content, index))
        }
        Value::String(_) => Ok(()),
        _ => Err(ApiError::wrong_type(&content, "a string or an array")),
    }
}

fn part(part: &Value, content: &str, index: usize) -> Result<(), ApiError> {
    let path = format!("{content}[{index}]");
    let kind = part["type"].as_str();
    let kind = kind.ok_or_else(|| ApiError::missing(&format!("{path}.type")))?;
    let names: Names = match kind {
        "text" => &["text", "type"],
        "image_url" => &["image_url", "type"],
        "image_file" => &["image_file", "type"],
        _ => {
            let text = format!(
                "Invalid value: '{kind}'. Supported values are: 'text', 'image_url', and \
                 'image_file'."
            );
            return Err(ApiError::invalid_value(&format!("{path}.type"), text));
        }
    };
    object(part, names, &path)?;
    // What the part holds is called like its type.
    let held = format!("{path}.{kind}");
    match &part[kind] {
        Value::Null => Err(ApiError::missing(&held)),
        Value::String(_) if kind == "text" => Ok(()),
        _ if kind == "text" => Err(ApiError::wrong_type(&held, "a string")),
        Value::Object(_) => Ok(()),
        _ => Err(ApiError::wrong_type(&held, "an object")),
    }
}
