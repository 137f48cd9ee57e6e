//! What was said, as messages of a thread: those of users and assistants. System texts are instructions of the run, and what else there
//! is belongs to runs that are over.

use serde_json::{Value, json};

use super::PROTOCOL;
use crate::model::Item;
use crate::openai::{Error, Result};

/// The messages to add, and the system texts among them.
///
/// # Errors
///
/// When the newest question has a part that cannot be sent: of an earlier one a word stands for it.
pub(super) fn of(items: &[Item]) -> Result<(Vec<Value>, Vec<String>)> {
    let newest = items.iter().rposition(|item| item.role() == Some("user"));
    let (mut messages, mut system) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate().filter(|(_, item)| item.is_message()) {
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
