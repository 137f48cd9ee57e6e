//! What a call sends: every item the provider does not hold, or the whole history it may see.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::{MessageRow, RemoteState, Role};
use crate::openai::Item;
use crate::store::items::StoredItem;

/// A message or item in its place.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: (i64, i64),
    pub(super) source: Source,
    pub(super) item: Item,
    pub(super) remote_state: RemoteState,
    pub(super) remote_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Message(i64),
    Item(i64),
}

/// All that was said, in order. What another endpoint holds is absent at this one.
pub(super) fn entries(
    messages: Vec<MessageRow>,
    items: Vec<StoredItem>,
    endpoint: &str,
) -> Vec<Entry> {
    let here = |stored: Option<&str>, state: RemoteState| {
        if stored == Some(endpoint) { state } else { RemoteState::Absent }
    };
    let said =
        messages.into_iter().filter(|message| !message.content.is_empty()).map(|message| Entry {
            place: (message.seq, message.position),
            source: Source::Message(message.id),
            remote_state: here(message.endpoint.as_deref(), message.remote_state),
            remote_id: message.remote_id,
            item: Item::message(role(message.role), message.content),
        });
    // Sealed reasoning can be read where it was written, nowhere else.
    let legible = |item: &StoredItem| {
        item.endpoint.as_deref() == Some(endpoint) || item.item["type"] != "reasoning"
    };
    let done = items.into_iter().filter(legible).map(|item| Entry {
        place: (item.seq, item.position),
        source: Source::Item(item.id),
        remote_state: here(item.endpoint.as_deref(), item.remote_state),
        remote_id: item.remote_id,
        item: Item::from(item.item),
    });
    let mut entries: Vec<Entry> = said.chain(done).collect();
    entries.sort_by_key(|entry| entry.place);
    entries
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The whole history as a provider that keeps nothing takes it.
pub(super) fn whole(entries: Vec<Entry>, budget: Option<i64>) -> Vec<Item> {
    within_budget(travelling(entries), budget)
        .into_iter()
        .map(|entry| as_input(entry.item))
        .collect()
}

/// What the provider's conversation does not hold yet, as it takes it.
pub(super) fn lacking(entries: Vec<Entry>) -> Vec<Entry> {
    travelling(entries)
        .into_iter()
        .filter(|entry| entry.remote_state != RemoteState::Held)
        .map(|entry| Entry { item: as_input(entry.item), ..entry })
        .collect()
}

/// What may be sent: calls only with their outputs and outputs only with their calls, reasoning only where it can be
/// read back, nothing that refers to the provider's own store.
fn travelling(entries: Vec<Entry>) -> Vec<Entry> {
    let call_ids = |kind: &str| -> HashSet<String> {
        let of_kind = entries.iter().filter(|entry| entry.item.kind() == kind);
        of_kind.filter_map(|entry| entry.item.call_id().map(str::to_owned)).collect()
    };
    let calls = call_ids("function_call");
    let outputs = call_ids("function_call_output");
    let paired =
        |item: &Item| item.call_id().is_some_and(|id| calls.contains(id) && outputs.contains(id));
    let may_travel = |item: &Item| match item.kind() {
        "message" => true,
        "function_call" | "function_call_output" => paired(item),
        "reasoning" => item.as_value().get("encrypted_content").is_some_and(Value::is_string),
        _ => false,
    };
    entries.into_iter().filter(|entry| may_travel(&entry.item)).collect()
}

/// Leaves out the oldest turns until the rest fits. A turn goes whole, so that no call loses its output; the newest
/// stays whatever it costs.
fn within_budget(entries: Vec<Entry>, budget: Option<i64>) -> Vec<Entry> {
    let Some(budget) = budget else { return entries };
    let mut left = budget;
    let mut from = entries.len();
    let newest = entries.last().map(|entry| entry.place.0);
    while from > 0 {
        let turn = entries[from - 1].place.0;
        let start = entries[..from].partition_point(|entry| entry.place.0 < turn);
        left -= entries[start..from].iter().map(|entry| tokens(&entry.item)).sum::<i64>();
        if left < 0 && Some(turn) != newest {
            break;
        }
        from = start;
    }
    entries.into_iter().skip(from).collect()
}

/// An estimate: a quarter of the bytes, and some for the frame of each item.
fn tokens(item: &Item) -> i64 {
    const FRAME: usize = 4;
    let bytes = match item.kind() {
        "message" => item.text().len(),
        _ => item.as_value().to_string().len(),
    };
    i64::try_from(bytes.div_ceil(4) + FRAME).unwrap_or(i64::MAX)
}

/// An id would make the provider look for an item it did not keep; but reasoning, which brings its content along, is
/// not taken without one (`OpenAI`'s API description, schema `ReasoningItem`).
fn as_input(item: Item) -> Item {
    if item.kind() == "reasoning" {
        return item;
    }
    let mut value = item.into_value();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("id");
    }
    Item::from(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(seq: i64, position: i64, role: &str, text: &str) -> Entry {
        Entry {
            place: (seq, position),
            source: Source::Message(seq * 10 + position),
            item: Item::message(role, text),
            remote_state: RemoteState::Absent,
            remote_id: None,
        }
    }

    fn done(seq: i64, position: i64, item: Value) -> Entry {
        Entry {
            place: (seq, position),
            source: Source::Item(seq * 10 + position),
            item: Item::from(item),
            remote_state: RemoteState::Absent,
            remote_id: None,
        }
    }

    fn texts(items: &[Item]) -> Vec<String> {
        items.iter().map(Item::text).collect()
    }

    #[test]
    fn a_budget_drops_whole_turns_from_the_oldest_and_keeps_the_newest() {
        let long = "x".repeat(400);
        let history = || {
            vec![
                said(1, 0, "user", &long),
                said(1, 1, "assistant", &long),
                said(2, 0, "user", "b"),
                said(2, 1, "assistant", "c"),
                said(3, 0, "user", &long),
            ]
        };
        assert_eq!(whole(history(), None).len(), 5);
        assert_eq!(texts(&whole(history(), Some(256))), ["b", "c", &long]);
        assert_eq!(texts(&whole(history(), Some(1))), [long.as_str()]);
    }

    #[test]
    fn calls_travel_only_with_their_outputs() {
        let call = |id: &str| json!({"type": "function_call", "id": "fc_1", "call_id": id, "name": "f", "arguments": "{}"});
        let output =
            |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "1"});
        let history = vec![
            said(1, 0, "user", "a"),
            done(1, 1, call("answered")),
            done(1, 2, call("unanswered")),
            done(1, 3, output("answered")),
            done(1, 4, output("orphan")),
            said(2, 0, "user", "b"),
        ];
        let sent = whole(history, None);
        let calls: Vec<_> = sent.iter().filter_map(Item::call_id).collect();
        assert_eq!(calls, ["answered", "answered"]);
        assert!(sent.iter().all(|item| item.id().is_none()));
    }

    #[test]
    fn reasoning_travels_only_when_it_can_be_read_back() {
        let history = vec![
            said(1, 0, "user", "a"),
            done(1, 1, json!({"type": "reasoning", "id": "rs_1", "summary": []})),
            done(
                1,
                2,
                json!({"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "e"}),
            ),
            done(1, 3, json!({"type": "web_search_call", "id": "ws_1"})),
        ];
        let sent = whole(history, None);
        let kinds: Vec<&str> = sent.iter().map(Item::kind).collect();
        assert_eq!(kinds, ["message", "reasoning"]);
        assert_eq!(sent[1].id(), Some("rs_2"));
    }

    #[test]
    fn reasoning_does_not_travel_to_another_endpoint() {
        let sealed = |endpoint: &str| StoredItem {
            id: 1,
            seq: 1,
            position: 1,
            item: json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"}),
            remote_id: None,
            remote_state: RemoteState::Held,
            endpoint: Some(endpoint.to_owned()),
        };
        let at = |endpoint| entries(Vec::new(), vec![sealed(endpoint)], "here").len();
        assert_eq!((at("here"), at("there")), (1, 0));
    }

    #[test]
    fn a_conversation_is_sent_what_it_lacks_and_can_take() {
        let held = |mut entry: Entry| {
            entry.remote_state = RemoteState::Held;
            entry
        };
        let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"});
        let output = json!({"type": "function_call_output", "call_id": "c", "output": "1"});
        let history = vec![
            held(said(1, 0, "user", "a")),
            held(done(1, 1, call)),
            done(1, 2, json!({"type": "reasoning", "id": "rs_1", "summary": []})),
            done(1, 3, output),
            said(2, 0, "user", "b"),
        ];
        let sent = lacking(history);
        let kinds: Vec<&str> = sent.iter().map(|entry| entry.item.kind()).collect();
        assert_eq!(kinds, ["function_call_output", "message"]);
    }
}
