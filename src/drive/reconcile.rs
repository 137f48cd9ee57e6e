//! What the provider's conversation holds of what we have, compared item by item when it is in doubt.

use std::collections::HashSet;

use super::entries::{Entry, Source, as_stored};
use super::open_calls;
use super::output::new_item;
use super::parts;
use crate::error::Result;
use crate::model::{Item, ItemKind, Messageable, RemoteState, Service};
use crate::store::items::{self, NewItem};
use crate::store::session::Session;
use crate::store::{held, runs_of};

/// What the conversation's newest items say of what we have.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Messages that are there, and their ids there.
    pub(crate) messages: Vec<(i64, String)>,
    /// Items that are there.
    pub(crate) items: Vec<i64>,
    /// Messages and items that are not.
    pub(crate) absent: (Vec<i64>, Vec<i64>),
    /// Calls that are there without an output, and that we never saw: each with the output that closes it.
    pub(crate) left_behind: Vec<(Item, Item)>,
    /// One of them cannot be closed.
    pub(crate) is_stuck: bool,
    /// Where what was left behind belongs.
    pub(crate) place: (i64, i64),
}

/// Goes through what we have, behind the item that both surely have, and through theirs, in order: each of theirs is used
/// up by the first of ours that says the same.
pub(crate) fn compare(entries: &[Entry], tail: &[Item], anchor: Option<&str>) -> Compared {
    let mut compared = Compared::default();
    let anchored = anchor.and_then(|anchor| {
        entries.iter().rposition(|entry| entry.remote_id.as_deref() == Some(anchor))
    });
    let ours: HashSet<ItemKind<'_>> = entries.iter().map(|entry| entry.item.kind()).collect();
    for call in open_calls::open(tail) {
        let ItemKind::ToolCall(id) = call.kind() else { continue };
        match open_calls::closing(call) {
            _ if ours.contains(&ItemKind::ToolOutput(id)) => {}
            Some(output) => compared.left_behind.push((call.clone(), output)),
            None => compared.is_stuck = true,
        }
    }
    let mut rest = tail.iter();
    for (at, entry) in entries.iter().enumerate() {
        let is_known = entry.remote_state == RemoteState::Held;
        if is_known && anchored.is_some_and(|anchored| at <= anchored) {
            compared.place = compared.place.max(entry.place);
            continue;
        }
        let doubtful = entry.remote_state == RemoteState::Unknown;
        if !is_known && !doubtful {
            continue;
        }
        let mut ahead = rest.clone();
        let item = ahead.find(|item| same(item, entry));
        if item.is_some() {
            rest = ahead;
            compared.place = compared.place.max(entry.place);
        }
        match (entry.source, item) {
            _ if is_known => {}
            (Source::Message(id), Some(item)) => {
                compared.messages.push((id, item.id().unwrap_or_default().to_owned()));
            }
            (Source::Item(id), Some(_)) => compared.items.push(id),
            (Source::Message(id), None) => compared.absent.0.push(id),
            (Source::Item(id), None) => compared.absent.1.push(id),
        }
    }
    // Behind everything of its turn.
    let of_turn = entries.iter().filter(|entry| entry.place.0 == compared.place.0);
    compared.place.1 = of_turn.map(|entry| entry.place.1).max().unwrap_or_default() + 1;
    compared
}

/// Notes what was found.
pub(crate) fn note(
    session: &mut dyn Session,
    parent: Messageable,
    found: &Compared,
    at: &Service,
) -> Result<()> {
    for (id, remote_id) in &found.messages {
        held::found(session, *id, remote_id)?;
    }
    let (there, absent) = (RemoteState::Held, RemoteState::Absent);
    held::note(session, (&[], &found.items), there, at)?;
    held::note(session, (&found.absent.0, &found.absent.1), absent, at)?;
    let (seq, mut position) = found.place;
    let Some(run) = runs_of::last_up_to(session, parent, seq)? else { return Ok(()) };
    for (call, output) in &found.left_behind {
        for (item, state) in [(call, there), (output, absent)] {
            let item = NewItem { position, ..new_item(item.clone(), state) };
            items::insert(session, run, &item, at)?;
            position += 1;
        }
    }
    Ok(())
}

