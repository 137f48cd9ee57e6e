//! Items: what goes into a model and what comes out of it. The client and the runs know them alike.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// An input or output item of the Responses and Conversations APIs, kept as the JSON object it is.
///
/// OpenAI's API description knows some thirty types of items (schemas `InputItem`, `OutputItem`,
/// `ConversationItem`) and gains more; most must be sent back unchanged in the next request. So an
/// item is never taken apart: the accessors read what is commonly needed, and everything else stays
/// in [`as_value`](Self::as_value).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Item(Value);

impl Item {
    /// A message with plain text (schema `EasyInputMessage`). `role` is `user`, `assistant`,
    /// `system` or `developer`; text an assistant wrote earlier is accepted in this form too.
    pub fn message(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self(json!({ "type": "message", "role": role.into(), "content": text.into() }))
    }

    /// The result of a function call the model asked for; `output` is text, commonly JSON.
    pub fn function_call_output(call_id: impl Into<String>, output: impl Into<String>) -> Self {
        Self(
            json!({ "type": "function_call_output", "call_id": call_id.into(), "output": output.into() }),
        )
    }

    /// The item's `type`. A message may leave it out; other items without one give the empty text.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self.text_of("type") {
            Some(kind) => kind,
            None if self.role().is_some() => "message",
            None => "",
        }
    }

    /// The item's id at the provider. Items that were never stored have none; an empty one is none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.text_of("id").filter(|id| !id.is_empty())
    }

    /// Who a message is from: `user`, `assistant`, `system`, `developer`, or a role not known
    /// today.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.text_of("role")
    }

    /// How far the item is: `in_progress`, `completed`, `incomplete`, or a status not known today.
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        self.text_of("status")
    }

    /// The id that ties a function's output to its call.
    #[must_use]
    pub fn call_id(&self) -> Option<&str> {
        self.text_of("call_id").filter(|id| !id.is_empty())
    }

    /// A message's text: plain content, or its text parts and refusals one after the other. Empty
    /// for other items.
    #[must_use]
    pub fn text(&self) -> String {
        match self.0.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().filter_map(part_text).collect(),
            _ => String::new(),
        }
    }

    /// The whole item.
    #[must_use]
    pub const fn as_value(&self) -> &Value {
        &self.0
    }

    /// The whole item, by value.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }

    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }
}

/// Takes JSON as it is; a value that is no object becomes an item of which nothing is known.
impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl From<Map<String, Value>> for Item {
    fn from(object: Map<String, Value>) -> Self {
        Self(Value::Object(object))
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
    fn messages_are_easy_messages() {
        let item = Item::message("assistant", "Hello");
        assert_eq!(
            *item.as_value(),
            json!({"type": "message", "role": "assistant", "content": "Hello"})
        );
        assert_eq!(
            (item.type_name(), item.role(), item.text().as_str()),
            ("message", Some("assistant"), "Hello")
        );
    }

    #[test]
    fn text_joins_text_parts_and_refusals() {
        let item = Item::from(json!({"role": "assistant", "content": [
            {"type": "output_text", "text": "a"}, {"type": "input_image"}, {"type": "input_text", "text": "b"},
            {"type": "text", "text": "c"}, {"type": "refusal", "refusal": "d"}, 7, {"text": "untyped"}
        ]}));
        assert_eq!(item.type_name(), "message");
        assert_eq!(item.text(), "abcd");
    }

    #[test]
    fn unknown_items_are_kept_unchanged() {
        let raw =
            json!({"type": "hologram", "id": "h_1", "status": "spinning", "payload": {"x": [1]}});
        let item: Item = serde_json::from_value(raw.clone()).unwrap();
        assert_eq!(
            (item.type_name(), item.id(), item.status()),
            ("hologram", Some("h_1"), Some("spinning"))
        );
        assert_eq!(item.text(), "");
        assert_eq!(serde_json::to_value(&item).unwrap(), raw);
        assert_eq!(item.into_value(), raw);
    }

    #[test]
    fn outputs_carry_their_call() {
        let item = Item::function_call_output("call_1", "42");
        assert_eq!((item.type_name(), item.call_id()), ("function_call_output", Some("call_1")));
    }

    #[test]
    fn a_value_of_another_type_knows_nothing() {
        let item = Item::from(json!("text"));
        assert_eq!((item.type_name(), item.id(), item.text().as_str()), ("", None, ""));
    }
}
