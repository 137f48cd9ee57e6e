//! What was said, as the span of a run shows it where the host asks for that: the JSON form of OpenTelemetry's conventions for
//! generative AI, within a bound.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::output::Final;
use super::parts;
use crate::model::{Item, ItemKind, Reason, RunStatus};
use crate::store::items::NewItem;
use crate::store::runs::End;

/// What is sent, in at most so many bytes.
pub(super) fn input(items: &[Item], most: usize) -> String {
    bounded(items.iter().filter_map(message_of), most)
}

/// What was answered, in at most so many bytes: the texts, then the calls.
pub(super) fn output(messages: &[Final], items: &[NewItem], end: &End, most: usize) -> String {
    let texts = messages.iter().map(|message| Item::message("assistant", &*message.content));
    let calls = items.iter().map(|item| Item::from(item.item.clone()));
    let calls = calls.filter(|item| matches!(item.kind(), ItemKind::ToolCall(_)));
    let finish = finish_reason(end);
    let said: Vec<Value> = texts
        .chain(calls)
        .filter_map(|item| message_of(&item))
        .map(|mut said| {
            said["finish_reason"] = json!(finish);
            said
        })
        .collect();
    bounded(said.into_iter(), most)
}

fn finish_reason(end: &End) -> &'static str {
    match (end.status, &end.reason) {
        (_, Some(Reason::ToolCalls)) => "tool_call",
        (_, Some(Reason::MaxOutputTokens)) => "length",
        (_, Some(Reason::ContentFilter)) => "content_filter",
        (RunStatus::Completed, _) => "stop",
        _ => "error",
    }
}

/// Reasoning is sealed, and what the provider carries out itself is not sent.
fn message_of(item: &Item) -> Option<Value> {
    let field = |name: &str| item.as_value().get(name).cloned().unwrap_or_default();
    let (role, part) = match item.kind() {
        ItemKind::Message => return Some(message_of_parts(item)),
        ItemKind::ToolCall(id) => {
            let name = item.as_value().get("name").and_then(Value::as_str);
            let name = name.unwrap_or_else(|| item.type_name());
            let arguments = match field("arguments") {
                // The conventions want them parsed, where they can be.
                Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                Value::Null => field("input"),
                other => other,
            };
            let part = json!({"type": "tool_call", "id": id, "name": name, "arguments": arguments});
            ("assistant", part)
        }
        ItemKind::ToolOutput(id) => {
            let part = json!({"type": "tool_call_response", "id": id, "response": field("output")});
            ("tool", part)
        }
        ItemKind::Reasoning | ItemKind::Other => return None,
    };
    Some(json!({"role": role, "parts": [part]}))
}

/// Of pictures, files and sound it is said that they are there.
fn message_of_parts(item: &Item) -> Value {
    let text = item.text();
    let text = json!({"type": "text", "content": text});
    let beside = parts::beside(item).map(|part| {
        let modality = match part.get("type").and_then(Value::as_str) {
            Some("input_image") => "image",
            Some("input_audio") => "audio",
            _ => "document",
        };
        json!({"type": "blob", "modality": modality})
    });
    let parts: Vec<Value> = std::iter::once(text).chain(beside).collect();
    json!({"role": item.role().unwrap_or("assistant"), "parts": parts})
}

/// The last of them that fit; the first of those may be cut short.
fn bounded(messages: impl DoubleEndedIterator<Item = Value>, most: usize) -> String {
    // The brackets.
    let mut left = most.saturating_sub(2);
    let mut kept = VecDeque::new();
    for message in messages.rev() {
        let text = message.to_string();
        // With the comma.
        let needed = text.len() + 1;
        if needed > left {
            if let Some(shorter) = cut(message, needed - left) {
                kept.push_front(shorter);
            }
            break;
        }
        left -= needed;
        kept.push_front(text);
    }
    let kept: Vec<String> = kept.into();
    format!("[{}]", kept.join(","))
}

/// A message whose text is so many bytes shorter at least; `None`: there is not so much text.
fn cut(mut message: Value, bytes: usize) -> Option<String> {
    const MORE: &str = "…";
    let part = message.get_mut("parts")?.get_mut(0)?.get_mut("content")?;
    let text = part.as_str()?;
    let mut end = text.len().checked_sub(bytes + MORE.len()).filter(|end| *end > 0)?;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    *part = Value::String(format!("{}{MORE}", &text[..end]));
    Some(message.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn messages_calls_and_outputs_have_the_form_of_the_conventions() {
        let items: Vec<Item> = [
            json!({"type": "message", "role": "user", "content": "Weather?"}),
            json!({"type": "reasoning", "encrypted_content": "sealed", "summary": []}),
            json!({"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{\"in\":\"Paris\"}"}),
            json!({"type": "function_call_output", "call_id": "c", "output": "rain"}),
        ]
        .map(Item::from)
        .into();
        let expected = json!([
            {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "weather", "arguments": {"in": "Paris"}}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "rain"}]},
        ]);
        assert_eq!(Value::Array(read(&input(&items, 10_000))), expected);
    }

    #[test]
    fn what_is_shown_has_a_bound_and_the_newest_stays() {
        let said = |text: &str| Item::message("user", text);
        let last_alone = message_of(&said("the last")).unwrap().to_string().len() + "[],".len();
        let items = [said("the first"), said(&"\"é".repeat(200)), said("the last")];
        for most in 0..1_400 {
            let text = input(&items, most);
            assert!(text.len() <= most.max(2), "{most}: {text}");
            let kept = read(&text);
            let last = kept.last().map(|message| message["parts"][0]["content"].clone());
            let whole = last == Some(json!("the last"));
            assert_eq!(whole, most >= last_alone, "{most}: {text}");
        }
        assert_eq!(read(&input(&items, 1_400)).len(), 3);
        let cut = read(&input(&items, 400));
        assert!(cut[0]["parts"][0]["content"].as_str().unwrap().ends_with('…'), "{cut:?}");
    }
}
