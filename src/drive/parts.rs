//! Pictures, files and sound as they are sent. Their bytes are read last, when it is known what is sent: until then a note stands
//! where they go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::flight::Stop;
use super::outcome::Broken;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::Result;
use crate::model::{Item, Part, PartKind, digest};
use crate::store::parts;
use crate::store::session::Session;

/// A message of a user as it is sent. Without parts it is text alone, which every server takes.
pub(super) fn message(role: &str, text: &str, parts: &[Part]) -> Item {
    let beside: Vec<Value> = parts.iter().filter_map(input).collect();
    if beside.is_empty() {
        return Item::message(role, text);
    }
    let said = (!text.is_empty()).then(|| input_text(text));
    let content: Vec<Value> = said.into_iter().chain(beside).collect();
    Item::from(json!({"type": "message", "role": role, "content": content}))
}

fn input_text(text: &str) -> Value {
    json!({"type": "input_text", "text": text})
}

/// `None`: nothing of it is sent.
fn input(part: &Part) -> Option<Value> {
    let bytes = |media_type: Option<&str>| {
        let noted = |blob| json!({"blob": blob, "media_type": media_type, "size": part.size, "digest": part.digest});
        part.blob_id.map(noted)
    };
    let media_type = part.media_type.as_deref();
    match part.kind {
        PartKind::Image => {
            let url = part.url.clone().map(Value::String).or_else(|| bytes(media_type))?;
            Some(json!({"type": "input_image", "detail": "auto", "image_url": url}))
        }
        PartKind::File => match &part.file_id {
            Some(id) => {
                let noted = json!({"id": id, "endpoint": part.endpoint});
                Some(json!({"type": "input_file", "file_id": noted}))
            }
            None => Some(
                json!({"type": "input_file", "filename": part.name, "file_data": bytes(media_type)?}),
            ),
        },
        PartKind::Audio => {
            let audio = json!({"data": bytes(None)?, "format": part.audio_format()});
            Some(json!({"type": "input_audio", "input_audio": audio}))
        }
        PartKind::Annotation | PartKind::ReasoningSummary => None,
    }
}

/// Two messages of one role as one.
pub(super) fn joined(first: &Item, second: &Item) -> Item {
    let role = second.role().unwrap_or_default();
    if beside(first).next().is_none() && beside(second).next().is_none() {
        return Item::message(role, format!("{}\n\n{}", first.text(), second.text()));
    }
    let content = |item: &Item| match item.as_value().get("content") {
        Some(Value::Array(parts)) => parts.clone(),
        _ => vec![input_text(&item.text())],
    };
    let content: Vec<Value> = content(first).into_iter().chain(content(second)).collect();
    Item::from(json!({"type": "message", "role": role, "content": content}))
}

/// What a message has beside its text.
pub(super) fn beside(item: &Item) -> impl Iterator<Item = &Value> {
    let content = item.as_value().get("content").filter(|_| item.is_message());
    let parts = content.and_then(Value::as_array).into_iter().flatten();
    parts.filter(|part| !part.get("type").and_then(Value::as_str).is_some_and(is_text))
}

fn is_text(kind: &str) -> bool {
    matches!(kind, "input_text" | "output_text" | "text" | "refusal")
}

/// What stands where the bytes or the id of a part go.
fn place(part: &Value) -> Option<&Value> {
    let audio = || part.get("input_audio")?.get("data");
    let named = ["image_url", "file_data", "file_id"];
    named.iter().find_map(|name| part.get(*name)).or_else(audio)
}

fn place_mut(part: &mut Value) -> Option<&mut Value> {
    let named = ["image_url", "file_data", "file_id"].into_iter();
    match named.into_iter().find(|name| part.get(*name).is_some()) {
        Some(name) => part.get_mut(name),
        None => part.get_mut("input_audio")?.get_mut("data"),
    }
}

fn noted<'v>(part: &'v Value, what: &str) -> Option<&'v Value> {
    place(part)?.as_object()?.get(what)
}

/// Bytes of a part that is noted; `None`: they are not here.
pub(super) fn size(part: &Value) -> Option<i64> {
    noted(part, "size")?.as_i64()
}

/// Puts the bytes in their places, for this endpoint.
pub(super) async fn filled(
    core: &Core,
    remote: &Remote,
    items: Vec<Item>,
) -> Result<Vec<Item>, Broken> {
    let is_noted = |part: &Value| place(part).is_some_and(Value::is_object);
    if !items.iter().any(|item| beside(item).any(is_noted)) {
        return Ok(items);
    }
    let endpoint = remote.provider.endpoint().to_owned();
    let filling = core.store().read(move |session| fill(session, items.clone(), &endpoint));
    filling.await.map_err(Broken::Store)?
}

