//! What was said, as messages of a thread: those of users and assistants. System texts are instructions of the run. Calls and
//! what came of them are told in words: outputs proper belong to a run that waits for them, for ten minutes at most, and ours is over.

use serde_json::{Value, json};

use super::PROTOCOL;
use crate::model::{Item, ItemKind};
use crate::openai::{Error, Result};

/// The messages to add, and the system texts among them.
///
/// # Errors
///
/// When the newest question has a part that cannot be sent: of an earlier one a word stands for it.
pub(super) fn of(items: &[Item]) -> Result<(Vec<Value>, Vec<String>)> {
    let newest = items.iter().rposition(|item| item.role() == Some("user"));
    let (mut messages, mut system) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        if let Some((role, text)) = in_words(item) {
            messages.push(json!({"role": role, "content": text}));
        }
        if !item.is_message() {
            continue;
        }
        match item.role() {
            Some("system" | "developer") => system.push(item.text()),
            Some("assistant") => {
                let text = item.text();
                // A blank one is refused.
                if !text.trim().is_empty() {
                    messages.push(json!({"role": "assistant", "content": text}));
                }
            }
            Some(_) => {
                let content = content(item, Some(at) == newest)?;
                messages.push(json!({"role": "user", "content": content}));
            }
            None => {}
        }
    }
    Ok((messages, system))
}

/// A call, or what came of one, as whoever says it and in which words; each is one message, so that it is known when it is listed.
fn in_words(item: &Item) -> Option<(&'static str, String)> {
    let said = |name: &str| match &item.as_value()[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    match item.kind() {
        ItemKind::ToolCall(id) => {
            Some(("assistant", format!("[Call {id}: {}({})]", said("name"), said("arguments"))))
        }
        ItemKind::ToolOutput(id) => {
            Some(("user", format!("[What came of call {id}:]\n{}", said("output"))))
        }
        ItemKind::Message | ItemKind::Reasoning | ItemKind::Other => None,
    }
}

fn content(item: &Item, is_newest: bool) -> Result<Value> {
    let parts = item.as_value()["content"].as_array();
    let Some(parts) = parts.filter(|parts| parts.iter().any(|part| text_of(part).is_none())) else {
        return Ok(item.text().into());
    };
    let parts = parts.iter().map(|part| match part_of(part) {
        Some(part) => Ok(part),
        None if is_newest => {
            let kind = part["type"].as_str().unwrap_or_default();
            let message = format!(
                "the protocol {PROTOCOL} has no form for a part of type {kind:?} like this; it takes texts and pictures with an https URL or a file id, so send it so, or use Protocol::Responses"
            );
            Err(Error::Invalid { what: "the message", message })
        }
        None => Ok(json!({"type": "text", "text": placeholder(part)})),
    });
    parts.collect()
}

/// What was sent, as it is listed: words stand for what has no form here.
pub(super) fn listed(item: Item) -> Item {
    if let Some((role, text)) = in_words(&item) {
        return Item::message(role, text);
    }
    let has_no_form = |part: &Value| part_of(part).is_none();
    let parts = item.as_value()["content"].as_array();
    if item.role() != Some("user") || !parts.is_some_and(|parts| parts.iter().any(has_no_form)) {
        return item;
    }
    let mut value = item.into_value();
    for part in value["content"].as_array_mut().into_iter().flatten() {
        if has_no_form(part) {
            *part = json!({"type": "input_text", "text": placeholder(part)});
        }
    }
    Item::from(value)
}

fn text_of(part: &Value) -> Option<&str> {
    match part["type"].as_str()? {
        "input_text" | "output_text" | "text" => part["text"].as_str(),
        _ => None,
    }
}

/// Stands for what cannot be shown.
fn placeholder(part: &Value) -> String {
    let name = part["filename"].as_str().unwrap_or(match part["type"].as_str() {
        Some("input_image") => "A picture",
        Some("input_file") => "A file",
        _ => "Something",
    });
    format!("[{name}, which cannot be shown here.]")
}

fn part_of(part: &Value) -> Option<Value> {
    if let Some(text) = text_of(part) {
        return Some(json!({"type": "text", "text": text}));
    }
    if part["type"] != "input_image" {
        return None;
    }
    let detail = part["detail"].as_str();
    let with_detail = |mut image: Value| {
        if let Some(detail) = detail {
            image["detail"] = detail.into();
        }
        image
    };
    if let Some(id) = part["file_id"].as_str() {
        let image = with_detail(json!({"file_id": id}));
        return Some(json!({"type": "image_file", "image_file": image}));
    }
    let url = part["image_url"].as_str().filter(|url| url.starts_with("https://"))?;
    Some(json!({"type": "image_url", "image_url": with_detail(json!({"url": url}))}))
}
