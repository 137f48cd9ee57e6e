//! Items: from the many forms a client may send to the one form the service keeps.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::service::{error::ApiError, known, request::Request, state::State};

type Object = Map<String, Value>;

/// The `input` of a response: a text, or an array of items.
pub(crate) fn from_input(input: &Value, state: &mut State) -> Result<Vec<Value>, ApiError> {
    match input {
        Value::Null => Ok(Vec::new()),
        // An empty text is no message.
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => {
            let message = json!({"role": "user", "content": text});
            Ok(vec![normalise(&message, "input", state)?])
        }
        Value::Array(items) => normalise_all(items, "input", state),
        _ => Err(ApiError::wrong_type("input", "a string or an array")),
    }
}

/// The `items` of a conversation: at most 20 at a time.
pub(crate) fn from_items(items: &Value, state: &mut State) -> Result<Vec<Value>, ApiError> {
    let items = match items {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        _ => return Err(ApiError::wrong_type("items", "an array")),
    };
    if items.len() > 20 {
        let message = format!(
            "Invalid 'items': array too long. Expected an array with maximum length 20, \
             but got an array with length {} instead.",
            items.len()
        );
        return Err(ApiError::bad_request(message).param("items").code("array_above_max_length"));
    }
    normalise_all(items, "items", state)
}

fn normalise_all(items: &[Value], param: &str, state: &mut State) -> Result<Vec<Value>, ApiError> {
    let named = items.iter().enumerate();
    named.map(|(index, item)| normalise(item, &format!("{param}[{index}]"), state)).collect()
}

/// One item with `id`, `type`, `status` and content in parts.
fn normalise(item: &Value, param: &str, state: &mut State) -> Result<Value, ApiError> {
    let mut item = match item {
        Value::Object(item) => item.clone(),
        _ => return Err(ApiError::wrong_type(param, "an object")),
    };
    let kind = match item.get("type") {
        None => "message".to_owned(),
        Some(Value::String(kind)) => kind.clone(),
        Some(_) => return Err(ApiError::wrong_type(&format!("{param}.type"), "a string")),
    };
    known::check_item(&item, &kind, param)?;
    let prefix = match kind.as_str() {
        "message" => {
            normalise_message(&mut item, param)?;
            "msg"
        }
        "function_call" => {
            require_strings(&item, &["call_id", "name", "arguments"], param)?;
            default(&mut item, "status", json!("completed"));
            "fc"
        }
        "function_call_output" => {
            require_strings(&item, &["call_id"], param)?;
            if !(item.get("output")).is_some_and(|o| o.is_string() || o.is_array()) {
                return Err(ApiError::missing(&format!("{param}.output")));
            }
            default(&mut item, "status", json!("completed"));
            "fco"
        }
        "reasoning" => {
            check_reasoning(&item, state)?;
            default(&mut item, "summary", json!([]));
            "rs"
        }
        "item_reference" => {
            require_strings(&item, &["id"], param)?;
            let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
            return state.find_item(id).cloned().ok_or_else(|| not_kept(id));
        }
        "compaction" => {
            require_strings(&item, &["encrypted_content"], param)?;
            "cmp"
        }
        _ => "item",
    };
    if !item.get("id").is_some_and(Value::is_string) {
        item.insert("id".to_owned(), json!(state.mint(prefix)));
    }
    item.insert("type".to_owned(), json!(kind));
    Ok(Value::Object(item))
}

fn normalise_message(item: &mut Object, param: &str) -> Result<(), ApiError> {
    require_strings(item, &["role"], param)?;
    let role = item.get("role").and_then(Value::as_str).unwrap_or_default();
    if !["user", "assistant", "system", "developer"].contains(&role) {
        let message = format!(
            "Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', \
             and 'user'."
        );
        return Err(ApiError::invalid_value(&format!("{param}.role"), message));
    }
    let text_type = match role {
        "assistant" => "output_text",
        _ => "input_text",
    };
    let content = format!("{param}.content");
    let mut parts = match item.get("content") {
        None | Some(Value::Null) => return Err(ApiError::missing(&content)),
        Some(Value::String(text)) => vec![json!({"type": text_type, "text": text})],
        Some(Value::Array(parts)) => parts.clone(),
        Some(_) => return Err(ApiError::wrong_type(&content, "a string or an array")),
    };
    for (index, part) in parts.iter_mut().enumerate() {
        normalise_part(part, &format!("{content}[{index}]"))?;
    }
    item.insert("content".to_owned(), Value::Array(parts));
    default(item, "status", json!("completed"));
    Ok(())
}

