//! What is sent to the endpoint.

use serde::Serialize;
use serde_json::{Value, json};

use super::dialect::{LimitName, Words};
use crate::openai::Result;
use crate::openai::lenient::Object;
use crate::openai::optional::OptionalMembers;
use crate::openai::request::object;

/// A call of a model. Source: OpenAI's API description, schema `CreateChatCompletionRequest`.
///
/// What is `None` is not sent. The answer is streamed, one answer to a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct CreateChatCompletion {
    pub(crate) model: String,
    /// All that was said, in the protocol's form.
    pub(crate) messages: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_effort: Option<String>,
    /// Functions, in the protocol's form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<Value>,
    /// Most tokens of the answer, reasoning included. Servers have two names for it.
    #[serde(skip)]
    pub(crate) max_tokens: Option<u32>,
    /// What is left out where it is refused.
    #[serde(skip)]
    pub(crate) optional: OptionalMembers,
    /// Members that this type does not know. What is set above wins over one of the same name.
    #[serde(skip)]
    pub(crate) extra: Object,
}

impl CreateChatCompletion {
    pub(super) fn body(&self, words: Words) -> Result<Object> {
        let typed = object("the chat completion request", self)?;
        let mut body = self.extra.clone();
        body.extend(typed);
        body.insert("stream".to_owned(), Value::Bool(true));
        if words.usage {
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        } else {
            body.remove("stream_options");
        }
        if words.store {
            body.insert("store".to_owned(), Value::Bool(false));
        }
        let (old, new) = ("max_tokens", "max_completion_tokens");
        let names: &[&str] = match words.limit {
            LimitName::Both => &[old, new],
            LimitName::New => &[new],
            LimitName::Old => &[old],
        };
        // A host that names one of them itself knows its server.
        if let Some(limit) = self.max_tokens
            && !body.contains_key(old)
            && !body.contains_key(new)
        {
            body.extend(names.iter().map(|name| ((*name).to_owned(), limit.into())));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Words = Words { limit: LimitName::Both, usage: true, store: false };

    #[test]
    fn what_is_unset_is_not_sent() {
        let request = CreateChatCompletion { model: "m".to_owned(), ..Default::default() };
        let body = request.body(Words { usage: false, ..BOTH }).unwrap();
        assert_eq!(Value::Object(body), json!({"model": "m", "messages": [], "stream": true}));
    }

    #[test]
    fn the_limit_has_the_names_that_the_server_knows_unless_the_host_chose_one() {
        let mut request = CreateChatCompletion { model: "m".to_owned(), ..Default::default() };
        request.max_tokens = Some(50);
        let limits = |request: &CreateChatCompletion, limit| {
            let body = request.body(Words { limit, ..BOTH }).unwrap();
            ["max_tokens", "max_completion_tokens"].map(|name| body.get(name).cloned())
        };
        let is = Some(json!(50));
        assert_eq!(limits(&request, LimitName::Both), [is.clone(), is.clone()]);
        assert_eq!(limits(&request, LimitName::New), [None, is.clone()]);
        assert_eq!(limits(&request, LimitName::Old), [is, None]);
        request.extra.insert("max_tokens".to_owned(), json!(7));
        assert_eq!(limits(&request, LimitName::New), [Some(json!(7)), None]);
    }

    #[test]
    fn what_the_call_decides_wins_over_the_hosts_members() {
        let mut request = CreateChatCompletion { model: "typed".to_owned(), ..Default::default() };
        for (name, value) in [("model", json!("x")), ("stream", json!(false)), ("seed", json!(1))] {
            request.extra.insert(name.to_owned(), value);
        }
        let body = request.body(Words { store: true, ..BOTH }).unwrap();
        let expected = json!({
            "model": "typed", "messages": [], "stream": true, "seed": 1, "store": false,
            "stream_options": {"include_usage": true},
        });
        assert_eq!(Value::Object(body), expected);
    }
}
