//! The endpoints of conversations and their items.

use serde_json::{Value, json};

use crate::{
    Request,
    service::{error::ApiError, items, known, state::State},
};

const NOTHING: Value = Value::Null;

pub(crate) fn create(state: &mut State, request: &Request) -> Result<Value, ApiError> {
    let body = request.body.as_ref().unwrap_or(&NOTHING);
    known::check(body, known::NEW_CONVERSATION)?;
    let metadata = metadata(&body["metadata"])?;
    let items = items::from_items(&body["items"], state)?;
    let id = state.create_conversation(metadata);
    state.append(&id, items)?;
    state.conversation_object(&id)
}

pub(crate) fn update(state: &mut State, id: &str, request: &Request) -> Result<Value, ApiError> {
    state.conversation_object(id)?;
    let body = request.body.as_ref().unwrap_or(&NOTHING);
    known::check(body, known::METADATA)?;
    if body.get("metadata").is_none() {
        return Err(ApiError::missing("metadata"));
    }
    state.set_metadata(id, metadata(&body["metadata"])?)?;
    state.conversation_object(id)
}

pub(crate) fn delete(state: &mut State, id: &str) -> Result<Value, ApiError> {
    state.delete_conversation(id)?;
    Ok(json!({"id": id, "object": "conversation.deleted", "deleted": true}))
}

pub(crate) fn add_items(state: &mut State, id: &str, request: &Request) -> Result<Value, ApiError> {
    state.check_unlocked(id)?;
    let body = request.body.as_ref().unwrap_or(&NOTHING);
    known::check(body, known::ITEMS)?;
    if body["items"].is_null() {
        return Err(ApiError::missing("items"));
    }
    let items = items::from_items(&body["items"], state)?;
    let kept = state.append(id, items)?;
    let kept: Vec<&Value> = kept.iter().collect();
    Ok(items::list(&kept, false))
}

pub(crate) fn list_items(state: &State, id: &str, request: &Request) -> Result<Value, ApiError> {
    items::page(&state.conversation_items(id)?, request)
}

/// Answers, as the real service does, with the conversation.
pub(crate) fn delete_item(state: &mut State, id: &str, item: &str) -> Result<Value, ApiError> {
    state.check_unlocked(id)?;
    state.delete_item(id, item)?;
    state.conversation_object(id)
}

/// Metadata within its limits: 16 pairs, keys of 64 and values of 512 characters.
pub(crate) fn metadata(given: &Value) -> Result<Value, ApiError> {
    let pairs = match given {
        Value::Null => return Ok(json!({})),
        Value::Object(pairs) => pairs,
        _ => return Err(ApiError::wrong_type("metadata", "an object")),
    };
    if pairs.len() > 16 {
        let message = format!(
            "Invalid 'metadata': too many properties. Expected an object with at most 16 \
             properties, but got an object with {} properties instead.",
            pairs.len()
        );
        let error = ApiError::bad_request(message).param("metadata");
        return Err(error.code("object_above_max_properties"));
    }
    for (key, value) in pairs {
        let param = format!("metadata.{key}");
        let Value::String(value) = value else {
            return Err(ApiError::wrong_type(&param, "a string"));
        };
        let limits = [("key", key.as_str(), 64), ("value", value.as_str(), 512)];
        for (what, text, most) in limits {
            let length = text.chars().count();
            if length > most {
                let message = format!(
                    "Invalid '{param}': {what} too long. Expected a string with maximum length \
                     {most}, but got a string with length {length} instead."
                );
                let error = ApiError::bad_request(message).param(param);
                return Err(error.code("string_above_max_length"));
            }
        }
    }
    Ok(given.clone())
}
