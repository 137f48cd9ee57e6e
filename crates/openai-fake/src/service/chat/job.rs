//! One chat completion in the making.

use serde_json::{Value, json};

use crate::{
    fake::Shared,
    script::reply::{Ending, Reply},
    service::{
        items,
        job::{Job, final_text, has_message},
        snapshot,
        state::unix_seconds,
    },
    wire::{
        chat::{self, Voice},
        frame::{Event, Voice as AnyVoice},
    },
};

#[derive(Debug)]
pub(super) struct ChatJob {
    voice: Voice,
    input_tokens: u64,
    obfuscate: bool,
    answer: (u16, Value),
}

impl ChatJob {
    pub(super) fn new(id: String, body: &Value, reply: &Reply, input_tokens: u64) -> Self {
        let asked = body["model"].as_str().unwrap_or_default();
        let options = &body["stream_options"];
        Self {
            voice: Voice {
                id,
                created: unix_seconds(),
                model: reply.model.clone().unwrap_or_else(|| asked.to_owned()),
                choices: body["n"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
                tells_usage: options["include_usage"] == json!(true),
            },
            input_tokens,
            obfuscate: options["include_obfuscation"] != json!(false),
            answer: (500, Value::Null),
        }
    }

    fn usage(&self, reply: &Reply, said: &Value) -> Option<Value> {
        let answers = u64::try_from(self.voice.choices).unwrap_or(u64::MAX);
        let estimated = || {
            let calls = said["tool_calls"].as_array().into_iter().flatten();
            let calls: String = calls.map(|call| items::text_of(&call["function"])).collect();
            let tokens = snapshot::tokens(&(items::text_of(said) + &calls));
            (self.input_tokens, tokens.saturating_mul(answers))
        };
        let (input, output) = reply.usage.unwrap_or_else(estimated);
        reply.reports_usage.then(|| {
            json!({
                "prompt_tokens": input,
                "completion_tokens": output,
                "total_tokens": input + output,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 0, "audio_tokens": 0,
                    "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
                },
            })
        })
    }

    fn completion(&self, message: &Value, finish_reason: &str, usage: Option<Value>) -> Value {
        let choice = |index: usize| {
            json!({
                "index": index, "message": message, "logprobs": null,
                "finish_reason": finish_reason,
            })
        };
        let mut completion = json!({
            "id": self.voice.id,
            "object": "chat.completion",
            "created": self.voice.created,
            "model": self.voice.model,
            "choices": (0..self.voice.choices).map(choice).collect::<Vec<_>>(),
            "service_tier": "default",
            "system_fingerprint": Voice::FINGERPRINT,
        });
        if let Some(usage) = usage {
            completion["usage"] = usage;
        }
        completion
    }
}

impl Job for ChatJob {
    fn id(&self) -> &str {
        &self.voice.id
    }

    fn voice(&self, _reply: &Reply) -> AnyVoice {
        AnyVoice::Chat(self.voice.clone())
    }

    fn obfuscates(&self) -> bool {
        self.obfuscate
    }

    fn opening(&mut self, reply: &Reply) -> Vec<Event> {
        let fails = matches!(reply.ending, Ending::Failed { .. });
        if fails && reply.items.is_empty() && !has_message(reply) {
            return Vec::new();
        }
        let with_text = has_message(reply) || reply.items.iter().any(|i| i["type"] == "message");
        let mut deltas = vec![chat::role(with_text)];
        let words = thoughts(reply).flat_map(|text| text.split_inclusive(char::is_whitespace));
        deltas.extend(words.map(|word| json!({reply.thoughts_field: word})));
        for part in parts(reply) {
            deltas.extend(part["text"].as_str().map(|text| json!({"content": text})));
            deltas.extend(part["refusal"].as_str().map(|text| json!({"refusal": text})));
        }
        deltas.iter().flat_map(|delta| self.voice.chunks(delta, None)).collect()
    }

    fn close(&mut self, reply: &Reply) -> Vec<Event> {
        let calls: Vec<&Value> = calls(reply).collect();
        let deltas =
            calls.iter().enumerate().flat_map(|(index, call)| chat::call_deltas(index, call));
        let mut events: Vec<Event> =
            deltas.flat_map(|delta| self.voice.chunks(&delta, None)).collect();
        if let Ending::Failed { code, message } = &reply.ending {
            let status = if code == "rate_limit_exceeded" { 429 } else { 500 };
            let error = json!({"message": message, "type": code, "param": null, "code": code});
            self.answer = (status, json!({"error": error}));
            events.extend(chat::error(reply.error_event, code, message));
            return events;
        }
        let finish_reason = match &reply.ending {
            Ending::Incomplete(reason) if reason == "content_filter" => "content_filter",
            Ending::Incomplete(_) => "length",
            _ if calls.is_empty() => "stop",
            _ => "tool_calls",
        };
        let message = message(reply, &calls);
        let usage = self.usage(reply, &message);
        events.extend(self.voice.chunks(&json!({}), Some(finish_reason)));
        if self.voice.tells_usage
            && let Some(usage) = &usage
        {
            events.push(self.voice.bare(Some(usage)));
        }
        events.push(Event::Done);
        self.answer = (200, self.completion(&message, finish_reason, usage));
        events
    }

    /// Nothing is kept.
    fn cancel(&mut self) {}

    fn settle(&mut self, _shared: &Shared) {}

    fn take_answer(&mut self) -> (u16, Value) {
        (self.answer.0, self.answer.1.take())
    }

    fn keepalive(&self) -> Event {
        self.voice.bare(None)
    }
}

fn calls(reply: &Reply) -> impl Iterator<Item = &Value> {
    reply.items.iter().filter(|item| item["type"] == "function_call")
}

/// The parts of the messages among the items.
fn parts(reply: &Reply) -> impl Iterator<Item = &Value> {
    let messages = reply.items.iter().filter(|item| item["type"] == "message");
    messages.flat_map(|message| message["content"].as_array().into_iter().flatten())
}

/// What the model thought, where the server says so. A summary is only known to the Responses API.
fn thoughts(reply: &Reply) -> impl Iterator<Item = &str> {
    let reasoning = reply.items.iter().filter(|item| item["type"] == "reasoning");
    let parts = reasoning.flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str())
}

/// The whole answer.
fn message(reply: &Reply, calls: &[&Value]) -> Value {
    let mut text: String = parts(reply).filter_map(|part| part["text"].as_str()).collect();
    let has_text = has_message(reply) || !text.is_empty();
    text += &if has_message(reply) { final_text(reply) } else { String::new() };
    let refusal: String = parts(reply).filter_map(|part| part["refusal"].as_str()).collect();
    let mut message = json!({
        "role": "assistant",
        "content": has_text.then_some(text),
        "refusal": (!refusal.is_empty()).then_some(refusal),
        "annotations": [],
    });
    let thought: String = thoughts(reply).collect();
    if !thought.is_empty() {
        message[reply.thoughts_field] = json!(thought);
    }
    if !calls.is_empty() {
        let call = |call: &&Value| {
            json!({
                "id": call["call_id"], "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            })
        };
        message["tool_calls"] = calls.iter().map(call).collect();
    }
    message
}
