//! What is sent to the endpoints.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::openai::Result;
use crate::openai::lenient::Object;
use crate::openai::request::object;

/// What an assistant is. Source: `OpenAI`'s API description, schemas `CreateAssistantRequest` and `ModifyAssistantRequest`.
///
/// What is not set is sent, too: an update takes away what is no longer set. A creation leaves out the effort of reasoning, which
/// servers without such models may not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct AssistantSettings {
    pub(crate) model: String,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) instructions: Option<String>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_effort: Option<String>,
    pub(crate) tools: Vec<Value>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl AssistantSettings {
    pub(super) fn body(&self) -> Result<Object> {
        object("the assistant request", self)
    }

    pub(super) fn change(&self) -> Result<Object> {
        let mut body = self.body()?;
        body.entry("reasoning_effort").or_insert(Value::Null);
        Ok(body)
    }
}

/// A run. Source: `OpenAI`'s API description, schema `CreateRunRequest`. What is `None` is not sent: the assistant's own counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct CreateRun {
    pub(crate) assistant_id: String,
    pub(crate) model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instructions: Option<String>,
    /// Added to the thread with the run, or not at all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) additional_messages: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_prompt_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_completion_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    /// Further members, which give way to those above.
    #[serde(skip)]
    pub(crate) extra: Object,
}

impl CreateRun {
    pub(super) fn body(&self) -> Result<Object> {
        let mut body = self.extra.clone();
        body.extend(object("the run request", self)?);
        body.insert("stream".to_owned(), Value::Bool(true));
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_unset_is_not_sent_with_a_run_and_cleared_with_an_assistant() {
        let run = CreateRun {
            assistant_id: "asst_1".to_owned(),
            model: "m".to_owned(),
            extra: Object::from_iter([
                ("model".to_owned(), json!("x")),
                ("tool_choice".to_owned(), json!("none")),
                ("stream".to_owned(), json!(false)),
            ]),
            ..CreateRun::default()
        };
        let expected =
            json!({"assistant_id": "asst_1", "model": "m", "tool_choice": "none", "stream": true});
        assert_eq!(Value::Object(run.body().unwrap()), expected);
        let settings = AssistantSettings { model: "m".to_owned(), ..Default::default() };
        let expected = json!({
            "model": "m", "name": null, "description": null, "instructions": null, "temperature": null,
            "top_p": null, "tools": [], "metadata": {},
        });
        assert_eq!(Value::Object(settings.body().unwrap()), expected);
        assert_eq!(settings.change().unwrap()["reasoning_effort"], Value::Null);
        let settings = AssistantSettings { reasoning_effort: Some("low".to_owned()), ..settings };
        assert_eq!(settings.change().unwrap()["reasoning_effort"], "low");
    }
}
