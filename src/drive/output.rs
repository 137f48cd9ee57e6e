//! What a call left, once it is over: the provider's word over the streamed one.

use std::collections::{HashMap, VecDeque};

use super::open_calls;
use crate::follow::transcript::SeenMessage;
use crate::model::{Item, ItemKind, NewPart, RemoteState};
use crate::store::items::NewItem;

/// The final form of one of the model's messages.
#[derive(Debug)]
pub(crate) struct Final {
    pub(crate) slot: i64,
    pub(crate) row: Option<i64>,
    pub(crate) remote_id: Option<String>,
    pub(crate) content: String,
    /// What readers saw is not the beginning of it.
    pub(crate) replaced: bool,
    /// Where it stands in the output; `None`: only the stream had it.
    pub(super) at: Option<usize>,
    pub(super) parts: Vec<NewPart>,
}

impl Final {
    pub(super) const fn blank(slot: i64) -> Self {
        Self {
            slot,
            row: None,
            remote_id: None,
            content: String::new(),
            replaced: false,
            at: None,
            parts: Vec::new(),
        }
    }
}

/// The provider's final texts over the streamed ones, of the call whose output begins at the slot `first`; a streamed message
/// that it does not mention keeps its text.
pub(crate) fn final_messages(streamed: &[SeenMessage], output: &[Item], first: i64) -> Vec<Final> {
    let mut finals: Vec<Final> = streamed
        .iter()
        .filter(|message| message.slot >= first)
        .map(|message| Final {
            row: message.row.as_ref().map(|row| row.id),
            remote_id: message.remote_id.clone(),
            content: message.text.clone(),
            ..Final::blank(message.slot)
        })
        .collect();
    let mut matched = vec![false; finals.len()];
    // Each is matched once, by an id that several have, too.
    let mut by_id: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (at, known) in finals.iter().enumerate() {
        if let Some(id) = &known.remote_id {
            by_id.entry(id.clone()).or_default().push_back(at);
        }
    }
    let mut next = 0;
    let mut taken = finals.iter().map(|known| known.slot).max();
    for (index, item) in output.iter().enumerate().filter(|(_, item)| item.is_message()) {
        let text = item.text();
        let with_id = item.id().and_then(|id| by_id.get_mut(id));
        let by_id = with_id
            .and_then(|known| std::iter::from_fn(|| known.pop_front()).find(|at| !matched[*at]));
        // Servers without ids or indexes, or with one id for all: the messages still come in order.
        while matched.get(next).is_some_and(|matched| *matched) {
            next += 1;
        }
        let found = by_id.or_else(|| (next < matched.len()).then_some(next));
        match found {
            Some(at) => {
                matched[at] = true;
                let known = &mut finals[at];
                known.at = Some(index);
                known.remote_id = item.id().map(str::to_owned).or_else(|| known.remote_id.take());
                if !text.trim().is_empty() {
                    known.replaced = known.row.is_some() && !text.starts_with(&known.content);
                    known.content = text;
                }
            }
            None => {
                let slot = place(first, index);
                let slot = taken.map_or(slot, |taken| slot.max(taken + 1));
                taken = Some(slot);
                finals.push(Final {
                    remote_id: item.id().map(str::to_owned),
                    content: text,
                    at: Some(index),
                    ..Final::blank(slot)
                });
                matched.push(true);
            }
        }
    }
    // No blank rows: a message without a word is none.
    finals.retain(|message| message.row.is_some() || !message.content.trim().is_empty());
    finals
}

/// The slot of what is at `index` in the output that begins at the slot `first`.
pub(super) fn place(first: i64, index: usize) -> i64 {
    first.saturating_add(i64::try_from(index).unwrap_or(i64::MAX)).min(i64::MAX - 1)
}

pub(crate) fn other_items(output: &[Item], first: i64, remote_state: RemoteState) -> Vec<NewItem> {
    let others = output.iter().enumerate().filter(|(_, item)| !item.is_message());
    others
        .map(|(index, item)| NewItem {
            position: 1 + place(first, index),
            ..new_item(item.clone(), remote_state)
        })
        .collect()
}

/// Gives each call that nobody carries out an output that says so, which travels with the next turn: without it the
/// provider would refuse that. Returns whether there was any such call, also one that no output can close.
pub(crate) fn close_calls(items: &mut Vec<NewItem>, output: &[Item], first: i64) -> bool {
    let open = open_calls::open(output);
    let closing = open.iter().filter_map(|call| open_calls::closing(call));
    items.extend(closing.enumerate().map(|(index, item)| NewItem {
        position: 1 + place(first, output.len() + index),
        remote_id: None,
        ..new_item(item, RemoteState::Absent)
    }));
    !open.is_empty()
}

