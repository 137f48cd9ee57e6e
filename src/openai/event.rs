//! The events of a streamed response.

use serde_json::Value;

use super::lenient::{self, Object, take_text};
use super::sse::SseEvent;
use super::{ApiError, ApiKey, Error, Item, Response, Result};

/// One event of a streamed response. Source: OpenAI's API description, schema
/// `ResponseStreamEvent`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamEvent {
    /// The event's number in its stream: from 0, by 1. It is the cursor for resuming a background
    /// response. Some servers send none.
    pub sequence_number: Option<i64>,
    /// What happened.
    pub kind: StreamEventKind,
}

/// What an event says. Fields a server leaves out are `None` or empty.
///
/// Within a response, `item_id` names the item, `output_index` its place in the output, and
/// `content_index` the part of a message; `delta` is what comes after everything before it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "fields that recur in the variants are described once, above")]
pub enum StreamEventKind {
    /// The response exists.
    Created(Response),
    /// The response waits for its turn (background responses).
    Queued(Response),
    /// The model is at work.
    InProgress(Response),
    /// An output item began.
    OutputItemAdded { output_index: Option<u64>, item: Item },
    /// An output item is finished.
    OutputItemDone { output_index: Option<u64>, item: Item },
    /// More text of a message.
    OutputTextDelta {
        item_id: Option<String>,
        output_index: Option<u64>,
        content_index: Option<u64>,
        delta: String,
    },
    /// The whole text of a message's part.
    OutputTextDone {
        item_id: Option<String>,
        output_index: Option<u64>,
        content_index: Option<u64>,
        text: String,
    },
    /// More text of a refusal.
    RefusalDelta {
        item_id: Option<String>,
        output_index: Option<u64>,
        content_index: Option<u64>,
        delta: String,
    },
    /// The whole text of a refusal.
    RefusalDone {
        item_id: Option<String>,
        output_index: Option<u64>,
        content_index: Option<u64>,
        refusal: String,
    },
    /// More of a function call's arguments, which are JSON in pieces. The call's id came with the
    /// item.
    FunctionCallArgumentsDelta { item_id: Option<String>, output_index: Option<u64>, delta: String },
    /// A function call's whole arguments.
    FunctionCallArgumentsDone {
        item_id: Option<String>,
        output_index: Option<u64>,
        name: Option<String>,
        arguments: String,
    },
    /// The end: the whole response, whose output is authoritative over the deltas.
    Completed(Response),
    /// The end: the response failed, see its `error`.
    Failed(Response),
    /// The end: the response was cut short, see its `incomplete_reason`.
    Incomplete(Response),
    /// The end: the response was cancelled.
    Cancelled(Response),
    /// The provider reports an error. `Failed` may follow, or nothing.
    Error(ApiError),
    /// A sign of life; also `[DONE]`, which some servers send about the end and which tells nothing.
    Keepalive,
    /// An event this crate does not know. It is safe to ignore.
    #[non_exhaustive]
    Other {
        /// Its type.
        kind: String,
        /// The event as sent.
        raw: Object,
    },
}

impl StreamEvent {
    /// Whether this event ends the response; none follows it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        use StreamEventKind as Kind;
        matches!(
            self.kind,
            Kind::Completed(_) | Kind::Failed(_) | Kind::Incomplete(_) | Kind::Cancelled(_)
        )
    }

    /// The response the event carries, for the events about the response as a whole.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        use StreamEventKind as Kind;
        match &self.kind {
            Kind::Created(response)
            | Kind::Queued(response)
            | Kind::InProgress(response)
            | Kind::Completed(response)
            | Kind::Failed(response)
            | Kind::Incomplete(response)
            | Kind::Cancelled(response) => Some(response),
            _ => None,
        }
    }

    /// A whole response, as a server sends it that does not stream, told as the event it amounts
    /// to.
    pub(super) fn from_response(response: Response) -> Self {
        let kind = match response.status.as_deref() {
            Some("queued") => StreamEventKind::Queued(response),
            Some("in_progress") => StreamEventKind::InProgress(response),
            _ => completed(response),
        };
        Self { sequence_number: None, kind }
    }
}

/// Reads a server-sent event. The key is removed from the errors it carries.
pub(super) fn decode(sse: &SseEvent, key: Option<&ApiKey>) -> Result<StreamEvent> {
    let data = sse.data.trim();
    if matches!(data, "" | "[DONE]") {
        return Ok(StreamEvent { sequence_number: None, kind: StreamEventKind::Keepalive });
    }
    let malformed = |message: String| {
        let data = key.map_or_else(|| data.into(), |key| key.redact(data));
        Error::malformed("an event of the stream", message, &data)
    };
    match lenient::parse(data.as_bytes()) {
        Ok(Value::Object(object)) => Ok(event(object, &sse.event, key)),
        Ok(_) => Err(malformed("its data is no JSON object".to_owned())),
        Err(error) => Err(malformed(error.to_string())),
    }
}

