//! The events of a streamed response.

use serde_json::Value;

use super::lenient::Halves;
use super::lenient::{self, Object, take_text};
use super::secrets::Secrets;
use super::{ApiError, Error, Item, Response, Result, delta};

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
    /// More of what a reasoning model thinks: of its thoughts, or of their summary.
    ReasoningDelta { item_id: Option<String>, output_index: Option<u64>, delta: String },
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
    /// A sign of life.
    Keepalive,
    /// `[DONE]`: the server says that nothing more comes. Some send the end of the response after it all the same.
    Done,
    /// An event that cannot be read, and says nothing; the end of the response may still come.
    Unreadable,
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

    /// A response that is all of an answer. Whatever it says of its state, nothing comes after it, unless it goes on in the
    /// background: what it has is its output.
    pub(super) fn of_whole(response: Response) -> Self {
        let is_open = matches!(response.status.as_deref(), Some("queued" | "in_progress"));
        if !is_open || response.is_in_background() || response.output.is_empty() {
            return Self::from_response(response);
        }
        let is_cut = |item: &Item| {
            matches!(item.as_value()["status"].as_str(), Some("in_progress" | "incomplete"))
        };
        let kind = if response.output.iter().any(is_cut) {
            StreamEventKind::Incomplete(response)
        } else {
            completed(response)
        };
        Self { sequence_number: None, kind }
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

/// Reads a server-sent event, and the halves of characters at the ends of its text. Secrets are removed from the errors it
/// carries.
pub(super) fn decode(name: &str, data: &str, secrets: &Secrets) -> Result<(StreamEvent, Halves)> {
    match delta::read(data) {
        Some(event) => Ok((event, (None, None))),
        None => decode_leniently(name, data, secrets),
    }
}

/// [`decode`], whatever the event is: by way of a map of all that it says.
pub(super) fn decode_leniently(
    name: &str,
    data: &str,
    secrets: &Secrets,
) -> Result<(StreamEvent, Halves)> {
    let data = data.trim();
    let nothing = |kind| Ok((StreamEvent { sequence_number: None, kind }, (None, None)));
    match data {
        "" => return nothing(StreamEventKind::Keepalive),
        "[DONE]" => return nothing(StreamEventKind::Done),
        _ => {}
    }
    let malformed =
        |message: &str| Error::malformed("an event of the stream", message, &secrets.redact(data));
    match lenient::parse_in_halves(data.as_bytes(), lenient::Streamed::DELTA) {
        Ok((Value::Object(object), halves)) => {
            let event = event(object, name, secrets);
            if let StreamEventKind::Other { kind, raw } = &event.kind
                && kind.is_empty()
            {
                if raw.get("choices").is_some_and(Value::is_array) {
                    return Err(malformed(CHAT_COMPLETIONS));
                }
                if raw.get("object").and_then(Value::as_str) == Some("response") {
                    let response = Response::from_object(raw.clone(), secrets);
                    return Ok((StreamEvent::from_response(response), halves));
                }
            }
            Ok((event, halves))
        }
        Ok(_) => Err(malformed("its data is no JSON object")),
        Err(error) => Err(malformed(&error.to_string())),
    }
}

/// What another protocol's answer is.
pub(super) const CHAT_COMPLETIONS: &str =
    "it is an answer of the Chat Completions API, where one of the Responses API was asked for";

fn event(mut data: Object, name: &str, secrets: &Secrets) -> StreamEvent {
    let sequence_number = lenient::integer(&data, "sequence_number");
    // `message` is what an event without a name is called.
    let type_name = take_text(&mut data, "type")
        .or_else(|| Some(name.to_owned()).filter(|name| name != "message"));
    let kind = type_name.unwrap_or_default();
    // Gateways send errors without a type, or under one of their own.
    let has_error = data.get("error").is_some_and(|error| !error.is_null());
    let is_error = matches!(kind.as_str(), "error" | "response.error");
    let is_of_response = kind.starts_with("response.");
    if !is_error && !is_of_response && !has_error && !kind.is_empty() {
        // Flat, an error has the type of the error itself.
        data.insert("type".to_owned(), Value::String(kind.clone()));
    }
    let is_meant = || has_error || name == "error" || ApiError::is_meant(&data);
    if is_error || (!is_of_response && is_meant()) {
        data.remove("sequence_number");
        let error = ApiError::from_object(&data).in_stream().finish(secrets);
        return StreamEvent { sequence_number, kind: StreamEventKind::Error(error) };
    }
    StreamEvent { sequence_number, kind: known(kind, data, secrets) }
}

fn known(kind: String, mut data: Object, secrets: &Secrets) -> StreamEventKind {
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
        "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
            let (item_id, delta) = (take_text(data, "item_id"), taken(data, "delta"));
            Kind::ReasoningDelta { item_id, output_index, delta }
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
        "response.created" => Kind::Created(response(data, secrets)),
        "response.queued" => Kind::Queued(response(data, secrets)),
        "response.in_progress" => Kind::InProgress(response(data, secrets)),
        "response.completed" => completed(response(data, secrets)),
        "response.failed" => Kind::Failed(response(data, secrets)),
        "response.incomplete" => Kind::Incomplete(response(data, secrets)),
        "response.cancelled" | "response.canceled" => Kind::Cancelled(response(data, secrets)),
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

fn response(data: &mut Object, secrets: &Secrets) -> Response {
    let mut response = lenient::take_object(data, "response").unwrap_or_default();
    // Some servers put the error, or the reason, beside the response.
    for beside in ["error", "incomplete_details", "usage"] {
        if response.get(beside).is_none_or(Value::is_null)
            && let Some(value) = data.remove(beside)
        {
            response.insert(beside.to_owned(), value);
        }
    }
    Response::from_object(response, secrets)
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
