//! The chunks of a streamed chat completion.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{script::reply::ErrorEvent, wire::frame::Event};

/// What all chunks of one completion have in common.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    /// How many answers there are. They are alike, and side by side.
    pub(crate) choices: usize,
    /// Whether the last chunk tells the usage, and the others that it is still to come.
    pub(crate) tells_usage: bool,
}

#[derive(Serialize)]
struct Chunk<'a, D> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    service_tier: &'static str,
    system_fingerprint: &'static str,
    choices: &'a [Choice<'a, D>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obfuscation: Option<&'a str>,
}

#[derive(Serialize)]
struct Choice<'a, D> {
    index: usize,
    delta: &'a D,
    logprobs: Option<()>,
    finish_reason: Option<&'a str>,
}

/// A text delta. There are thousands in a stream, hence a plain struct instead of a JSON tree.
#[derive(Serialize)]
struct Content<'a> {
    content: &'a str,
}

impl Voice {
    pub(crate) const FINGERPRINT: &'static str = "fp_openai_fake";

    fn chunk<'a, D>(
        &'a self,
        choices: &'a [Choice<'a, D>],
        usage: Option<&'a Value>,
        obfuscation: Option<&'a str>,
    ) -> Chunk<'a, D> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            service_tier: "default",
            system_fingerprint: Self::FINGERPRINT,
            choices,
            usage: usage.or(self.tells_usage.then_some(&Value::Null)),
            obfuscation,
        }
    }

    /// A text delta of every choice, each in a chunk of its own.
    pub(crate) fn delta_frame(&self, text: &str, obfuscation: Option<&str>) -> Bytes {
        let delta = Content { content: text };
        let frame = |index: usize| {
            let choice = Choice { index, delta: &delta, logprobs: None, finish_reason: None };
            let chunk = self.chunk(std::slice::from_ref(&choice), None, obfuscation);
            // Strings and numbers always serialise.
            format!("data: {}\n\n", serde_json::to_string(&chunk).unwrap_or_default())
        };
        (0..self.choices).map(frame).collect::<String>().into()
    }

    /// The same delta, or end, for every choice.
    pub(crate) fn chunks(&self, delta: &Value, finish_reason: Option<&str>) -> Vec<Event> {
        let chunk = |index: usize| {
            let choice = Choice { index, delta, logprobs: None, finish_reason };
            Event::Json(json!(self.chunk(std::slice::from_ref(&choice), None, None)))
        };
        (0..self.choices).map(chunk).collect()
    }

    /// A chunk without choices.
    pub(crate) fn bare(&self, usage: Option<&Value>) -> Event {
        Event::Json(json!(self.chunk::<()>(&[], usage, None)))
    }
}

/// What opens the answer.
pub(crate) fn role(with_text: bool) -> Value {
    json!({"role": "assistant", "content": with_text.then_some(""), "refusal": null})
}

/// A function call in pieces: its id and name come in the first, its arguments in the others.
pub(crate) fn call_deltas(index: usize, call: &Value) -> Vec<Value> {
    let arguments = call["arguments"].as_str().unwrap_or_default();
    let (head, tail) = super::events::halves(arguments);
    let delta = |call: Value| json!({"tool_calls": [call]});
    let more = |part: &str| delta(json!({"index": index, "function": {"arguments": part}}));
    vec![
        delta(json!({
            "index": index, "id": call["call_id"], "type": "function",
            "function": {"name": call["name"], "arguments": ""},
        })),
        more(head),
        more(tail),
    ]
}

/// An error in the stream, and what follows it.
pub(crate) fn error(shape: ErrorEvent, code: &str, message: &str) -> Vec<Event> {
    let mut error = json!({"message": message, "type": code, "param": null, "code": code});
    match shape {
        ErrorEvent::Nested => vec![Event::Json(json!({"error": error})), Event::Done],
        ErrorEvent::Untyped => vec![Event::Json(json!({"error": error}))],
        ErrorEvent::Flat => {
            error["object"] = json!("error");
            vec![Event::Untyped(error)]
        }
    }
}
