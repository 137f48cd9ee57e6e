//! A run as it goes on.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(test)]
use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::event::{RunEventKind, decode};
use super::object::Run;
use crate::openai::answer::Answer;
use crate::openai::body::Body;
use crate::openai::secrets::Secrets;
use crate::openai::sse::{self, Framed};
use crate::openai::{Error, Result};

type Events = Pin<Box<dyn Stream<Item = Result<Framed>> + Send>>;

/// The events of one run. It ends after [`RunEventKind::Ended`] or an error.
///
/// A body that ends before is [`Error::Disconnected`], or [`Error::Malformed`] when an event could not be read. Dropping it closes the
/// connection; the run goes on.
pub(crate) struct RunStream {
    /// `None` after the end, which closes the connection at once.
    events: Option<Events>,
    /// The whole run, from a server that does not stream.
    whole: Option<Box<Run>>,
    /// The first event that could not be read.
    unreadable: Option<Error>,
    request_id: Option<String>,
    secrets: Secrets,
}

impl RunStream {
    /// Accepts the answer to a request for a stream.
    pub(super) async fn open(mut answer: Answer) -> Result<Self> {
        let mut this = Self::new(stream::empty().boxed(), answer.secrets.clone());
        this.request_id = answer.request_id();
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
                this.whole = Some(Box::new(Run::of(object, &this.secrets)?));
                this.events = None;
            }
            Body::Events => {
                let max_event_bytes = answer.limits.max_event_bytes;
                this.events = Some(sse::frame(answer.into_chunks(), max_event_bytes, true).boxed());
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
        Self { events: Some(events), whole: None, unreadable: None, request_id: None, secrets }
    }

    /// The events of a body that needs no connection.
    #[cfg(test)]
    pub(crate) fn of_body(body: &str) -> Self {
        let chunks = stream::iter([Ok(Bytes::from(body.to_owned()))]);
        Self::new(sse::frame(chunks, 1 << 20, true).boxed(), Secrets::default())
    }

    fn read(&mut self, item: Option<Result<Framed>>) -> Result<RunEventKind> {
        let Some(framed) = item.transpose()? else { return Err(self.ended()) };
        let (name, data) = framed.parts();
        match decode(&name, &data, &self.secrets) {
            Ok(RunEventKind::Done) => {
                let message = "it said [DONE] before the run had ended";
                Err(self
                    .unreadable
                    .take()
                    .unwrap_or_else(|| Error::malformed("the stream", message, "")))
            }
            Ok(kind) => {
                if matches!(kind, RunEventKind::Ended(_)) {
                    self.events = None;
                }
                Ok(kind)
            }
            Err(Error::Api(mut error)) => {
                error.request_id = error.request_id.take().or_else(|| self.request_id.clone());
                Err(Error::Api(error))
            }
            // Half an event is a lost connection, not a server that writes nonsense.
            Err(_) if !framed.is_complete() => Err(self.ended()),
            // What it said is lost; the message's end has all of it.
            Err(error) => {
                self.unreadable.get_or_insert(error);
                Ok(RunEventKind::Alive)
            }
        }
    }

    /// The end before that of the run.
    fn ended(&mut self) -> Error {
        let lost = || Error::disconnected("the stream ended before the run did");
        self.unreadable.take().unwrap_or_else(lost)
    }
}

impl Stream for RunStream {
    type Item = Result<RunEventKind>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(run) = self.whole.take() {
            return Poll::Ready(Some(Ok(RunEventKind::Whole(run))));
        }
        let Some(events) = &mut self.events else {
            return Poll::Ready(None);
        };
        let item = ready!(events.as_mut().poll_next(cx));
        let event = self.read(item);
        if event.is_err() {
            self.events = None;
        }
        Poll::Ready(Some(event))
    }
}

impl fmt::Debug for RunStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunStream")
            .field("request_id", &self.request_id)
            .field("ended", &self.events.is_none())
            .finish_non_exhaustive()
    }
}
