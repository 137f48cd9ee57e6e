//! What was said and done in a conversation, in order, as a model may be shown it.

use std::collections::HashSet;

use super::parts;
use crate::model::{Item, MessageStatus, Part, PartKind, RemoteState, Role, Said, Service};
use crate::store::items::StoredItem;

/// A message or item in its place.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) place: (i64, i64),
    pub(crate) source: Source,
    pub(crate) item: Item,
    pub(crate) remote_state: RemoteState,
    pub(crate) remote_id: Option<String>,
    /// The question of a run.
    pub(crate) asked: bool,
}

/// Behind an answer that is not whole, so that a model does not take it for all that it had to say.
const BREAKS_OFF: &str = "\n\n[This answer breaks off here.]";

/// Stands for an answer that was a picture alone.
const PICTURED: &str = "[The assistant answered with a picture.]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Message(i64),
    Item(i64),
}

/// All that was said, in order. What another service holds is absent at this one.
pub(crate) fn entries(messages: Vec<Said>, items: Vec<StoredItem>, at: &Service) -> Vec<Entry> {
    let here = |is_here: bool, state: RemoteState, id: Option<String>| {
        if is_here { (state, id) } else { (RemoteState::Absent, None) }
    };
    let said = messages.into_iter().filter_map(|Said { row: message, parts }| {
        let is_here = at.is(message.body.endpoint.as_deref(), message.body.protocol.as_deref());
        let (remote_state, remote_id) =
            here(is_here, message.body.remote_state, message.body.remote_id);
        let (by, status) = (message.place.role, message.body.status);
        Some(Entry {
            place: (message.place.seq, message.place.position),
            source: Source::Message(message.id),
            remote_state,
            remote_id,
            asked: by == Role::User && message.place.run_id.is_some(),
            item: said(by, status, message.body.content, &parts)?,
        })
    });
    // Sealed reasoning can be read where it was written, nowhere else.
    let legible =
        |item: &StoredItem| item.at.as_ref() == Some(at) || item.item["type"] != "reasoning";
    let done = items.into_iter().filter(legible).map(|item| {
        let is_here = item.at.as_ref() == Some(at);
        let (remote_state, remote_id) = here(is_here, item.remote_state, item.remote_id);
        Entry {
            place: (item.seq, item.position),
            source: Source::Item(item.id),
            remote_state,
            remote_id,
            asked: false,
            item: Item::from(item.item),
        }
    });
    let mut entries: Vec<Entry> = said.chain(done).collect();
    entries.sort_by_key(|entry| entry.place);
    entries
}

/// A message as a model is sent it; `None`: nothing was said. Of its own a model takes texts alone.
fn said(by: Role, status: MessageStatus, mut content: String, parts: &[Part]) -> Option<Item> {
    if content.is_empty() && parts.is_empty() {
        return None;
    }
    if by != Role::Assistant {
        return Some(parts::message(role(by), &content, parts));
    }
    if status != MessageStatus::Completed && !content.trim().is_empty() {
        content.push_str(BREAKS_OFF);
    }
    if content.is_empty() && parts.iter().any(|part| part.kind == PartKind::Image) {
        PICTURED.clone_into(&mut content);
    }
    (!content.is_empty()).then(|| Item::message(role(by), content))
}

/// A text as it was stored, whether or not a model was told that it breaks off.
pub(crate) fn as_stored(text: &str) -> &str {
    text.strip_suffix(BREAKS_OFF).unwrap_or(text)
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// Leaves out the questions of earlier turns that got no word of an answer: they failed, or were stopped before one came. A
/// model would answer them together with the next one, and many templates refuse two questions in a row. What the provider
/// holds, or may, is there anyway.
pub(crate) fn without_unanswered(
    entries: Vec<Entry>,
    seq: i64,
    answered: impl Fn(i64) -> bool,
) -> Vec<Entry> {
    let unanswered = |entry: &Entry| {
        entry.asked
            && entry.place.0 < seq
            && entry.remote_state == RemoteState::Absent
            && !answered(entry.place.0)
    };
    entries.into_iter().filter(|entry| !unanswered(entry)).collect()
}

/// The turns of these entries in which the model said or did anything.
pub(crate) fn answered(entries: &[Entry]) -> HashSet<i64> {
    let of_the_model = |entry: &&Entry| {
        matches!(entry.source, Source::Item(_)) || entry.item.role() == Some("assistant")
    };
    entries.iter().filter(of_the_model).map(|entry| entry.place.0).collect()
}
