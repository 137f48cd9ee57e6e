//! What a call sends: every item the provider does not hold, or the whole history it may see.

use std::collections::HashSet;

use super::entries::Entry;
use super::estimate::tokens;
use super::parts;
use crate::model::{Item, ItemKind, RemoteState};

/// The whole history as a provider that keeps nothing takes it.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) items: Vec<Item>,
    /// Texts of the host to the model, which go in front of everything: many chat templates take them nowhere else.
    pub(crate) system: Vec<String>,
    /// There is nothing but the newest turn.
    pub(crate) newest_only: bool,
}

/// `apart`: system texts go apart from the items, instead of in their places.
pub(crate) fn whole(entries: Vec<Entry>, budget: Option<i64>, apart: bool) -> Whole {
    let travelling = travelling(entries);
    let kept = within_budget(travelling, budget);
    let newest = kept.last().map(|entry| entry.place.0);
    let newest_only = kept.iter().all(|entry| Some(entry.place.0) == newest);
    let mut whole = Whole { newest_only, ..Whole::default() };
    let mut last_role: Option<String> = None;
    for entry in kept {
        let item = as_input(entry.item);
        let role = item.role().filter(|_| item.is_message()).map(str::to_owned);
        if apart && role.as_deref() == Some("system") {
            whole.system.push(item.text());
            continue;
        }
        match (&role, whole.items.last_mut()) {
            // Templates that want user and assistant in turn refuse two of one in a row.
            (Some(_), Some(last)) if last_role == role => {
                *last = parts::joined(last, &item);
            }
            _ => whole.items.push(item),
        }
        last_role = role;
    }
    let first = whole.items.iter().find(|item| item.is_message()).and_then(Item::role);
    if apart && first == Some("assistant") {
        // A greeting of the host's. The same templates want the user to begin.
        whole.items.insert(0, Item::message("user", BEGINS));
    }
    whole
}

/// Stands for the user where the assistant spoke first.
const BEGINS: &str = "[The assistant begins.]";

/// What the provider's conversation does not hold yet, as it takes it.
pub(crate) fn lacking(entries: Vec<Entry>) -> Vec<Entry> {
    travelling(entries)
        .into_iter()
        .filter(|entry| entry.remote_state != RemoteState::Held)
        .map(|entry| Entry { item: as_input(entry.item), ..entry })
        .collect()
}

/// What may be sent: calls only with their outputs and outputs only with their calls, reasoning only where it can be read
/// back and with what came right after it, nothing that refers to the provider's own store.
pub(super) fn travelling(entries: Vec<Entry>) -> Vec<Entry> {
    let mut calls = HashSet::new();
    let mut outputs = HashSet::new();
    for entry in &entries {
        match entry.item.kind() {
            ItemKind::ToolCall(id) => drop(calls.insert(id)),
            ItemKind::ToolOutput(id) => drop(outputs.insert(id)),
            ItemKind::Message | ItemKind::Reasoning | ItemKind::Other => {}
        }
    }
    let mut travels = vec![false; entries.len()];
    // From the end: reasoning goes by what follows it.
    for (at, entry) in entries.iter().enumerate().rev() {
        travels[at] = match entry.item.kind() {
            ItemKind::ToolCall(id) | ItemKind::ToolOutput(id) => {
                calls.contains(id) && outputs.contains(id)
            }
            ItemKind::Message => true,
            ItemKind::Reasoning => {
                let follows = entries.get(at + 1).is_some_and(|next| {
                    next.place == (entry.place.0, entry.place.1 + 1) && travels[at + 1]
                });
                entry.item.is_sealed() && follows
            }
            ItemKind::Other => false,
        };
    }
    let mut travels = travels.into_iter();
    entries.into_iter().filter(|_| travels.next() == Some(true)).collect()
}

/// Leaves out the oldest turns until the rest fits. A turn goes whole, so that no call loses its output; the newest
/// stays whatever it costs. Where the rest begins stays the same for several turns, so that the provider's cache of what it has
/// read serves them.
pub(super) fn within_budget(entries: Vec<Entry>, budget: Option<i64>) -> Vec<Entry> {
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
    if let Some((first, newest)) = entries.get(from).map(|entry| entry.place.0).zip(newest)
        && from > 0
    {
        let begin = steady(first, newest);
        from += entries[from..].partition_point(|entry| entry.place.0 < begin);
    }
    entries.into_iter().skip(from).collect()
}