/// An item as it is stored, but for its place.
pub(crate) fn new_item(item: Item, remote_state: RemoteState) -> NewItem {
    NewItem {
        position: 0,
        kind: item.type_name().to_owned(),
        call_id: match item.kind() {
            ItemKind::ToolCall(id) | ItemKind::ToolOutput(id) => Some(id.to_owned()),
            ItemKind::Message | ItemKind::Reasoning | ItemKind::Other => None,
        },
        phase: item.phase().map(str::to_owned),
        remote_id: item.id().map(str::to_owned),
        item: item.into_value(),
        remote_state,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn streamed(slot: i64, id: Option<&str>, text: &str) -> SeenMessage {
        let mut message = SeenMessage::new(slot);
        message.remote_id = id.map(str::to_owned);
        text.clone_into(&mut message.text);
        message
    }

    fn output(id: Option<&str>, text: &str) -> Item {
        let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
        let mut item = json!({"type": "message", "role": "assistant", "content": content});
        if let Some(id) = id {
            item["id"] = json!(id);
        }
        Item::from(item)
    }

    fn delivered(finals: &[Final]) -> Vec<(i64, &str)> {
        finals.iter().map(|message| (message.slot, message.content.as_str())).collect()
    }

    #[test]
    fn the_final_text_is_matched_by_id_whatever_the_order() {
        let streamed = [streamed(0, Some("a"), "fir"), streamed(1, Some("b"), "sec")];
        let finals = final_messages(
            &streamed,
            &[output(Some("b"), "second"), output(Some("a"), "first")],
            0,
        );
        assert_eq!(delivered(&finals), [(0, "first"), (1, "second")]);
    }

    #[test]
    fn messages_that_share_an_id_are_matched_in_order() {
        let streamed = [streamed(0, Some("a"), "fir"), streamed(1, Some("a"), "sec")];
        let output = [output(Some("a"), "first"), output(Some("a"), "second")];
        assert_eq!(
            delivered(&final_messages(&streamed, &output, 0)),
            [(0, "first"), (1, "second")]
        );
        assert_eq!(delivered(&final_messages(&[], &output, 0)), [(0, "first"), (1, "second")]);
        assert_eq!(
            delivered(&final_messages(&streamed[..1], &output, 0)),
            [(0, "first"), (1, "second")]
        );
    }

    #[test]
    fn without_ids_messages_are_matched_in_order() {
        let streamed = [streamed(0, None, "fir"), streamed(1, None, "sec")];
        let finals = final_messages(&streamed, &[output(None, "first"), output(None, "second")], 0);
        assert_eq!(delivered(&finals), [(0, "first"), (1, "second")]);
    }

    #[test]
    fn what_the_provider_leaves_out_keeps_its_streamed_text() {
        let finals = final_messages(&[streamed(0, None, "all of it")], &[], 0);
        assert_eq!(delivered(&finals), [(0, "all of it")]);
        let finals = final_messages(&[streamed(0, None, "all of it")], &[output(None, "")], 0);
        assert_eq!(delivered(&finals), [(0, "all of it")]);
    }

    #[test]
    fn a_message_that_was_never_streamed_is_added_and_a_blank_one_is_not() {
        let reasoning = Item::from(json!({"type": "reasoning", "id": "rs_1", "summary": []}));
        let finals =
            final_messages(&[], &[reasoning, output(None, "unstreamed"), output(None, " ")], 0);
        assert_eq!(delivered(&finals), [(1, "unstreamed")]);
    }

    #[test]
    fn the_output_of_a_second_call_comes_behind_that_of_the_first() {
        let streamed = [streamed(0, Some("a"), "first"), streamed(3, Some("b"), "sec")];
        let call = Item::from(json!({"type": "function_call", "call_id": "c", "name": "f"}));
        let output = [call, output(Some("b"), "second"), output(Some("d"), "third")];
        let finals = final_messages(&streamed, &output, 2);
        assert_eq!(delivered(&finals), [(3, "second"), (4, "third")]);
        let mut items = other_items(&output, 2, RemoteState::Absent);
        assert!(close_calls(&mut items, &output, 2));
        let places: Vec<i64> = items.iter().map(|item| item.position).collect();
        assert_eq!(places, [3, 6]);
    }
}
