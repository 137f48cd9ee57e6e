//! What an answer of the model asks to have carried out.

use serde_json::Value;

use super::flight::Flight;
use super::open_calls;
use super::outcome::Outcome;
use super::output::place;
use crate::model::{APPROVAL, AssistantDefinition, Item, ItemKind, Repeatable, RunStatus};
use crate::store::tool_calls::NewToolCall;

/// The calls of one answer.
#[derive(Debug)]
pub(super) struct Asked {
    /// Which answer of the run it is, from 1.
    pub(super) step: i64,
    pub(super) calls: Vec<NewToolCall>,
}

/// The kinds of calls that are carried out here, or decided on.
const KINDS: [&str; 3] = ["function_call", "custom_tool_call", APPROVAL];

/// `None`: nothing is to be carried out, or there is something among it that cannot be, so that no provider would go on.
pub(super) fn of(
    outcome: &Outcome,
    flight: &Flight,
    definition: &AssistantDefinition,
    step: i64,
) -> Option<Asked> {
    if definition.tools.is_empty() {
        // A server that calls for what it was not offered does so again.
        return None;
    }
    // The arguments of one that was cut off may be cut, too.
    let ended = outcome.ended.as_ref().filter(|_| outcome.status == RunStatus::Completed)?;
    let open = open_calls::open(&ended.output);
    if open.is_empty() || open.iter().any(|call| !KINDS.contains(&call.type_name())) {
        return None;
    }
    let first = flight.first_slot();
    let behind = place(first, ended.output.len());
    let run = flight.id();
    let mut calls: Vec<NewToolCall> = Vec::new();
    for (index, item) in ended.output.iter().enumerate() {
        let ItemKind::ToolCall(id) = item.kind() else { continue };
        // One that is said twice is one: its output is known by its id alone.
        if !open.contains(&item) || calls.iter().any(|call| call.call_id == id) {
            continue;
        }
        let position = 1 + place(first, index);
        calls.push(NewToolCall {
            position,
            output_position: 1 + place(behind, calls.len()),
            call_id: id.to_owned(),
            kind: item.type_name().to_owned(),
            name: text(item, "name"),
            arguments: arguments(item),
            // What the tool says is noted when it is looked up.
            repeatable: Repeatable::Ask,
            idempotency_key: format!("run-{run}-call-{position}"),
        });
    }
    Some(Asked { step, calls })
}

fn text(item: &Item, name: &str) -> String {
    item.as_value()[name].as_str().unwrap_or_default().to_owned()
}

/// As text; some servers send an object. A custom tool has an input of its own form.
fn arguments(item: &Item) -> String {
    let name = if item.type_name() == "custom_tool_call" { "input" } else { "arguments" };
    match &item.as_value()[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
