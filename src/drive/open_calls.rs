//! Calls that want an output: of a function, a custom tool, a shell, a patch, a computer, an approval. A provider refuses to
//! go on with a conversation in which one of them has none.

use serde_json::{Value, json};

use crate::openai::Item;

/// What an item is among calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Asks for an output with this id.
    Call(String),
    /// The output of the call with this id.
    Output(String),
    /// A message, reasoning, or a call that the provider carries out itself.
    Neither,
}

/// By its kind: whatever is a call by its name and has an id to answer to, also kinds that are not known today.
pub(crate) fn part(item: &Item) -> Part {
    let id = |name: &str| item.as_value().get(name).and_then(Value::as_str).map(str::to_owned);
    let part = match item.kind() {
        "mcp_approval_request" => id("id").map(Part::Call),
        "mcp_approval_response" => id("approval_request_id").map(Part::Output),
        // Its output names the call by its own id (`OpenAI`'s API description, schema `LocalShellToolCallOutput`).
        "local_shell_call_output" => id("call_id").or_else(|| id("id")).map(Part::Output),
        "tool_search_output" => id("call_id").map(Part::Output),
        kind if kind.ends_with("_call_output") => id("call_id").map(Part::Output),
        kind if kind.ends_with("_call") => id("call_id").map(Part::Call),
        _ => None,
    };
    part.unwrap_or(Part::Neither)
}

/// The calls among these items that have no output there, in order.
pub(crate) fn open<'i>(items: impl IntoIterator<Item = &'i Item> + Clone) -> Vec<&'i Item> {
    let outputs: std::collections::HashSet<String> = items
        .clone()
        .into_iter()
        .filter_map(|item| match part(item) {
            Part::Output(id) => Some(id),
            Part::Call(_) | Part::Neither => None,
        })
        .collect();
    let is_open = |item: &&Item| matches!(part(item), Part::Call(id) if !outputs.contains(&id));
    items.into_iter().filter(is_open).collect()
}

/// What a model is told of a call that nobody carries out.
const NOT_CARRIED_OUT: &str = "This call was not carried out.";

/// The output that closes a call. `None`: no output can be made up for it, such as the screenshot of a computer.
///
/// The forms are those of `OpenAI`'s API description, schemas `…CallOutputItemParam`.
pub(crate) fn closing(call: &Item) -> Option<Item> {
    let Part::Call(id) = part(call) else { return None };
    let text = NOT_CARRIED_OUT;
    Some(Item::from(match call.kind() {
        "function_call" => json!({"type": "function_call_output", "call_id": id, "output": text}),
        "custom_tool_call" => {
            json!({"type": "custom_tool_call_output", "call_id": id, "output": text})
        }
        "local_shell_call" => {
            json!({"type": "local_shell_call_output", "id": id, "call_id": id, "output": text})
        }
        "shell_call" => {
            let part =
                json!({"stdout": "", "stderr": text, "outcome": {"type": "exit", "exit_code": 1}});
            let mut output = json!({"type": "shell_call_output", "call_id": id, "output": [part]});
            if let Some(limit) = call.as_value()["action"].get("max_output_length") {
                output["max_output_length"] = limit.clone();
            }
            output
        }
        "apply_patch_call" => {
            json!({"type": "apply_patch_call_output", "call_id": id, "status": "failed", "output": text})
        }
        "tool_search_call" => {
            json!({"type": "tool_search_output", "call_id": id, "execution": "client", "tools": [], "status": "completed"})
        }
        "mcp_approval_request" => {
            json!({"type": "mcp_approval_response", "approval_request_id": id, "approve": false, "reason": text})
        }
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_call_is_known_by_its_name() {
        let call = |kind: &str| Item::from(json!({"type": kind, "id": "x", "call_id": "c"}));
        for kind in [
            "function_call",
            "custom_tool_call",
            "local_shell_call",
            "shell_call",
            "apply_patch_call",
            "computer_call",
            "tool_search_call",
            "hologram_call",
        ] {
            assert_eq!(part(&call(kind)), Part::Call("c".to_owned()), "{kind}");
            if let Some(output) = closing(&call(kind)) {
                assert_eq!(part(&output), Part::Output("c".to_owned()), "{kind}");
                assert!(open(&[call(kind), output]).is_empty(), "{kind}");
            }
            assert_eq!(open(&[call(kind)]).len(), 1, "{kind}");
        }
        assert!(
            closing(&call("computer_call")).is_none() && closing(&call("hologram_call")).is_none()
        );
        let asked = Item::from(json!({"type": "mcp_approval_request", "id": "mcpr_1"}));
        assert_eq!(part(&asked), Part::Call("mcpr_1".to_owned()));
        assert!(open(&[asked.clone(), closing(&asked).unwrap()]).is_empty());
    }

    #[test]
    fn what_the_provider_carries_out_itself_wants_no_output() {
        for kind in [
            "web_search_call",
            "file_search_call",
            "code_interpreter_call",
            "mcp_call",
            "message",
            "reasoning",
        ] {
            assert_eq!(
                part(&Item::from(json!({"type": kind, "id": "x"}))),
                Part::Neither,
                "{kind}"
            );
        }
    }
}
