//! What an item is to a run: a text, a call that wants an output, an output, a thought.

pub(crate) use crate::item::Item;

/// What an item is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ItemKind<'i> {
    /// Text of a user, an assistant or the host.
    Message,
    /// Asks for an output with this id: of a function, a custom tool, a shell, a patch, a computer, an approval.
    ToolCall(&'i str),
    /// The output of the call with this id.
    ToolOutput(&'i str),
    /// What the model thought.
    Reasoning,
    /// Something else, such as a call that the provider carries out itself.
    Other,
}

impl Item {
    /// By its type: whatever is a call by its name and has an id to answer to is one, also of types that are not known today.
    pub(crate) fn kind(&self) -> ItemKind<'_> {
        let call = |name: &str| self.text_of(name).map(ItemKind::ToolCall);
        let output = |name: &str| self.text_of(name).map(ItemKind::ToolOutput);
        let kind = match self.type_name() {
            "message" => Some(ItemKind::Message),
            "reasoning" => Some(ItemKind::Reasoning),
            "mcp_approval_request" => call("id"),
            "mcp_approval_response" => output("approval_request_id"),
            // It names the call by its own id (`OpenAI`'s API description, schema `LocalShellToolCallOutput`).
            "local_shell_call_output" => output("call_id").or_else(|| output("id")),
            "tool_search_output" => output("call_id"),
            name if name.ends_with("_call_output") => output("call_id"),
            name if name.ends_with("_call") => call("call_id"),
            _ => None,
        };
        kind.unwrap_or(ItemKind::Other)
    }

    pub(crate) fn is_message(&self) -> bool {
        self.type_name() == "message"
    }

    /// Reasoning that its provider can read again.
    pub(crate) fn is_sealed(&self) -> bool {
        self.text_of("encrypted_content").is_some()
    }

    /// Which part of an answer a message is, if the provider says so.
    pub(crate) fn phase(&self) -> Option<&str> {
        self.text_of("phase")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_call_and_output_is_known_by_its_name() {
        for name in [
            "function_call",
            "custom_tool_call",
            "local_shell_call",
            "shell_call",
            "apply_patch_call",
            "computer_call",
            "tool_search_call",
            "hologram_call",
        ] {
            let call = Item::from(json!({"type": name, "id": "x", "call_id": "c"}));
            assert_eq!(call.kind(), ItemKind::ToolCall("c"), "{name}");
            let output = Item::from(json!({"type": format!("{name}_output"), "call_id": "c"}));
            assert_eq!(output.kind(), ItemKind::ToolOutput("c"), "{name}");
        }
        let asked = Item::from(json!({"type": "mcp_approval_request", "id": "mcpr_1"}));
        assert_eq!(asked.kind(), ItemKind::ToolCall("mcpr_1"));
        let decided =
            Item::from(json!({"type": "mcp_approval_response", "approval_request_id": "mcpr_1"}));
        assert_eq!(decided.kind(), ItemKind::ToolOutput("mcpr_1"));
    }

    #[test]
    fn what_the_provider_carries_out_itself_wants_no_output() {
        for name in ["web_search_call", "file_search_call", "code_interpreter_call", "mcp_call"] {
            assert_eq!(Item::from(json!({"type": name, "id": "x"})).kind(), ItemKind::Other);
        }
    }
}