fn normalise_part(part: &mut Value, param: &str) -> Result<(), ApiError> {
    let Value::Object(part) = part else {
        return Err(ApiError::wrong_type(param, "an object"));
    };
    require_strings(part, &["type"], param)?;
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    known::check_part(part, kind, param)?;
    let is_output = kind == "output_text";
    if is_output || kind == "input_text" {
        require_strings(part, &["text"], param)?;
    }
    if is_output {
        default(part, "annotations", json!([]));
        default(part, "logprobs", json!([]));
    }
    Ok(())
}

/// A reasoning item that was never stored can only come back with its encrypted content.
fn check_reasoning(item: &Object, state: &State) -> Result<(), ApiError> {
    let sealed = item.get("encrypted_content").is_some_and(Value::is_string);
    match item.get("id").and_then(Value::as_str) {
        Some(id) if !sealed && state.find_item(id).is_none() => Err(not_kept(id)),
        _ => Ok(()),
    }
}

fn not_kept(id: &str) -> ApiError {
    let message = format!(
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. \
         Try again with `store` set to true, or remove this item from your input."
    );
    ApiError::new(404, message).param("input")
}

fn require_strings(item: &Object, names: &[&str], param: &str) -> Result<(), ApiError> {
    for name in names {
        match item.get(*name) {
            Some(Value::String(_)) => {}
            None | Some(Value::Null) => return Err(ApiError::missing(&format!("{param}.{name}"))),
            Some(_) => return Err(ApiError::wrong_type(&format!("{param}.{name}"), "a string")),
        }
    }
    Ok(())
}

fn default(item: &mut Object, name: &str, value: Value) {
    item.entry(name).or_insert(value);
}

/// Every tool output needs its call, and every call its output, in what the model gets to see.
pub(crate) fn check_pairing(context: &[Value], input: &[Value]) -> Result<(), ApiError> {
    let mut called = BTreeSet::new();
    let mut unanswered = Vec::new();
    for item in context.iter().chain(input) {
        let call_id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str() {
            Some("function_call") => {
                called.insert(call_id);
                unanswered.push(call_id);
            }
            Some("function_call_output") if called.contains(call_id) => {
                unanswered.retain(|other| *other != call_id);
            }
            Some("function_call_output") => {
                return Err(ApiError::bad_request(format!(
                    "No tool call found for function call output with call_id {call_id}."
                ))
                .param("input"));
            }
            _ => {}
        }
    }
    match unanswered.first() {
        Some(call_id) => {
            Err(ApiError::bad_request(format!("No tool output found for function call {call_id}."))
                .param("input"))
        }
        None => Ok(()),
    }
}

/// All text of an item: of a message, of a call's arguments, or of a tool's output.
pub(crate) fn text_of(item: &Value) -> String {
    let of_parts = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    };
    of_parts(&item["content"]) + &of_parts(&item["output"]) + &of_parts(&item["arguments"])
}

/// One page of a list, as the query asks for it.
pub(crate) fn page(oldest_first: &[&Value], request: &Request) -> Result<Value, ApiError> {
    let limit = match request.query_value("limit") {
        None => 20,
        Some(text) => match text.parse::<usize>() {
            Ok(limit) if (1..=100).contains(&limit) => limit,
            _ => {
                let message = format!("Invalid 'limit': expected 1 to 100, but got {text}.");
                return Err(ApiError::invalid_value("limit", message));
            }
        },
    };
    let mut items = oldest_first.to_vec();
    match request.query_value("order") {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(other) => {
            let message =
                format!("Invalid value: '{other}'. Supported values are: 'asc' and 'desc'.");
            return Err(ApiError::invalid_value("order", message));
        }
    }
    if let Some(after) = request.query_value("after") {
        let found = items.iter().position(|item| item["id"] == *after);
        let index = found.ok_or_else(|| ApiError::unknown("Item", after).param("after"))?;
        items.drain(..=index);
    }
    if let Some(before) = request.query_value("before") {
        let found = items.iter().position(|item| item["id"] == *before);
        items.truncate(found.ok_or_else(|| ApiError::unknown("Item", before).param("before"))?);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    Ok(list(&items, has_more))
}

pub(crate) fn list(items: &[&Value], has_more: bool) -> Value {
    json!({
        "object": "list",
        "data": items,
        "first_id": items.first().map(|item| &item["id"]),
        "last_id": items.last().map(|item| &item["id"]),
        "has_more": has_more,
    })
}
