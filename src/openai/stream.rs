//! A response as it is being written.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::answer::Answer;
use super::event::decode;
use super::sse::{self, SseEvent};
use super::{ApiKey, Error, Response, Result, StreamEvent, StreamEventKind};

type Events = Pin<Box<dyn Stream<Item = Result<SseEvent>> + Send>>;

/// The events of one response, in order.
///
/// # Flow
///
/// The stream ends after a terminal event ([`StreamEvent::is_terminal`]). An `Err` ends it as well:
/// no byte for the idle timeout, the total timeout (which counts the time the reader takes), a lost
/// connection, a malformed or too large event. A body that ends before its terminal event is
/// [`Error::Disconnected`], unless the provider has reported an error: then that
/// [`StreamEventKind::Error`] was the end. After the end there is only `None`.
///
/// # Cancellation
///
/// [`next`](Self::next) can be dropped at any time; no event is lost. Dropping the stream closes
/// the connection, and with it ends the response, unless it runs in the background.
pub struct ResponseStream {
    /// `None` after the end, which closes the connection at once.
    events: Option<Events>,
    /// The whole response, from a server that does not stream.
    whole: Option<StreamEvent>,
    error_seen: bool,
    request_id: Option<String>,
    key: Option<ApiKey>,
}

impl ResponseStream {
    /// Accepts the answer to a request for a stream. Some servers ignore that wish and answer in
    /// one piece.
    pub(super) async fn open(answer: Answer) -> Result<Self> {
        let mut this = Self {
            events: None,
            whole: None,
            error_seen: false,
            request_id: answer.request_id(),
            key: answer.key.clone(),
        };
        let content_type = answer.content_type();
        if content_type.contains("json") {
            let object = answer.into_object().await?;
            this.whole =
                Some(StreamEvent::from_response(Response::from_object(object, this.key.as_ref())));
            // When the response goes on in the background, this makes the end before its time an
            // error.
            this.events = Some(stream::empty().boxed());
        } else if content_type.contains("html") {
            let message = format!(
                "a stream of events was asked for, this is {content_type}; check `base_url`"
            );
            return Err(answer.into_malformed(message).await);
        } else {
            let max_event_bytes = answer.limits.max_event_bytes;
            this.events = Some(sse::decode(answer.into_chunks(), max_event_bytes).boxed());
        }
        Ok(this)
    }

    /// The events of a body that needs no connection.
    pub(super) fn of_chunks(
        chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
        max_event_bytes: usize,
        key: Option<ApiKey>,
    ) -> Self {
        Self {
            events: Some(sse::decode(chunks, max_event_bytes).boxed()),
            whole: None,
            error_seen: false,
            request_id: None,
            key,
        }
    }

    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<Result<StreamEvent>> {
        StreamExt::next(self).await
    }

    /// The provider's id of the request (`x-request-id`), for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    fn read(&mut self, item: Option<Result<SseEvent>>) -> Option<Result<StreamEvent>> {
        let result = match item {
            Some(Ok(sse)) => match decode(&sse, self.key.as_ref()) {
                Ok(event) => Ok(event),
                // Half an event is a lost connection, not a server that writes nonsense.
                Err(_) if !sse.complete => Err(ended()),
                Err(error) => Err(error),
            },
            Some(Err(error)) => Err(error),
            None => Err(ended()),
        };
        match result {
            Ok(event) => Some(Ok(self.observe(event))),
            Err(error) => {
                self.events = None;
                // What happens to the connection after the provider's own error explains nothing.
                (!self.error_seen).then_some(Err(error))
            }
        }
    }

    fn observe(&mut self, mut event: StreamEvent) -> StreamEvent {
        if let StreamEventKind::Error(error) = &mut event.kind {
            self.error_seen = true;
            error.request_id = error.request_id.take().or_else(|| self.request_id.clone());
        }
        if event.is_terminal() {
            self.events = None;
        }
        event
    }
}

fn ended() -> Error {
    Error::disconnected("the stream ended before the event that ends the response")
}

impl Stream for ResponseStream {
    type Item = Result<StreamEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.whole.take() {
            let event = self.observe(event);
            return Poll::Ready(Some(Ok(event)));
        }
        let Some(events) = &mut self.events else {
            return Poll::Ready(None);
        };
        let item = ready!(events.as_mut().poll_next(cx));
        Poll::Ready(self.read(item))
    }
}

impl fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream")
            .field("request_id", &self.request_id)
            .field("ended", &(self.events.is_none() && self.whole.is_none()))
            .finish_non_exhaustive()
    }
}
