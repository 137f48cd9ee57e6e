//! Tokens that nobody counted for us, estimated: for a budget, and where a provider reports no usage.

use super::entries::Entry;
use super::output::Final;
use super::parts;
use serde_json::Value;

use crate::model::{AssistantDefinition, Item, ItemKind, Message};
use crate::store::items::NewItem;

/// The frame of each item: its role, and where it ends.
const FRAME: usize = 4;

/// So many bytes are a token, rounded up.
const BYTES: usize = 4;

fn of_bytes(bytes: usize) -> i64 {
    i64::try_from(bytes.div_ceil(BYTES)).unwrap_or(i64::MAX)
}

/// One item as it is sent.
pub(crate) fn tokens(item: &Item) -> i64 {
    let bytes =
        if item.is_message() { item.text().len() } else { item.as_value().to_string().len() };
    let beside = parts::beside(item).map(of_part);
    beside.fold(of_bytes(bytes.saturating_add(FRAME * BYTES)), i64::saturating_add)
}

/// What a picture costs that is not large, at `OpenAI`; and what is assumed of a file that is not here.
const PICTURE: i64 = 1_000;
/// Bytes of a file that are a token: a page of a PDF has some hundred thousand, and costs as much as a picture.
const FILE_BYTES: i64 = 64;
/// Bytes of sound that are a token: a tenth of a second of MP3 at the usual rate.
const SOUND_BYTES: i64 = 1_600;

fn of_part(part: &Value) -> i64 {
    let per = |bytes: i64| parts::size(part).map_or(PICTURE, |size| size / bytes + 1);
    match part.get("type").and_then(Value::as_str) {
        Some("input_file") => per(FILE_BYTES),
        Some("input_audio") => per(SOUND_BYTES),
        _ => PICTURE,
    }
}

/// All of them.
pub(crate) fn tokens_of(entries: &[Entry]) -> i64 {
    entries.iter().map(|entry| tokens(&entry.item)).sum()
}

/// All that a call sends beside what is the same for each: see [`beside`].
pub(super) fn sent(items: &[Item], system: &[String]) -> i64 {
    let items: i64 = items.iter().map(tokens).sum();
    system.iter().fold(items, |sum, text| sum.saturating_add(of_bytes(text.len())))
}

/// What each call of a definition sends: its instructions and tools.
pub(super) fn beside(definition: &AssistantDefinition) -> i64 {
    let instructions = definition.instructions.as_ref().map_or(0, String::len);
    let tools: usize = definition.tools.iter().map(|tool| tool.to_string().len()).sum();
    of_bytes(instructions.saturating_add(tools))
}

/// What a call answered: its texts and its calls. How much of reasoning it was, its sealed form does not tell.
pub(super) fn answered(messages: &[Final], items: &[NewItem]) -> i64 {
    let texts: i64 = messages.iter().map(|message| of_bytes(message.content.len())).sum();
    let calls = items
        .iter()
        .map(|item| Item::from(item.item.clone()))
        .filter(|item| !matches!(item.kind(), ItemKind::Reasoning));
    calls.fold(texts, |sum, item| sum.saturating_add(tokens(&item)))
}

/// What is stored of an answer.
pub(crate) fn stored(messages: &[&Message]) -> i64 {
    messages.iter().map(|message| of_bytes(message.content.len())).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_count_by_their_kinds_and_sizes_and_not_by_how_they_are_written() {
        let of = |part: Value| {
            let content = json!([{"type": "input_text", "text": "1234"}, part]);
            tokens(&Item::from(json!({"type": "message", "role": "user", "content": content})))
        };
        let text = tokens(&Item::message("user", "1234"));
        let noted = |size: i64| json!({"blob": 1, "media_type": null, "size": size});
        let picture = json!({"type": "input_image", "image_url": noted(5_000_000)});
        assert_eq!(of(picture) - text, 1_000);
        assert_eq!(of(json!({"type": "input_file", "file_data": noted(6_400)})) - text, 101);
        assert_eq!(of(json!({"type": "input_file", "file_id": {"id": "f"}})) - text, 1_000);
        let sound = json!({"type": "input_audio", "input_audio": {"data": noted(16_000)}});
        assert_eq!(of(sound) - text, 11);
    }
}