/// The turn from which a window is sent that could begin with turn `first`: the next multiple of a step that is a power of two and at
/// most a quarter of the window. So the window moves once in a step, and is never less than three quarters of what fits.
fn steady(first: i64, newest: i64) -> i64 {
    let quarter = u64::try_from((newest - first) / 4).unwrap_or(0);
    let Some(power) = quarter.checked_ilog2() else { return first };
    let step = 1_i64 << power;
    first.saturating_add(step - 1) / step * step
}

/// An id would make the provider look for an item it did not keep, and unlinks earlier answers where it did; but reasoning,
/// which brings its content along, and the output of a local shell are not taken without one (`OpenAI`'s API description,
/// schemas `ReasoningItem` and `LocalShellToolCallOutput`).
fn as_input(item: Item) -> Item {
    if matches!(item.type_name(), "reasoning" | "local_shell_call_output") {
        return item;
    }
    let mut value = item.into_value();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("id");
        // Some servers say an object, and take none back.
        if let Some(arguments) = fields.get_mut("arguments").filter(|said| said.is_object()) {
            *arguments = arguments.to_string().into();
        }
    }
    Item::from(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::drive::entries::{Source, answered, entries, without_unanswered};
    use crate::model::Service;
    use crate::store::items::StoredItem;

    fn said(seq: i64, position: i64, role: &str, text: &str) -> Entry {
        Entry {
            place: (seq, position),
            source: Source::Message(seq * 10 + position),
            item: Item::message(role, text),
            remote_state: RemoteState::Absent,
            remote_id: None,
            asked: role == "user",
        }
    }

    fn call_id(item: &Item) -> Option<&str> {
        match item.kind() {
            ItemKind::ToolCall(id) | ItemKind::ToolOutput(id) => Some(id),
            _ => None,
        }
    }

    fn done(seq: i64, position: i64, item: serde_json::Value) -> Entry {
        Entry {
            place: (seq, position),
            source: Source::Item(seq * 10 + position),
            item: Item::from(item),
            remote_state: RemoteState::Absent,
            remote_id: None,
            asked: false,
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
        let sent = |budget| whole(history(), budget, true);
        assert_eq!(sent(None).items.len(), 5);
        assert_eq!(texts(&sent(Some(256)).items), ["b", "c", &long]);
        assert_eq!(texts(&sent(Some(1)).items), [long.as_str()]);
        assert!(sent(Some(1)).newest_only && !sent(None).newest_only);
    }

    #[test]
    fn a_window_moves_in_steps_and_is_never_much_smaller_than_what_fits() {
        let turn = |seq| [said(seq, 0, "user", "q"), said(seq, 1, "assistant", "a")];
        let cost = tokens(&turn(1)[0].item) * 2;
        let begins = |newest: i64| {
            let history = (1..=newest).flat_map(turn).collect();
            let sent = within_budget(history, Some(cost * 40));
            (sent[0].place.0, i64::try_from(sent.len()).unwrap() / 2)
        };
        let begun: Vec<(i64, i64)> = (60..100).map(begins).collect();
        assert!(begun.iter().all(|(_, turns)| (30..=40).contains(turns)), "{begun:?}");
        let moves = begun.windows(2).filter(|two| two[0].0 != two[1].0).count();
        assert_eq!(moves, 40 / 8, "{begun:?}");
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
        let sent = whole(history, None, true).items;
        let calls: Vec<_> = sent.iter().filter_map(call_id).collect();
        assert_eq!(calls, ["answered", "answered"]);
        assert!(sent.iter().all(|item| item.id().is_none()));
    }

    #[test]
    fn reasoning_travels_with_what_follows_it_or_not_at_all() {
        let sealed =
            || json!({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "e"});
        let open = json!({"type": "reasoning", "id": "rs", "summary": []});
        let call =
            |id: &str| json!({"type": "custom_tool_call", "call_id": id, "name": "f", "input": ""});
        let output = json!({"type": "custom_tool_call_output", "call_id": "a", "output": "1"});
        let answer = |position| said(1, position, "assistant", "b");
        let cases: [(Vec<Entry>, &[&str]); 8] = [
            (vec![done(1, 1, sealed()), answer(2)], &["reasoning", "message"]),
            (
                vec![done(1, 1, sealed()), done(1, 2, sealed()), answer(3)],
                &["reasoning", "reasoning", "message"],
            ),
            (vec![done(1, 1, open), answer(2)], &["message"]),
            // Nothing came after it, or what came is not there.
            (vec![done(1, 1, sealed())], &[]),
            (vec![done(1, 1, sealed()), answer(3)], &["message"]),
            (vec![done(1, 1, sealed()), said(2, 0, "user", "c")], &["message"]),
            (vec![done(1, 1, sealed()), done(1, 2, call("unanswered"))], &[]),
            (
                vec![done(1, 1, sealed()), done(1, 2, call("a")), done(1, 3, output)],
                &["reasoning", "custom_tool_call", "custom_tool_call_output"],
            ),
        ];
        for (history, expected) in cases {
            let sent = whole(history, None, false).items;
            let kinds: Vec<&str> = sent.iter().map(Item::type_name).collect();
            assert_eq!(kinds, expected);
        }
    }

    #[test]
    fn roles_alternate_and_system_texts_go_in_front() {
        let history = || {
            vec![
                said(1, 0, "system", "Be brief."),
                said(2, 0, "user", "a"),
                said(3, 0, "user", "b"),
                said(3, 1, "assistant", "c"),
                said(3, 2, "assistant", "d"),
                said(4, 0, "system", "Be kind."),
                said(5, 0, "user", "e"),
            ]
        };
        let apart = whole(history(), None, true);
        assert_eq!(texts(&apart.items), ["a\n\nb", "c\n\nd", "e"]);
        assert_eq!(apart.system, ["Be brief.", "Be kind."]);
        let roles: Vec<_> = apart.items.iter().filter_map(Item::role).collect();
        assert_eq!(roles, ["user", "assistant", "user"]);
        let in_place = whole(history(), None, false);
        assert_eq!(texts(&in_place.items), ["Be brief.", "a\n\nb", "c\n\nd", "Be kind.", "e"]);
    }

    #[test]
    fn a_question_without_a_word_of_answer_leaves_the_history() {
        let history = vec![
            said(1, 0, "user", "failed"),
            said(2, 0, "user", "answered"),
            said(2, 1, "assistant", "b"),
            said(3, 0, "user", "called"),
            done(3, 1, json!({"type": "function_call", "call_id": "c"})),
            Entry { asked: false, ..said(4, 0, "user", "of the host") },
            Entry { remote_state: RemoteState::Unknown, ..said(5, 0, "user", "may be there") },
            said(6, 0, "user", "the newest"),
        ];
        let turns = answered(&history);
        let left = without_unanswered(history, 6, |seq| turns.contains(&seq));
        let texts: Vec<_> = left.iter().map(|entry| entry.item.text()).collect();
        assert_eq!(
            texts,
            ["answered", "b", "called", "", "of the host", "may be there", "the newest"]
        );
    }

    #[test]
    fn reasoning_does_not_travel_to_another_service() {
        let sealed = |endpoint: &str, protocol: &str| StoredItem {
            id: 1,
            seq: 1,
            position: 1,
            item: json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"}),
            remote_id: None,
            remote_state: RemoteState::Held,
            at: Some(Service::new(endpoint, protocol)),
        };
        let here = Service::new("here", "responses");
        let at =
            |endpoint, protocol| entries(Vec::new(), vec![sealed(endpoint, protocol)], &here).len();
        assert_eq!(at("here", "responses"), 1);
        assert_eq!((at("there", "responses"), at("here", "other")), (0, 0));
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
        let kinds: Vec<&str> = sent.iter().map(|entry| entry.item.type_name()).collect();
        assert_eq!(kinds, ["function_call_output", "message"]);
    }
}
