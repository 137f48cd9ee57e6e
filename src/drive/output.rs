//! What a call left, once it is over: the provider's word over the streamed one.

use std::collections::{HashMap, VecDeque};

use super::open_calls::{self, Part};
use crate::follow::live::LiveMessage;
use crate::model::RemoteState;
use crate::openai::Item;
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
}

/// The provider's final texts over the streamed ones; a streamed message that it does not mention keeps its text.
pub(crate) fn final_messages(streamed: &[LiveMessage], output: &[Item]) -> Vec<Final> {
    let mut finals: Vec<Final> = streamed
        .iter()
        .map(|message| Final {
            slot: message.slot,
            row: message.row.as_ref().map(|row| row.id),
            remote_id: message.remote_id.clone(),
            content: message.text.clone(),
            replaced: false,
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
    for (index, item) in output.iter().enumerate().filter(|(_, item)| item.kind() == "message") {
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
                known.remote_id = item.id().map(str::to_owned).or_else(|| known.remote_id.take());
                if !text.trim().is_empty() {
                    known.replaced = known.row.is_some() && !text.starts_with(&known.content);
                    known.content = text;
                }
            }
            None => {
                let slot = i64::try_from(index).unwrap_or(i64::MAX - 1);
                let slot = taken.map_or(slot, |taken| slot.max(taken + 1));
                taken = Some(slot);
                finals.push(Final {
                    slot,
                    row: None,
                    remote_id: item.id().map(str::to_owned),
                    content: text,
                    replaced: false,
                });
                matched.push(true);
            }
        }
    }
    // No blank rows: a message without a word is none.
    finals.retain(|message| message.row.is_some() || !message.content.trim().is_empty());
    finals
}

pub(crate) fn other_items(output: &[Item], remote_state: RemoteState) -> Vec<NewItem> {
    let others = output.iter().enumerate().filter(|(_, item)| item.kind() != "message");
    others
        .map(|(index, item)| NewItem {
            position: 1 + i64::try_from(index).unwrap_or(i64::MAX - 1),
            ..new_item(item.clone(), remote_state)
        })
        .collect()
}

/// Gives each call that nobody carries out an output that says so, which travels with the next turn: without it the
/// provider would refuse that. Returns whether there was any such call, also one that no output can close.
pub(crate) fn close_calls(items: &mut Vec<NewItem>, output: &[Item]) -> bool {
    let open = open_calls::open(output);
    let closing = open.iter().filter_map(|call| open_calls::closing(call));
    items.extend(closing.enumerate().map(|(index, item)| NewItem {
        position: 1 + i64::try_from(output.len() + index).unwrap_or(i64::MAX - 1),
        remote_id: None,
        ..new_item(item, RemoteState::Absent)
    }));
    !open.is_empty()
}

/// An item as it is stored, but for its place.
pub(crate) fn new_item(item: Item, remote_state: RemoteState) -> NewItem {
    NewItem {
        position: 0,
        kind: item.kind().to_owned(),
        call_id: match open_calls::part(&item) {
            Part::Call(id) | Part::Output(id) => Some(id),
            Part::Neither => None,
        },
        phase: item.as_value().get("phase").and_then(|phase| phase.as_str()).map(str::to_owned),
        remote_id: item.id().map(str::to_owned),
        item: item.into_value(),
        remote_state,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn streamed(slot: i64, id: Option<&str>, text: &str) -> LiveMessage {
        let mut message = LiveMessage::new(slot);
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
        let finals =
            final_messages(&streamed, &[output(Some("b"), "second"), output(Some("a"), "first")]);
        assert_eq!(delivered(&finals), [(0, "first"), (1, "second")]);
    }

    #[test]
    fn messages_that_share_an_id_are_matched_in_order() {
        let streamed = [streamed(0, Some("a"), "fir"), streamed(1, Some("a"), "sec")];
        let output = [output(Some("a"), "first"), output(Some("a"), "second")];
        assert_eq!(delivered(&final_messages(&streamed, &output)), [(0, "first"), (1, "second")]);
        assert_eq!(delivered(&final_messages(&[], &output)), [(0, "first"), (1, "second")]);
        assert_eq!(
            delivered(&final_messages(&streamed[..1], &output)),
            [(0, "first"), (1, "second")]
        );
    }

    #[test]
    fn without_ids_messages_are_matched_in_order() {
        let streamed = [streamed(0, None, "fir"), streamed(1, None, "sec")];
        let finals = final_messages(&streamed, &[output(None, "first"), output(None, "second")]);
        assert_eq!(delivered(&finals), [(0, "first"), (1, "second")]);
    }

    #[test]
    fn what_the_provider_leaves_out_keeps_its_streamed_text() {
        let finals = final_messages(&[streamed(0, None, "all of it")], &[]);
        assert_eq!(delivered(&finals), [(0, "all of it")]);
        let finals = final_messages(&[streamed(0, None, "all of it")], &[output(None, "")]);
        assert_eq!(delivered(&finals), [(0, "all of it")]);
    }

    #[test]
    fn a_message_that_was_never_streamed_is_added_and_a_blank_one_is_not() {
        let reasoning = Item::from(json!({"type": "reasoning", "id": "rs_1", "summary": []}));
        let finals =
            final_messages(&[], &[reasoning, output(None, "unstreamed"), output(None, " ")]);
        assert_eq!(delivered(&finals), [(1, "unstreamed")]);
    }
}