fn event(mut data: Object, name: &str, key: Option<&ApiKey>) -> StreamEvent {
    let sequence_number = lenient::integer(&data, "sequence_number");
    // `message` is what an event without a name is called.
    let type_name = take_text(&mut data, "type")
        .or_else(|| Some(name.to_owned()).filter(|name| name != "message"));
    let kind = type_name.unwrap_or_default();
    // Gateways send errors without a type, or under one of their own.
    let has_error = data.get("error").is_some_and(|error| !error.is_null());
    if kind == "error" || (has_error && !kind.starts_with("response.")) {
        data.remove("sequence_number");
        let error = ApiError::from_object(&data).finish(key);
        return StreamEvent { sequence_number, kind: StreamEventKind::Error(error) };
    }
    StreamEvent { sequence_number, kind: known(kind, data, key) }
}

fn known(kind: String, mut data: Object, key: Option<&ApiKey>) -> StreamEventKind {
    use StreamEventKind as Kind;
    let output_index = lenient::index(&data, "output_index");
    let content_index = lenient::index(&data, "content_index");
    let data = &mut data;
    match kind.as_str() {
        "response.output_text.delta" => {
            let (item_id, delta) = (take_text(data, "item_id"), taken(data, "delta"));
            Kind::OutputTextDelta { item_id, output_index, content_index, delta }
        }
        "response.output_text.done" => {
            let (item_id, text) = (take_text(data, "item_id"), taken(data, "text"));
            Kind::OutputTextDone { item_id, output_index, content_index, text }
        }
        "response.refusal.delta" => {
            let (item_id, delta) = (take_text(data, "item_id"), taken(data, "delta"));
            Kind::RefusalDelta { item_id, output_index, content_index, delta }
        }
        "response.refusal.done" => {
            let (item_id, refusal) = (take_text(data, "item_id"), taken(data, "refusal"));
            Kind::RefusalDone { item_id, output_index, content_index, refusal }
        }
        "response.function_call_arguments.delta" => {
            let (item_id, delta) = (take_text(data, "item_id"), taken(data, "delta"));
            Kind::FunctionCallArgumentsDelta { item_id, output_index, delta }
        }
        "response.function_call_arguments.done" => {
            let (item_id, name) = (take_text(data, "item_id"), take_text(data, "name"));
            Kind::FunctionCallArgumentsDone {
                item_id,
                output_index,
                name,
                arguments: taken(data, "arguments"),
            }
        }
        "response.output_item.added" => Kind::OutputItemAdded { output_index, item: item(data) },
        "response.output_item.done" => Kind::OutputItemDone { output_index, item: item(data) },
        "response.created" => Kind::Created(response(data, key)),
        "response.queued" => Kind::Queued(response(data, key)),
        "response.in_progress" => Kind::InProgress(response(data, key)),
        "response.completed" => completed(response(data, key)),
        "response.failed" => Kind::Failed(response(data, key)),
        "response.incomplete" => Kind::Incomplete(response(data, key)),
        "response.cancelled" | "response.canceled" => Kind::Cancelled(response(data, key)),
        "keepalive" | "ping" => Kind::Keepalive,
        _ => {
            let mut raw = std::mem::take(data);
            raw.insert("type".to_owned(), Value::String(kind.clone()));
            Kind::Other { kind, raw }
        }
    }
}

/// The end of a response that is called completed: some servers call every end so, and only the
/// response itself says more.
fn completed(response: Response) -> StreamEventKind {
    match response.status.as_deref() {
        Some("failed") => StreamEventKind::Failed(response),
        Some("cancelled" | "canceled") => StreamEventKind::Cancelled(response),
        Some("incomplete") => StreamEventKind::Incomplete(response),
        _ if response.incomplete_reason.is_some() => StreamEventKind::Incomplete(response),
        _ => StreamEventKind::Completed(response),
    }
}

fn taken(data: &mut Object, key: &str) -> String {
    take_text(data, key).unwrap_or_default()
}

fn item(data: &mut Object) -> Item {
    Item::from(lenient::take_object(data, "item").unwrap_or_default())
}

fn response(data: &mut Object, key: Option<&ApiKey>) -> Response {
    Response::from_object(lenient::take_object(data, "response").unwrap_or_default(), key)
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
