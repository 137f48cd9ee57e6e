//! What a request for a response says, in a form that a test can compare.

use serde_json::{Value, json};

use crate::{
    Request,
    service::{assistants, chat, items},
};

/// What was sent to the model: the items of one request, and not those that the service held
/// already.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Input {
    /// The model that was asked, or nothing.
    pub model: String,
    /// The instructions, where there were any: in a chat, what the messages of the system or developer say that it begins
    /// with; in a run, those of the assistant, unless it has its own.
    pub instructions: Option<String>,
    /// The items as they were sent; a bare text is a message of the user. Messages, calls and outputs of the other protocols
    /// are in the form that they have in the Responses API.
    pub items: Vec<Value>,
}

impl Input {
    pub(crate) fn of(body: &Value) -> Self {
        let items = match &body["input"] {
            Value::Array(items) => items.clone(),
            Value::String(text) => vec![json!({"role": "user", "content": text})],
            _ => Vec::new(),
        };
        Self {
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            instructions: body["instructions"].as_str().map(str::to_owned),
            items,
        }
    }

    /// One line for each item: `user: Hello` for a message, `function_call: name {"a":1}`,
    /// `function_call_output: It rains`. What has no text is its type alone.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.items.iter().map(line).collect()
    }

    /// The texts of the messages of one role (`user`, `assistant`, `system`, `developer`), in
    /// order.
    #[must_use]
    pub fn texts(&self, role: &str) -> Vec<String> {
        let of_role = self.items.iter().filter(|item| item["role"] == role);
        of_role.map(items::text_of).collect()
    }

    /// The last text of the user, or nothing.
    #[must_use]
    pub fn question(&self) -> String {
        self.texts("user").pop().unwrap_or_default()
    }
}

fn line(item: &Value) -> String {
    let kind = item["role"].as_str().or(item["type"].as_str()).unwrap_or("message");
    let named = [item["name"].as_str().unwrap_or_default(), &items::text_of(item)];
    let said = named.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    if said.is_empty() { kind.to_owned() } else { format!("{kind}: {said}") }
}

impl Request {
    /// What it sends to the model, if it asks for a response, a chat completion or a run. A run is also about what other
    /// requests added to its thread, and who its assistant is; [`FakeOpenAi::inputs`](crate::FakeOpenAi::inputs) knows that.
    #[must_use]
    pub fn input(&self) -> Option<Input> {
        let body = self.body.as_ref().unwrap_or(&Value::Null);
        match (self.method.as_str(), self.path.as_str()) {
            ("POST", path) if path.ends_with("/responses") => Some(Input::of(body)),
            ("POST", path) if path.ends_with("/chat/completions") => {
                Some(Input::of(&chat::translated(body)))
            }
            ("POST", path) => assistants::input_of(path, body),
            _ => None,
        }
    }
}