/// Whether the provider's item is ours: by its id, if we know it. What we sent got an id that we never saw, so it goes by
/// what it says.
fn same(theirs: &Item, ours: &Entry) -> bool {
    if ours.remote_id.is_some() && ours.remote_id.as_deref() == theirs.id() {
        return true;
    }
    theirs.type_name() == ours.item.type_name()
        && match theirs.kind() {
            ItemKind::Message => {
                theirs.role() == ours.item.role()
                    && as_stored(&theirs.text()) == as_stored(&ours.item.text())
                    && parts::same(theirs, &ours.item)
            }
            call @ (ItemKind::ToolCall(_) | ItemKind::ToolOutput(_)) => call == ours.item.kind(),
            ItemKind::Reasoning | ItemKind::Other => false,
        }
}

/// Whether nothing of what a conversation held is in the whole list of its items: a server that lost its memory may answer
/// to an unknown id as to a new conversation.
pub(crate) fn holds_none_of(all: &[Item], ours: &[Entry]) -> bool {
    let mut held = ours.iter().filter(|entry| entry.remote_state == RemoteState::Held).peekable();
    held.peek().is_some() && !held.any(|entry| all.iter().any(|item| same(item, entry)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours(seq: i64, role: &str, text: &str, state: RemoteState, id: Option<&str>) -> Entry {
        Entry {
            place: (seq, i64::from(role == "assistant")),
            source: Source::Message(seq * 10 + i64::from(role == "assistant")),
            item: Item::message(role, text),
            remote_state: state,
            remote_id: id.map(str::to_owned),
            asked: role == "user",
        }
    }

    fn theirs(id: &str, role: &str, text: &str) -> Item {
        Item::from(
            json!({"type": "message", "id": id, "role": role, "content": [{"type": "input_text", "text": text}]}),
        )
    }

    const HELD: RemoteState = RemoteState::Held;
    const UNKNOWN: RemoteState = RemoteState::Unknown;

    /// A model is told that an answer breaks off; the provider's own item of it does not say so.
    #[test]
    fn an_answer_that_breaks_off_is_known_with_its_mark_and_without() {
        let (bare, marked) = ("Once upon", "Once upon\n\n[This answer breaks off here.]");
        for text in [bare, marked] {
            let entries = [ours(1, "assistant", marked, UNKNOWN, None)];
            let tail = [theirs("m1", "assistant", text)];
            assert_eq!(compare(&entries, &tail, None).messages, [(11, "m1".to_owned())], "{text}");
        }
    }

    /// After a turn without a text the newest item that is known for sure may be far back.
    #[test]
    fn an_earlier_message_that_says_the_same_is_not_taken_for_a_later_one() {
        let entries = || {
            vec![
                ours(1, "user", "hello", HELD, None),
                ours(1, "assistant", "hi", HELD, Some("m1")),
                ours(2, "user", "yes", HELD, None),
                ours(3, "user", "yes", UNKNOWN, None),
            ]
        };
        let tail = [theirs("u2", "user", "yes")];
        assert_eq!(compare(&entries(), &tail, Some("m1")).absent.0, [30]);
        let tail = [theirs("u2", "user", "yes"), theirs("u3", "user", "yes")];
        assert_eq!(compare(&entries(), &tail, Some("m1")).messages, [(30, "u3".to_owned())]);
        // Without an anchor the whole list is gone through.
        let tail = [
            theirs("u1", "user", "hello"),
            theirs("m1", "assistant", "hi"),
            theirs("u2", "user", "yes"),
        ];
        assert_eq!(compare(&entries(), &tail, None).absent.0, [30]);
    }

    #[test]
    fn calls_that_were_left_behind_are_closed() {
        let call = Item::from(
            json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}),
        );
        let screen = Item::from(json!({"type": "computer_call", "id": "cc_1", "call_id": "c2"}));
        let entries = || vec![ours(1, "user", "look", UNKNOWN, None)];
        let compared = compare(&entries(), &[theirs("u1", "user", "look"), call.clone()], None);
        assert_eq!(
            (compared.left_behind.len(), compared.is_stuck, compared.place),
            (1, false, (1, 1))
        );
        assert_eq!(compared.left_behind[0].1.type_name(), "function_call_output");
        assert!(compare(&entries(), &[screen], None).is_stuck);
        // Those that we close already are ours to send.
        let mut entries = entries();
        let output =
            Item::from(json!({"type": "function_call_output", "call_id": "c1", "output": "1"}));
        entries.push(Entry {
            source: Source::Item(1),
            item: output,
            remote_state: RemoteState::Absent,
            place: (1, 3),
            remote_id: None,
            asked: false,
        });
        assert!(compare(&entries, &[call], None).left_behind.is_empty());
    }
}