fn fill(
    session: &mut dyn Session,
    items: Vec<Item>,
    endpoint: &str,
) -> Result<Result<Vec<Item>, Broken>> {
    let mut filled = Vec::with_capacity(items.len());
    for item in items {
        let mut value = item.into_value();
        let content = value.get_mut("content").and_then(Value::as_array_mut);
        for part in content.into_iter().flatten() {
            let Some(place) = place_mut(part).filter(|place| place.is_object()) else { continue };
            if let Some(blob) = place["blob"].as_i64() {
                // Gone with its conversation.
                let Some(bytes) = parts::blob(session, blob)? else {
                    return Ok(Err(Broken::Stopped(Stop::Gone)));
                };
                *place = encoded(&bytes, place["media_type"].as_str()).into();
                continue;
            }
            let at = place["endpoint"].as_str().unwrap_or(endpoint).to_owned();
            let id = place["id"].take();
            if at != endpoint {
                let id = id.as_str().unwrap_or_default();
                let reason = format!(
                    "the file {id} is at {at} and cannot be sent to {endpoint}; give it by its bytes"
                );
                return Ok(Err(Broken::Elsewhere(reason)));
            }
            *place = id;
        }
        filled.push(Item::from(value));
    }
    Ok(Ok(filled))
}

/// As a data URL where the media type is known, and bare where it is not.
fn encoded(bytes: &[u8], media_type: Option<&str>) -> String {
    let mut text = media_type.map_or_else(String::new, |kind| format!("data:{kind};base64,"));
    STANDARD.encode_string(bytes, &mut text);
    text
}

/// Whether the provider's message has the parts that ours has. Of theirs not every server shows the bytes: what both show is
/// compared.
pub(super) fn same(theirs: &Item, ours: &Item) -> bool {
    let (mut theirs, mut ours) = (beside(theirs), beside(ours));
    loop {
        match (theirs.next(), ours.next()) {
            (None, None) => return true,
            (Some(theirs), Some(ours)) if same_part(theirs, ours) => {}
            _ => return false,
        }
    }
}

fn same_part(theirs: &Value, ours: &Value) -> bool {
    if theirs.get("type") != ours.get("type") {
        return false;
    }
    let Some(shown) = place(theirs).and_then(Value::as_str) else { return true };
    match place(ours) {
        Some(Value::String(url)) => url == shown,
        Some(_) if let Some(id) = noted(ours, "id") => id == shown,
        Some(_) => {
            let encoded = shown.split_once(";base64,").map_or(shown, |(_, encoded)| encoded);
            let bytes = STANDARD.decode(encoded);
            // What is no such text is an address of the server's own.
            bytes.map_or(true, |bytes| noted(ours, "digest") == Some(&digest(&bytes).into()))
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(blob: Option<(i64, &[u8])>, url: Option<&str>) -> Part {
        Part {
            id: 1,
            position: 0,
            kind: PartKind::Image,
            media_type: Some("image/png".to_owned()),
            name: None,
            size: blob.map(|_| 3),
            digest: blob.map(|(_, bytes)| digest(bytes)),
            url: url.map(str::to_owned),
            file_id: None,
            endpoint: None,
            raw: None,
            text_offset: 0,
            blob_id: blob.map(|(id, _)| id),
        }
    }

    #[test]
    fn messages_of_one_role_are_joined_with_all_their_parts() {
        let (text, shown) =
            (Item::message("user", "a"), message("user", "b", &[image(None, Some("https://x"))]));
        let joined = joined(&text, &shown);
        let kinds: Vec<_> = joined.as_value()["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| &part["type"])
            .collect();
        assert_eq!(kinds, ["input_text", "input_text", "input_image"]);
        assert_eq!(super::joined(&text, &text), Item::message("user", "a\n\na"));
    }

    #[test]
    fn a_message_is_known_by_the_parts_that_both_show() {
        let bytes: &[u8] = b"abc";
        let ours = message("user", "a", &[image(Some((1, bytes)), None)]);
        let theirs = |part: Value| {
            Item::from(
                json!({"role": "user", "content": [{"type": "input_text", "text": "a"}, part]}),
            )
        };
        let shown =
            |url: Value| theirs(json!({"type": "input_image", "detail": "auto", "image_url": url}));
        assert!(same(&shown(Value::Null), &ours), "it does not show them");
        assert!(same(&shown(encoded(bytes, Some("image/png")).into()), &ours));
        assert!(!same(&shown(encoded(b"xyz", Some("image/png")).into()), &ours));
        assert!(same(&shown("https://files.example/1".into()), &ours), "its own address");
        assert!(!same(&theirs(json!({"type": "input_file"})), &ours));
        assert!(!same(&Item::message("user", "a"), &ours));
        let linked = message("user", "a", &[image(None, Some("https://x"))]);
        assert!(
            same(&shown("https://x".into()), &linked) && !same(&shown("https://y".into()), &linked)
        );
    }
}
