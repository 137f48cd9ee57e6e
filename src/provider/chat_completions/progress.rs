//! What a streamed chat completion means to a run: the same as a response with the items that it amounts to.

use std::hash::{BuildHasher, RandomState};

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::model::{Item, RunStatus};
use crate::openai::{ChatEvent, ChatStream, Completion, Part, Piece, Response, ResponseError};
use crate::provider::progress::ended;
use crate::provider::{News, Progress, ProgressStream};

/// What a streamed chat completion means to a run.
pub(crate) fn progress(stream: ChatStream) -> ProgressStream {
    Box::pin(stream.map(|event| {
        let news = match event? {
            ChatEvent::Started { id } => News::Started { response_id: id },
            ChatEvent::Text { place, delta } => {
                let slot = i64::try_from(place).unwrap_or(i64::MAX);
                News::Text { slot, remote_id: None, delta }
            }
            ChatEvent::Alive => News::Alive,
            ChatEvent::Ended(completion) => end(*completion),
        };
        Ok(Progress { sequence_number: None, news })
    }))
}

fn end(completion: Completion) -> News {
    let word = completion.finish_reason.filter(|word| !is_whole(word));
    let failed = word.as_deref() == Some("error");
    let status = match &word {
        Some(_) if failed => RunStatus::Failed,
        Some(_) => RunStatus::Incomplete,
        None => RunStatus::Completed,
    };
    let error = failed.then(|| ResponseError {
        message: "the server ended the answer with an error, and did not say which".to_owned(),
        ..ResponseError::default()
    });
    let pieces = completion.pieces.into_iter();
    let response = Response {
        id: completion.id.unwrap_or_default(),
        model: completion.model,
        output: pieces.map(|piece| item(piece, status)).collect(),
        usage: completion.usage,
        incomplete_reason: word.filter(|_| !failed),
        error,
        raw: completion
            .service_tier
            .map(|tier| ("service_tier".to_owned(), Value::String(tier)))
            .into_iter()
            .collect(),
        ..Response::default()
    };
    ended(status, response)
}

/// Whether a word for the end of an answer means that it is whole: that of `OpenAI`, and what other servers call it. A word that
/// nobody knows says that something was out of the ordinary.
fn is_whole(word: &str) -> bool {
    const WORDS: [&str; 12] = [
        "stop",
        "tool_calls",
        "function_call",
        "tool_call",
        "tool_use",
        "end_turn",
        "stop_sequence",
        "eos",
        "eos_token",
        "complete",
        "completed",
        "end",
    ];
    WORDS.contains(&word.to_ascii_lowercase().as_str())
}

/// A piece of the answer as the item that it is.
fn item(piece: Piece, status: RunStatus) -> Item {
    Item::from(match piece {
        Piece::Reasoning(thought) => {
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": thought}]})
        }
        Piece::Message { parts, annotations } => {
            let status = if status == RunStatus::Completed { "completed" } else { "incomplete" };
            let mut annotations = annotations.into_iter().map(annotation).collect::<Vec<_>>();
            let parts: Vec<Value> = parts
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => json!({
                        "type": "output_text", "text": text,
                        "annotations": std::mem::take(&mut annotations),
                    }),
                    Part::Refusal(refusal) => json!({"type": "refusal", "refusal": refusal}),
                })
                .collect();
            json!({"type": "message", "role": "assistant", "status": status, "content": parts})
        }
        Piece::Call { id, name, arguments } => json!({
            "type": "function_call", "call_id": id.unwrap_or_else(made_up_id), "name": name,
            "arguments": if arguments.trim().is_empty() { "{}".to_owned() } else { arguments },
        }),
    })
}

/// A source in the form of the item: `{"type": "url_citation", "url_citation": {…}}` is flat there.
fn annotation(annotation: Value) -> Value {
    let Value::Object(mut fields) = annotation else { return annotation };
    let kind = fields.get("type").and_then(Value::as_str).map(str::to_owned);
    if let Some(Value::Object(inner)) = kind.and_then(|kind| fields.remove(&kind)) {
        fields.extend(inner);
    }
    Value::Object(fields)
}

/// An id for a call that has none: its output has to name it.
fn made_up_id() -> String {
    format!("call_{:016x}", RandomState::new().hash_one(0_u8))
}
