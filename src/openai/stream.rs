//! A response as it is being written.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::time::Sleep;

use super::answer::Answer;
use super::body::Body;
use super::event::{CHAT_COMPLETIONS, decode, decode_leniently};
use super::lenient::Halves;
use super::secrets::Secrets;
use super::sse::{self, Framed};
use super::{Error, Response, Result, StreamEvent, StreamEventKind};

type Events = Pin<Box<dyn Stream<Item = Result<Framed>> + Send>>;

/// The events of one response, in order.
///
/// # Flow
///
/// The stream ends after a terminal event ([`StreamEvent::is_terminal`]). An `Err` ends it as well:
/// no byte for the idle timeout, the total timeout (which counts the time the reader takes), a lost
/// connection, a too large event. A body that ends before its terminal event is [`Error::Disconnected`], or
/// [`Error::Malformed`] when an event before could not be read; unless the provider has reported an error: then that
/// [`StreamEventKind::Error`] was the end. After the end there is only `None`.
///
/// The body decides what it is, not its label: a whole response instead of events is taken for its end.
///
/// # Cancellation
///
/// [`next`](Self::next) can be dropped at any time; no event is lost. Dropping the stream closes
/// the connection, and with it ends the response, unless it runs in the background.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ResponseStream {
    /// `None` after the end, which closes the connection at once.
    events: Option<Events>,
    /// The whole response, from a server that does not stream.
    whole: Option<StreamEvent>,
    error_seen: bool,
    text_seen: bool,
    /// The first event that could not be read.
    unreadable: Option<Error>,
    /// `[DONE]` was said.
    done: bool,
    /// How long to wait for an end event all the same.
    waiting: Option<Pin<Box<Sleep>>>,
    /// The first half of a character, and the text that it ends.
    half: Option<(Place, u16)>,
    /// Every event is read leniently, also those that could be read faster.
    only_leniently: bool,
    request_id: Option<String>,
    secrets: Secrets,
}

/// The text that a delta belongs to: its item, and the places of item and part.
type Place = (Option<String>, Option<u64>, Option<u64>);

/// After `[DONE]` nothing comes, as a rule; some servers send the end event right behind it.
const AFTER_DONE: Duration = Duration::from_secs(1);

impl ResponseStream {
    /// Accepts the answer to a request for a stream. Some servers ignore that wish and answer in
    /// one piece.
    pub(super) async fn open(mut answer: Answer) -> Result<Self> {
        let (request_id, secrets) = (answer.request_id(), answer.secrets.clone());
        let mut this = Self::new(stream::empty().boxed(), secrets);
        this.request_id = request_id;
        let body = match answer.look().await {
            Ok(body) => body,
            Err(malformed @ Error::Malformed { .. }) => return Err(malformed),
            // The stream has begun, and broke off at its beginning.
            Err(error) => {
                this.events = Some(stream::iter([Err(error)]).boxed());
                return Ok(this);
            }
        };
        match body {
            Body::Json => {
                let object = answer.into_object().await?;
                let response = Response::whole(object, &this.secrets)?;
                // When the response goes on in the background, the end before its time is an error.
                let goes_on = response.is_in_background();
                let whole = StreamEvent::of_whole(response);
                if !whole.is_terminal() && !goes_on {
                    let message =
                        "it is a response in one piece that has not ended, without output";
                    this.unreadable = Some(Error::malformed("the answer", message, ""));
                }
                this.whole = Some(whole);
            }
            Body::Events => {
                let max_event_bytes = answer.limits.max_event_bytes;
                let chunks = answer.into_chunks();
                this.events = Some(sse::frame(chunks, max_event_bytes, true).boxed());
            }
            Body::Other => {
                let message =
                    "a stream of events was asked for, and this is none; check `base_url`";
                return Err(answer.into_malformed(message.to_owned()).await);
            }
        }
        Ok(this)
    }

    fn new(events: Events, secrets: Secrets) -> Self {
        Self {
            events: Some(events),
            whole: None,
            error_seen: false,
            text_seen: false,
            unreadable: None,
            done: false,
            waiting: None,
            half: None,
            only_leniently: false,
            request_id: None,
            secrets,
        }
    }

