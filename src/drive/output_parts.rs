//! What the model gave beside its texts: notes on them, pictures, summaries of its thoughts. They become parts of its messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::output::{Final, place};
use crate::model::{Blob, Item, ItemKind, NewPart, PartKind, thoughts};
use crate::store::items::NewItem;

/// Gives the final messages of a call their parts. What came before a message is of that one, what came after the last is of the
/// last; pictures alone are a message without text. Bytes leave their `items`: they are stored once, with the part.
///
/// Thoughts of a call without any message stay items: there is nothing that they led to.
pub(super) fn attach(
    messages: &mut Vec<Final>,
    items: &mut [NewItem],
    output: &[Item],
    first: i64,
) {
    for message in &mut *messages {
        let said = message.at.and_then(|at| output.get(at));
        message.parts = said.map(annotations).unwrap_or_default();
    }
    let mut alone = Final::blank(0);
    let mut pictures = None;
    for (index, item) in output.iter().enumerate().filter(|(_, item)| !item.is_message()) {
        let position = 1 + place(first, index);
        let stored = items.iter_mut().find(|stored| stored.position == position);
        let Some(stored) = stored else { continue };
        let given = of_item(item, stored);
        if given.iter().any(|part| part.kind != PartKind::ReasoningSummary) {
            pictures.get_or_insert(place(first, index));
        }
        let follows = messages.iter().position(|message| message.at > Some(index));
        let message = match follows {
            Some(at) => messages.get_mut(at),
            None => messages.last_mut(),
        };
        message.unwrap_or(&mut alone).parts.extend(given);
    }
    if let (true, Some(slot)) = (messages.is_empty(), pictures) {
        messages.push(Final { slot, ..alone });
    }
}

/// The notes on the text of a message. Their indices count in the part of the text that they came with.
fn annotations(said: &Item) -> Vec<NewPart> {
    let mut parts = Vec::new();
    let mut offset = 0;
    let content = said.as_value().get("content").and_then(Value::as_array);
    for content in content.into_iter().flatten() {
        let noted = content.get("annotations").and_then(Value::as_array);
        for annotation in noted.into_iter().flatten() {
            let text = |name: &str| annotation.get(name).and_then(Value::as_str).map(str::to_owned);
            parts.push(NewPart {
                name: text("filename"),
                url: text("url"),
                file_id: text("file_id"),
                data: Some(annotation.clone()),
                text_offset: offset,
                ..NewPart::of(PartKind::Annotation)
            });
        }
        let text = ["text", "refusal"].iter().find_map(|name| content.get(*name)?.as_str());
        let chars = text.map_or(0, |text| text.chars().count());
        offset = offset.saturating_add(i64::try_from(chars).unwrap_or(i64::MAX));
    }
    parts
}

fn of_item(item: &Item, stored: &mut NewItem) -> Vec<NewPart> {
    let of = |kind| NewPart { item: Some(stored.position), ..NewPart::of(kind) };
    match item.type_name() {
        _ if item.kind() == ItemKind::Reasoning => {
            let says = !thoughts(item.as_value()).is_empty();
            says.then(|| of(PartKind::ReasoningSummary)).into_iter().collect()
        }
        "image_generation_call" => {
            let Some(bytes) = item.text_of("result").and_then(|text| STANDARD.decode(text).ok())
            else {
                return Vec::new();
            };
            let media_type = Some(media_type(&bytes).to_owned());
            let part = NewPart { media_type, blob: Some(Blob::of(bytes)), ..of(PartKind::Image) };
            stored.item["result"] = Value::Null;
            vec![part]
        }
        "code_interpreter_call" => {
            let outputs = item.as_value().get("outputs").and_then(Value::as_array);
            let urls = outputs.into_iter().flatten().filter(|output| output["type"] == "image");
            let urls = urls.filter_map(|output| output["url"].as_str().map(str::to_owned));
            urls.map(|url| NewPart { url: Some(url), ..of(PartKind::Image) }).collect()
        }
        _ => Vec::new(),
    }
}

/// What a picture is by its first bytes; the provider's own default where they do not say.
fn media_type(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => "image/png",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::drive::output::{final_messages, other_items};
    use crate::model::RemoteState;

    fn given(output: Vec<Value>) -> (Vec<Final>, Vec<NewItem>) {
        let output: Vec<Item> = output.into_iter().map(Item::from).collect();
        let mut messages = final_messages(&[], &output, 0);
        let mut items = other_items(&output, 0, RemoteState::Absent);
        attach(&mut messages, &mut items, &output, 0);
        (messages, items)
    }

    fn kinds(message: &Final) -> Vec<&str> {
        message.parts.iter().map(|part| part.kind.as_str()).collect()
    }

    fn said(text: &str) -> Value {
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
    }

    fn thought() -> Value {
        json!({"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]})
    }

    fn picture() -> Value {
        json!({"type": "image_generation_call", "id": "ig", "status": "completed", "result": "YWJj"})
    }

    #[test]
    fn what_comes_before_a_message_is_of_it_and_the_rest_of_the_last() {
        let output =
            vec![thought(), said("a"), picture(), thought(), said("b"), picture(), picture()];
        let (messages, items) = given(output);
        assert_eq!(kinds(&messages[0]), ["reasoning_summary"]);
        assert_eq!(kinds(&messages[1]), ["image", "reasoning_summary", "image", "image"]);
        assert!(items.iter().all(|item| item.item["result"].is_null()), "{items:?}");
    }

    #[test]
    fn a_picture_alone_is_a_message_and_a_thought_alone_is_none() {
        let (messages, _) = given(vec![thought(), picture()]);
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].slot, &*messages[0].content), (1, ""));
        assert_eq!(kinds(&messages[0]), ["reasoning_summary", "image"]);
        assert!(given(vec![thought()]).0.is_empty());
        let odd = json!({"type": "image_generation_call", "result": "no such text"});
        let (messages, items) = given(vec![odd.clone()]);
        assert!(messages.is_empty());
        assert_eq!(items[0].item, odd, "what cannot be read stays where it is");
    }

    #[test]
    fn notes_of_a_later_text_know_what_is_before_it() {
        let note =
            json!({"type": "url_citation", "url": "https://a", "start_index": 0, "end_index": 1});
        let (messages, _) =
            given(vec![json!({"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "é!", "annotations": [note]},
                {"type": "output_text", "text": "b", "annotations": [note]},
            ]})]);
        let offsets: Vec<i64> = messages[0].parts.iter().map(|part| part.text_offset).collect();
        assert_eq!(offsets, [0, 2]);
        assert_eq!(messages[0].parts[0].data.as_ref(), Some(&note));
    }
}
