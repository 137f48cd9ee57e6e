//! Items: what goes into a model and what comes out of it, besides plain messages.

use serde_json::{Value, json};

/// An item of a conversation, kept as the JSON object it is: most kinds must go back unchanged to where they came from.
///
/// Its form is that of the Responses API, whichever protocol it came by. `OpenAI`'s API description knows some thirty types
/// (schemas `InputItem`, `OutputItem`, `ConversationItem`) and gains more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Item(Value);

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
    /// A message with plain text. `role` is `user`, `assistant`, `system` or `developer`.
    pub(crate) fn message(role: &str, text: impl Into<String>) -> Self {
        Self(json!({ "type": "message", "role": role, "content": text.into() }))
    }

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

    /// The item's `type`. A message may leave it out; other items without one give the empty text.
    pub(crate) fn type_name(&self) -> &str {
        match self.text_of("type") {
            Some(kind) => kind,
            None if self.role().is_some() => "message",
            None => "",
        }
    }

    pub(crate) fn is_message(&self) -> bool {
        self.type_name() == "message"
    }

    /// Reasoning that its provider can read again.
    pub(crate) fn is_sealed(&self) -> bool {
        self.text_of("encrypted_content").is_some()
    }

    /// The item's id at the provider. Items that were never stored have none; an empty one is none.
    pub(crate) fn id(&self) -> Option<&str> {
        self.text_of("id").filter(|id| !id.is_empty())
    }

    /// Who a message is from: `user`, `assistant`, `system`, `developer`, or a role not known today.
    pub(crate) fn role(&self) -> Option<&str> {
        self.text_of("role")
    }

    /// Which part of an answer a message is, if the provider says so.
    pub(crate) fn phase(&self) -> Option<&str> {
        self.text_of("phase")
    }

    /// A message's text: plain content, or its text parts and refusals one after the other. Empty for other items.
    pub(crate) fn text(&self) -> String {
        match self.0.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().filter_map(part_text).collect(),
            _ => String::new(),
        }
    }

    /// The whole item.
    pub(crate) const fn as_value(&self) -> &Value {
        &self.0
    }

    /// The whole item, by value.
    pub(crate) fn into_value(self) -> Value {
        self.0
    }

    fn text_of(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }
}

/// Takes JSON as it is; a value that is no object becomes an item of which nothing is known.
impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

fn part_text(part: &Value) -> Option<&str> {
    let text = |key: &str| part.get(key).and_then(Value::as_str);
    match text("type")? {
        "output_text" | "input_text" | "text" => text("text"),
        "refusal" => text("refusal"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn text_joins_text_parts_and_refusals() {
        let item = Item::from(json!({"role": "assistant", "content": [
            {"type": "output_text", "text": "a"}, {"type": "input_image"}, {"type": "input_text", "text": "b"},
            {"type": "text", "text": "c"}, {"type": "refusal", "refusal": "d"}, 7, {"text": "untyped"}
        ]}));
        assert_eq!((item.kind(), item.text().as_str()), (ItemKind::Message, "abcd"));
    }

    #[test]
    fn unknown_items_are_kept_unchanged() {
        let raw = json!({"type": "hologram", "id": "h_1", "payload": {"x": [1]}});
        let item = Item::from(raw.clone());
        assert_eq!(
            (item.kind(), item.id(), item.text().as_str()),
            (ItemKind::Other, Some("h_1"), "")
        );
        assert_eq!(item.into_value(), raw);
        assert_eq!(Item::from(json!("text")).kind(), ItemKind::Other);
    }
}
