//! For benchmarks and fuzzing only: the readers of the wire, without a connection. No part of the API.

use bytes::Bytes;
use futures_core::Stream;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::secrets::Secrets;
use super::{
    ApiError, ApiKey, ChatStream, Conversation, Item, ItemPage, Response, ResponseStream, Result,
    StreamEvent, answer,
};

/// A body of server-sent events, read as a streamed response is.
pub fn stream(
    chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
    max_event_bytes: usize,
    key: Option<&ApiKey>,
) -> ResponseStream {
    ResponseStream::of_chunks(chunks, max_event_bytes, secrets(key))
}

/// [`stream`] by the way that odd events go, for all events: nothing may read differently there.
pub fn stream_leniently(
    chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
    max_event_bytes: usize,
    key: Option<&ApiKey>,
) -> ResponseStream {
    ResponseStream::of_chunks_leniently(chunks, max_event_bytes, secrets(key))
}

/// The same, read as a streamed chat completion is.
pub(crate) fn chat(
    chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
    max_event_bytes: usize,
    key: Option<&ApiKey>,
) -> ChatStream {
    ChatStream::of_chunks(chunks, max_event_bytes, secrets(key))
}

/// [`chat`] by the way that odd chunks go, for all of them: nothing may read differently there.
pub(crate) fn chat_leniently(
    chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
    max_event_bytes: usize,
    key: Option<&ApiKey>,
) -> ChatStream {
    chat(chunks, max_event_bytes, key).leniently()
}

/// What a body amounts to, by what was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub struct Body {
    /// To a client that asked for a stream.
    pub event: StreamEvent,
    /// To one that asked for a conversation.
    pub conversation: Conversation,
    /// To one that asked for items.
    pub page: ItemPage,
    /// To one that asked for a single item.
    pub item: Item,
}

/// The body of a good answer.
///
/// # Errors
///
/// As the calls of the client.
pub fn body(body: &[u8], key: Option<&ApiKey>) -> Result<Body> {
    let secrets = secrets(key);
    let object = answer::object_of(body, None, &secrets)?;
    Ok(Body {
        event: StreamEvent::from_response(Response::from_object(object.clone(), &secrets)),
        conversation: Conversation::from_object(object.clone()),
        page: ItemPage::from_object(object.clone()),
        item: object.into(),
    })
}

/// The answer to a refused request.
#[must_use]
pub fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    key: Option<&ApiKey>,
) -> ApiError {
    ApiError::from_answer(status, headers, body, &secrets(key))
}

fn secrets(key: Option<&ApiKey>) -> Secrets {
    Secrets::new(key.map(|key| key.expose().to_owned()))
}
