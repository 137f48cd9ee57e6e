//! Calls that want an output: of a function, a custom tool, a shell, a patch, a computer, an approval. A provider refuses to
//! go on with a conversation in which one of them has none.

use serde_json::json;

use crate::model::{Item, ItemKind, NOT_CARRIED_OUT};

/// The calls among these items that have no output there, in order.
pub(crate) fn open<'i>(items: impl IntoIterator<Item = &'i Item> + Clone) -> Vec<&'i Item> {
    let outputs: std::collections::HashSet<&str> = items
        .clone()
        .into_iter()
        .filter_map(|item| match item.kind() {
            ItemKind::ToolOutput(id) => Some(id),
            _ => None,
        })
        .collect();
    let is_open =
        |item: &&Item| matches!(item.kind(), ItemKind::ToolCall(id) if !outputs.contains(id));
    items.into_iter().filter(is_open).collect()
}

/// The output that closes a call. `None`: no output can be made up for it, such as the screenshot of a computer.
///
/// The forms are those of `OpenAI`'s API description, schemas `…CallOutputItemParam`.
pub(crate) fn closing(call: &Item) -> Option<Item> {
    let ItemKind::ToolCall(id) = call.kind() else { return None };
    let text = NOT_CARRIED_OUT;
    Some(Item::from(match call.type_name() {
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
    fn a_closed_call_is_open_no_more() {
        let call = |kind: &str| Item::from(json!({"type": kind, "id": "x", "call_id": "c"}));
        for kind in [
            "function_call",
            "custom_tool_call",
            "local_shell_call",
            "shell_call",
            "apply_patch_call",
            "tool_search_call",
            "mcp_approval_request",
        ] {
            let output = closing(&call(kind)).unwrap();
            assert_eq!(open(&[call(kind)]).len(), 1, "{kind}");
            assert!(open(&[call(kind), output]).is_empty(), "{kind}");
        }
    }

    #[test]
    fn for_some_calls_no_output_can_be_made_up() {
        for kind in ["computer_call", "hologram_call"] {
            let call = Item::from(json!({"type": kind, "call_id": "c"}));
            assert!(closing(&call).is_none() && open(&[call]).len() == 1, "{kind}");
        }
    }
}
