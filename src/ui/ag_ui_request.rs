//! What a client of AG-UI sends.

use serde::Deserialize;
use serde_json::Value;

use super::ag_ui::is_output_name;
use super::chat_request::decision;
use super::question_named;
use crate::error::{Error, Result};
use crate::model::Content;
use crate::submit::decide::Decision;

/// The body that a client of AG-UI 1.0 posts (`RunAgentInput`), as far as the engine needs it: what was said before stands in its
/// database, and the assistant's tools are the host's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AgUiRequest {
    /// What the client calls the conversation.
    pub thread_id: String,
    /// And what it calls this run.
    pub run_id: String,
    /// All messages that it has.
    #[serde(default)]
    pub messages: Vec<Value>,
    /// What was decided since the run before waited.
    #[serde(default)]
    pub resume: Vec<Value>,
}

impl AgUiRequest {
    /// The last message of the client, the user's.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the last message is not the user's, or holds what is neither text nor a picture by its address.
    pub fn question(&self) -> Result<Content> {
        let last = self.messages.last();
        let role = last.and_then(|message| message["role"].as_str()).unwrap_or("none");
        let Some(last) = last.filter(|_| role == "user") else {
            return Err(Error::invalid(
                "messages",
                role,
                "do not end with a message of the user's",
            ));
        };
        let parts = match &last["content"] {
            Value::String(text) => return Ok(Content::text(text)),
            Value::Array(parts) => parts,
            _ => return Err(Error::invalid("content", "", "is neither a text nor parts")),
        };
        let texts = parts.iter().filter_map(|part| part["text"].as_str());
        let question = Content::text(texts.collect::<Vec<&str>>().join("\n"));
        let mut others = parts.iter().filter(|part| part["type"] != "text");
        others.try_fold(question, |question: Content, part| {
            let source = &part["source"];
            match (part["type"].as_str(), source["type"].as_str(), source["value"].as_str()) {
                (Some("image"), Some("url"), Some(url)) => Ok(question.image_url(url)),
                (kind, ..) => {
                    let kind = kind.unwrap_or("none");
                    Err(Error::invalid(
                        "content",
                        kind,
                        "is neither a text nor a picture's address",
                    ))
                }
            }
        })
    }

    /// What the client's user decided about calls of tools, by their ids, and what came of calls that the client carried out itself:
    /// messages of the role `tool` behind all others. `cancelled` refuses the call, and so does a payload
    /// `{"approved": false, "reason": …}`. Give each to [`ToolCalls::decide`](crate::ToolCalls::decide) of that user.
    #[must_use]
    pub fn decisions(&self) -> Vec<(i64, Decision)> {
        let decided = self.resume.iter().filter_map(|entry| {
            let (call, attempts) = question_named(entry["interruptId"].as_str()?)?;
            let payload = &entry["payload"];
            let agreed = entry["status"] == "resolved" && payload["approved"] != false;
            let decision = decision(&Value::from(agreed), &payload["reason"]);
            Some((call, decision.asked_after(attempts)))
        });
        let last = self.messages.iter().rev().take_while(|message| message["role"] == "tool");
        // What we told of a call ourselves is no news.
        let is_new = |message: &&Value| !message["id"].as_str().is_some_and(is_output_name);
        let outputs = last.filter(is_new).filter_map(|message| {
            let call = message["toolCallId"].as_str()?.parse().ok()?;
            let decision = match message["error"].as_str() {
                Some(reason) => Decision::reject(reason),
                None => Decision::output(message["content"].clone()),
            };
            Some((call, decision))
        });
        decided.chain(outputs).collect()
    }
}
