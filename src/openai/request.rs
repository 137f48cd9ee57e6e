//! What is sent to the provider.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::lenient::Object;
use super::optional::OptionalMembers;
use super::{Error, Item, Result};

/// Most items one request may add to a conversation. Source: OpenAI's API description,
/// `CreateConversationBody`.
pub const MAX_ITEMS: usize = 20;

/// A call of a model. Source: OpenAI's API description, schema `CreateResponse`.
///
/// Fields that are `None` are not sent, so the provider's defaults hold.
///
/// ```
/// use ai_engine::openai::unstable::{CreateResponse, Item};
///
/// let mut request = CreateResponse::new("gpt-6-luna");
/// request.input.push(Item::message("user", "Tell me a story"));
/// request.max_output_tokens = Some(500);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CreateResponse {
    /// The model's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The new items, or the whole history when the provider keeps none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Item>,
    /// The system text of this call. Providers do not carry it over to the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The id of the conversation to read and extend; excludes `previous_response_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The stored response to continue; excludes `conversation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_response_id: Option<String>,
    /// Whether the provider keeps the response. OpenAI's default is `true`; not every server
    /// honours `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<bool>,
    /// Sampling temperature, 0 to 2. Several reasoning models refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Most tokens the model may write, its reasoning included; at least 16 at OpenAI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Options of reasoning models, such as `{"effort": "low"}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Value>,
    /// At most 16 pairs; keys up to 64 characters, values up to 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// The tools the model may call, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Value>>,
    /// Extra parts of the output to send, such as `reasoning.encrypted_content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Whether the response goes on when the connection closes; needs `store`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<bool>,
    /// Members this type does not know. A field above that is set wins over a member of the same
    /// name, and `stream` is ignored: the call decides it.
    #[serde(skip)]
    pub extra: Object,
    /// What is left out where it is refused. An extra member wins over one of the same name.
    #[serde(skip)]
    pub(crate) optional: OptionalMembers,
}

impl CreateResponse {
    /// A request for `model` with everything else unset.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }

    pub(super) fn body(&self, stream: bool) -> Result<Object> {
        let typed = object("the response request", self)?;
        let mut body = self.extra.clone();
        body.remove("stream");
        body.extend(typed);
        if stream {
            body.insert("stream".to_owned(), Value::Bool(true));
        }
        Ok(body)
    }
}

/// A new conversation. Source: OpenAI's API description, schema `CreateConversationBody`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CreateConversation {
    /// At most 16 pairs; keys up to 64 characters, values up to 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// The first items, at most [`MAX_ITEMS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
}

/// Which items of a conversation to list. What is unset is the provider's choice (OpenAI: 20 items,
/// newest first).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListItems {
    /// Only the items after the one with this id, in the order asked for.
    pub after: Option<String>,
    /// Most items of a page, 1 to 100.
    pub limit: Option<u8>,
    /// In which order.
    pub order: Option<Order>,
}

impl ListItems {
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let order = self.order.map(|order| match order {
            Order::OldestFirst => "asc".to_owned(),
            Order::NewestFirst => "desc".to_owned(),
        });
        [
            ("after", self.after.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("order", order),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// `asc`
    OldestFirst,
    /// `desc`
    NewestFirst,
}

/// OpenAI refuses more items than this; failing here names the limit and sends nothing.
pub(super) fn check_items(items: &[Item]) -> Result<()> {
    if items.len() <= MAX_ITEMS {
        return Ok(());
    }
    let message = format!(
        "{} items, but a request may add at most {MAX_ITEMS}; send them in batches",
        items.len()
    );
    Err(Error::Invalid { what: "the list of items", message })
}

/// A request as a JSON object. Fails for numbers JSON does not have.
pub(super) fn object(what: &'static str, request: &impl Serialize) -> Result<Object> {
    match serde_json::to_value(request) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Error::Invalid { what, message: format!("{other} is no JSON object") }),
        Err(error) => Err(Error::Invalid { what, message: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_unset_is_not_sent() {
        let body = CreateResponse::new("m").body(false).unwrap();
        assert_eq!(Value::Object(body), json!({"model": "m"}));
        assert_eq!(serde_json::to_value(CreateConversation::default()).unwrap(), json!({}));
    }

    #[test]
    fn what_is_set_is_sent() {
        let mut request = CreateResponse::new("m");
        request.input.push(Item::message("user", "Hi"));
        request.conversation = Some("conv_1".to_owned());
        request.temperature = Some(0.5);
        request.store = Some(false);
        let body = Value::Object(request.body(true).unwrap());
        assert_eq!(
            body,
            json!({"model": "m", "conversation": "conv_1", "temperature": 0.5, "store": false, "stream": true,
                "input": [{"type": "message", "role": "user", "content": "Hi"}]})
        );
    }

    #[test]
    fn a_typed_field_wins_over_an_extra_one_and_the_call_decides_about_streaming() {
        let mut request = CreateResponse::new("typed");
        request.extra.insert("model".to_owned(), json!("extra"));
        request.extra.insert("stream".to_owned(), json!(true));
        request.extra.insert("truncation".to_owned(), json!("auto"));
        request.extra.insert("store".to_owned(), json!(false));
        let body = Value::Object(request.body(false).unwrap());
        assert_eq!(body, json!({"model": "typed", "truncation": "auto", "store": false}));
    }

    #[test]
    fn too_many_items_are_refused_with_the_limit() {
        let items = vec![Item::message("user", "x"); MAX_ITEMS + 1];
        assert!(check_items(&items[1..]).is_ok());
        let text = check_items(&items).unwrap_err().to_string();
        assert!(text.contains("21 items") && text.contains("at most 20"), "{text}");
    }

    #[test]
    fn lists_send_only_what_is_asked_for() {
        assert!(ListItems::default().query().is_empty());
        let list = ListItems {
            after: Some("msg_1".to_owned()),
            limit: Some(100),
            order: Some(Order::OldestFirst),
        };
        let expected = [("after", "msg_1"), ("limit", "100"), ("order", "asc")]
            .map(|(n, v)| (n, v.to_owned()));
        assert_eq!(list.query(), expected);
    }
}
