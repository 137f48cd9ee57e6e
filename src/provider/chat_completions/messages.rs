//! What was said, as the messages of a chat: a call and its outputs stand side by side whatever stood between them, one role is
//! never two messages in a row, and what the protocol has no form for is left out.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::PROTOCOL;
use crate::model::Item;
use crate::openai::{Error, Result};

/// The messages of a request. `in_place`: system texts stay where they are; else they go into one message in front.
///
/// # Errors
///
/// When the newest question has a part that cannot be sent: of an earlier one a word stands for it.
pub(super) fn of(instructions: Option<&str>, items: &[Item], in_place: bool) -> Result<Vec<Value>> {
    let newest = items.iter().rposition(|item| item.role() == Some("user"));
    let mut outputs: Outputs<'_> = HashMap::new();
    for item in items.iter().filter(|item| item.type_name() == "function_call_output") {
        if let Some(id) = item.call_id() {
            outputs.entry(id).or_default().push_back(item);
        }
    }
    let mut system: Vec<String> = instructions.map(str::to_owned).into_iter().collect();
    let mut chat = Chat { outputs, messages: Vec::new(), calls: Vec::new(), strict: !in_place };
    for (at, item) in items.iter().enumerate() {
        match (item.type_name(), item.role()) {
            ("message", Some("system" | "developer")) if !in_place => system.push(item.text()),
            ("message", Some(role)) => {
                let content = content(item, role, Some(at) == newest)?;
                chat.say(role, content);
            }
            ("function_call", _) => chat.call(item),
            // Behind it begins another round.
            ("function_call_output", _) => chat.close(),
            _ => {}
        }
    }
    chat.close();
    let system = system.join("\n\n");
    if !system.is_empty() {
        let role = if in_place { "developer" } else { "system" };
        chat.messages.insert(0, json!({"role": role, "content": system}));
    }
    Ok(chat.messages)
}

/// Stands for the words that a model would have said behind the outputs of its calls, had it been asked.
const BREAKS_OFF: &str = "[This answer breaks off here.]";

fn is_output(message: &Value) -> bool {
    message["role"] == "tool"
}

/// Outputs by the ids of their calls, in order: some servers give each turn's calls the same ids.
type Outputs<'i> = HashMap<&'i str, VecDeque<&'i Item>>;

/// The messages so far.
struct Chat<'i> {
    outputs: Outputs<'i>,
    messages: Vec<Value>,
    /// Calls of one round, which are one message.
    calls: Vec<&'i Item>,
    /// The template of the model may take nothing but turns of the user and the assistant.
    strict: bool,
}

impl<'i> Chat<'i> {
    fn say(&mut self, role: &str, content: Value) {
        self.close();
        if let Some(last) = self.messages.last_mut()
            && last["role"] == role
            && last.get("tool_calls").is_none()
        {
            let before = last["content"].take();
            last["content"] = joined(before, content);
            return;
        }
        // A turn of the assistant's ends in words: its calls and their outputs alone are none.
        if self.strict && role == "user" && self.messages.last().is_some_and(is_output) {
            self.messages.push(json!({"role": "assistant", "content": BREAKS_OFF}));
        }
        self.messages.push(json!({"role": role, "content": content}));
    }

    fn call(&mut self, call: &'i Item) {
        let outputs = call.call_id().and_then(|id| self.outputs.get(id));
        let answered = outputs.is_some_and(|outputs| !outputs.is_empty());
        let is_new = self.calls.iter().all(|known| known.call_id() != call.call_id());
        // One without an output is refused everywhere.
        if answered && is_new {
            self.calls.push(call);
        }
    }

    /// Ends a round: its calls, and all their outputs behind them.
    fn close(&mut self) {
        let calls = std::mem::take(&mut self.calls);
        let outputs: Vec<(&str, &Item)> = calls
            .iter()
            .filter_map(|call| {
                let id = call.call_id()?;
                Some((id, self.outputs.get_mut(id)?.pop_front()?))
            })
            .collect();
        if outputs.is_empty() {
            return;
        }
        let calls: Vec<Value> = calls.into_iter().map(tool_call).collect();
        match self.messages.last_mut() {
            // What the model said before it called.
            Some(last) if last["role"] == "assistant" && last.get("tool_calls").is_none() => {
                last["tool_calls"] = calls.into();
            }
            _ => self.messages.push(json!({
                "role": "assistant", "content": null, "tool_calls": calls,
            })),
        }
        let outputs = outputs.into_iter().map(|(id, output)| {
            json!({"role": "tool", "tool_call_id": id, "content": output_text(output)})
        });
        self.messages.extend(outputs);
    }
}

fn tool_call(call: &Item) -> Value {
    let text = |name| call.as_value()[name].as_str().unwrap_or_default();
    let arguments = Some(text("arguments")).filter(|text| !text.trim().is_empty());
    json!({
        "id": call.call_id(), "type": "function",
        "function": {"name": text("name"), "arguments": arguments.unwrap_or("{}")},
    })
}

/// The output of a function: text, or parts, of which the text is taken.
fn output_text(output: &Item) -> String {
    match &output.as_value()["output"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| match text_of(part) {
                Some(text) => text.to_owned(),
                None => placeholder(part),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What a message says: a text, or parts where there is more than text. An assistant says text alone.
fn content(item: &Item, role: &str, is_newest: bool) -> Result<Value> {
    let parts = item.as_value()["content"].as_array();
    let Some(parts) = parts.filter(|_| role == "user") else {
        return Ok(item.text().into());
    };
    if parts.iter().all(|part| text_of(part).is_some()) {
        return Ok(item.text().into());
    }
    let parts = parts.iter().map(|part| match part_of(part) {
        Some(part) => Ok(part),
        None if is_newest => {
            let kind = part["type"].as_str().unwrap_or_default();
            let message = format!(
                "the protocol {PROTOCOL} has no form for a part of type {kind:?} like this; send its data or URL in the part, or use Protocol::Responses"
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
    match part["type"].as_str() {
        Some("input_image") => "[A picture that cannot be shown here.]".to_owned(),
        Some("input_file") => {
            let name = part["filename"].as_str().unwrap_or("A file");
            format!("[{name}, which cannot be shown here.]")
        }
        _ => "[Something that cannot be shown here.]".to_owned(),
    }
}

/// A part as this protocol has it.
fn part_of(part: &Value) -> Option<Value> {
    if let Some(text) = text_of(part) {
        return Some(json!({"type": "text", "text": text}));
    }
    Some(match part["type"].as_str()? {
        "input_image" => {
            let mut image = json!({"url": part["image_url"].as_str()?});
            if let Some(detail) = part["detail"].as_str() {
                image["detail"] = detail.into();
            }
            json!({"type": "image_url", "image_url": image})
        }
        "input_file" if part["file_data"].is_string() || part["file_id"].is_string() => {
            let names = ["filename", "file_data", "file_id"].into_iter();
            let given = names.filter(|name| part[name].is_string());
            let file = given.map(|name| (name.to_owned(), part[name].clone()));
            json!({"type": "file", "file": file.collect::<serde_json::Map<_, _>>()})
        }
        "input_audio" => json!({"type": "input_audio", "input_audio": part["input_audio"]}),
        _ => return None,
    })
}

/// Two contents of one role as one.
fn joined(first: Value, second: Value) -> Value {
    let parts = |content| match content {
        Value::Array(parts) => parts,
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        _ => Vec::new(),
    };
    match (first, second) {
        (Value::String(first), Value::String(second)) => format!("{first}\n\n{second}").into(),
        (first, second) => {
            let mut all = parts(first);
            all.extend(parts(second));
            all.into()
        }
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