    /// The events of a body that needs no connection.
    pub(super) fn of_chunks(
        chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
        max_event_bytes: usize,
        secrets: Secrets,
    ) -> Self {
        Self::new(sse::frame(chunks, max_event_bytes, true).boxed(), secrets)
    }

    /// The same, all by the way that odd events go: what the faster ones are compared with.
    pub(super) fn of_chunks_leniently(
        chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
        max_event_bytes: usize,
        secrets: Secrets,
    ) -> Self {
        let events = sse::frame(chunks, max_event_bytes, false).boxed();
        Self { only_leniently: true, ..Self::new(events, secrets) }
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

    fn read(&mut self, item: Option<Result<Framed>>) -> Option<Result<StreamEvent>> {
        let result = match item {
            Some(Ok(framed)) => match self.decode(&framed) {
                Ok((event, halves)) => Ok(self.join(event, halves)),
                // Half an event is a lost connection, not a server that writes nonsense.
                Err(_) if !framed.is_complete() => Err(self.ended()),
                Err(error) if is_of_another_protocol(&error) => Err(error),
                // What it said is lost; the end of the response has all of it.
                Err(error) => {
                    self.unreadable.get_or_insert(error);
                    Ok(StreamEvent { sequence_number: None, kind: StreamEventKind::Unreadable })
                }
            },
            Some(Err(error)) => Err(error),
            None => Err(self.ended()),
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

    fn decode(&self, framed: &Framed) -> Result<(StreamEvent, Halves)> {
        let (name, data) = framed.parts();
        let decode = if self.only_leniently { decode_leniently } else { decode };
        decode(&name, &data, &self.secrets)
    }

    /// Puts together a character whose halves came in two deltas of the same text.
    fn join(&mut self, mut event: StreamEvent, (begins, ends): Halves) -> StreamEvent {
        let StreamEventKind::OutputTextDelta { item_id, output_index, content_index, delta } =
            &mut event.kind
        else {
            return event;
        };
        let first = self.half.take();
        if first.is_none() && begins.is_none() && ends.is_none() {
            return event;
        }
        let place = (item_id.clone(), *output_index, *content_index);
        if first.is_some() || begins.is_some() {
            let whole = match (&first, begins) {
                (Some((of, first)), Some(second)) if *of == place => {
                    char::decode_utf16([*first, second]).next().and_then(std::result::Result::ok)
                }
                _ => None,
            };
            delta.insert(0, whole.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.half = ends.map(|half| (place, half));
        event
    }

    fn observe(&mut self, mut event: StreamEvent) -> StreamEvent {
        match &mut event.kind {
            StreamEventKind::Error(error) => {
                self.error_seen = true;
                error.request_id = error.request_id.take().or_else(|| self.request_id.clone());
            }
            StreamEventKind::OutputTextDelta { .. } => self.text_seen = true,
            StreamEventKind::Done => {
                self.done = true;
            }
            _ => {}
        }
        if event.is_terminal() {
            self.events = None;
        }
        event
    }

    /// The end before the end event. A server that answered in a form that cannot be read, or said that it was done, has done
    /// its work: to ask again would cost again.
    fn ended(&mut self) -> Error {
        if let Some(unreadable) = self.unreadable.take() {
            return unreadable;
        }
        if self.done && !self.text_seen {
            let message = "it said [DONE] without the event that ends the response";
            return Error::malformed("the stream", message, "");
        }
        Error::disconnected("the stream ended before the event that ends the response")
    }
}

fn is_of_another_protocol(error: &Error) -> bool {
    matches!(error, Error::Malformed { message, .. } if message == CHAT_COMPLETIONS)
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
        let item = match events.as_mut().poll_next(cx) {
            Poll::Ready(item) => item,
            Poll::Pending if self.done => {
                let wait = || Box::pin(tokio::time::sleep(AFTER_DONE));
                ready!(self.waiting.get_or_insert_with(wait).as_mut().poll(cx));
                None
            }
            Poll::Pending => return Poll::Pending,
        };
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
