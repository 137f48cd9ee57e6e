//! An answer as it is being written.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Sleep;

use super::chunk::{Chunk, error_of_choice};
use super::form::Form;
use super::reader::{Completion, News, Reader};
use crate::openai::answer::Answer;
use crate::openai::body::Body;
use crate::openai::lenient::{self, Object, Streamed};
use crate::openai::secrets::Secrets;
use crate::openai::sse::{self, Framed};
use crate::openai::{ApiError, Error, Response, Result};

/// What the stream says.
#[derive(Debug)]
pub(crate) enum ChatEvent {
    /// The answer has an id.
    Started { id: String },
    /// More of the message, and its place among the pieces.
    Text { place: usize, delta: String },
    /// A sign of life.
    Alive,
    /// The end, with all that was said. Nothing follows it.
    Ended(Box<Completion>),
}

/// What another protocol's answer is.
const RESPONSES: &str =
    "it is an answer of the Responses API, where one of the Chat Completions API was asked for";

type Events = Pin<Box<dyn Stream<Item = Result<Framed>> + Send>>;

/// After the chunk that ends the answer comes the usage, and then the end of the stream; at some servers neither.
const AFTER_FINISH: Duration = Duration::from_secs(5);

/// The answer to one request. It ends after [`ChatEvent::Ended`] or an error.
///
/// An answer is whole when the server said why it ended (`finish_reason`), or `[DONE]`, whatever becomes of the connection then. One that
/// breaks off before is [`Error::Disconnected`]; one of which a chunk could not be read is [`Error::Malformed`] at its end, since there
/// is a hole in it. Dropping it closes the connection, and with it ends the answer.
pub(crate) struct ChatStream {
    /// `None` after the end, which closes the connection at once.
    events: Option<Events>,
    reader: Reader,
    told: VecDeque<ChatEvent>,
    /// The first chunk that could not be read.
    unreadable: Option<Error>,
    form: Form,
    /// Every chunk is read by way of a map, also those that could be read faster.
    only_leniently: bool,
    /// The first half of a character.
    half: Option<u16>,
    /// How long to wait for what follows the end.
    waiting: Option<Pin<Box<Sleep>>>,
    request_id: Option<String>,
    secrets: Secrets,
}

impl ChatStream {
    /// Accepts the answer to a request for a stream. Some servers ignore that wish and answer in one piece.
    pub(super) async fn open(mut answer: Answer) -> Result<Self> {
        let mut this = Self::new(
            stream::empty().boxed(),
            answer.limits.max_body_bytes,
            answer.secrets.clone(),
        );
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
                this.whole(object)?;
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

    fn new(events: Events, most_bytes: usize, secrets: Secrets) -> Self {
        Self {
            events: Some(events),
            reader: Reader::new(most_bytes),
            told: VecDeque::new(),
            unreadable: None,
            form: Form::default(),
            only_leniently: false,
            half: None,
            waiting: None,
            request_id: None,
            secrets,
        }
    }

    /// The events of a body that needs no connection.
    #[cfg(any(test, feature = "_internal"))]
    pub(in crate::openai) fn of_chunks(
        chunks: impl Stream<Item = Result<bytes::Bytes>> + Send + 'static,
        max_event_bytes: usize,
        secrets: Secrets,
    ) -> Self {
        let events = sse::frame(chunks, max_event_bytes, true).boxed();
        Self::new(events, max_event_bytes, secrets)
    }

    /// The same, with every chunk read leniently.
    #[cfg(any(test, feature = "_internal"))]
    pub(in crate::openai) fn leniently(self) -> Self {
        Self { only_leniently: true, ..self }
    }

    #[cfg(test)]
    pub(crate) fn of_body(body: bytes::Bytes) -> Self {
        Self::of_chunks(stream::iter([Ok(body)]), 1 << 20, Secrets::default())
    }

    /// Takes an answer in one piece.
    fn whole(&mut self, object: Object) -> Result<()> {
        self.refuse(&object, "")?;
        if !object.get("choices").is_some_and(Value::is_array) {
            return Err(self.malformed("it is no chat completion: it has no choices", &object));
        }
        let text = Value::Object(object.clone()).to_string();
        self.reader.read(Chunk::from_object(object))?;
        if !self.reader.has_answer() {
            let message = "it is a chat completion without an answer";
            return Err(Error::malformed("the answer", message, &self.secrets.redact(&text)));
        }
        self.finish()
    }

    /// Fails for what is an error, or of another protocol.
    fn refuse(&self, object: &Object, name: &str) -> Result<()> {
        if let Some(error) = error_of_choice(object) {
            let error = Object::from_iter([("error".to_owned(), error.clone())]);
            return Err(self.api(&error));
        }
        let has_error = object.get("error").is_some_and(|error| !error.is_null());
        let has_choices = object.get("choices").is_some_and(Value::is_array);
        if has_error || !has_choices && (name == "error" || ApiError::is_meant(object)) {
            return Err(self.api(object));
        }
        let kind = lenient::text(object, "type").unwrap_or_default();
        if !has_choices && (kind.starts_with("response.") || Response::is_meant(object)) {
            return Err(self.malformed(RESPONSES, object));
        }
        Ok(())
    }

    fn api(&self, object: &Object) -> Error {
        let mut error = ApiError::from_object(object).in_stream().finish(&self.secrets);
        error.request_id = error.request_id.take().or_else(|| self.request_id.clone());
        error.into()
    }

    fn malformed(&self, message: &str, object: &Object) -> Error {
        let text = Value::Object(object.clone()).to_string();
        Error::malformed("the answer", message, &self.secrets.redact(&text))
    }

    fn read(&mut self, item: Option<Result<Framed>>) -> Result<()> {
        match item {
            Some(Ok(framed)) => {
                let (name, data) = framed.parts();
                self.read_event(&name, data.trim(), framed.is_complete())
            }
            // What becomes of the connection afterwards takes nothing from an answer that is whole.
            Some(Err(error)) if !self.reader.is_finished() => Err(error),
            Some(Err(_)) | None => self.end(),
        }
    }

    fn read_event(&mut self, name: &str, data: &str, is_complete: bool) -> Result<()> {
        match data {
            "" => {
                self.told.push_back(ChatEvent::Alive);
                return Ok(());
            }
            "[DONE]" => return self.done(),
            _ => {}
        }
        if !self.only_leniently
            && let Some(chunk) = self.form.read(data)
        {
            return self.take(chunk, (None, None));
        }
        let message = match lenient::parse_in_halves(data.as_bytes(), Streamed::CONTENT) {
            Ok((Value::Object(object), halves)) => {
                match self.refuse(&object, name) {
                    // What goes wrong behind an answer takes nothing from it.
                    Err(_) if self.reader.is_whole() => return self.finish(),
                    refused => refused?,
                }
                return self.take(Chunk::from_object(object), halves);
            }
            Ok(_) => "its data is no JSON object".to_owned(),
            Err(error) => error.to_string(),
        };
        // Half an event is a lost connection, not a server that writes nonsense.
        if !is_complete {
            return self.end();
        }
        // Words between the chunks are no part of the answer.
        if data.starts_with(['{', '[']) || !self.reader.has_answer() {
            let text = self.secrets.redact(data);
            let error = Error::malformed("an event of the stream", message, &text);
            self.unreadable.get_or_insert(error);
        }
        self.told.push_back(ChatEvent::Alive);
        Ok(())
    }

    fn take(&mut self, mut chunk: Chunk<'_>, halves: lenient::Halves) -> Result<()> {
        self.join(&mut chunk, halves);
        let news = self.reader.read(chunk)?;
        self.tell(news);
        Ok(())
    }

    /// Puts together a character whose halves came in two chunks.
    fn join(&mut self, chunk: &mut Chunk<'_>, (begins, ends): lenient::Halves) {
        let Some(choice) = &mut chunk.choice else { return };
        if choice.text.is_empty() && begins.is_none() && ends.is_none() {
            return;
        }
        let first = self.half.take();
        if first.is_some() || begins.is_some() {
            let whole = first.zip(begins).and_then(|(first, second)| {
                char::decode_utf16([first, second]).next().and_then(std::result::Result::ok)
            });
            choice.text.insert(0, whole.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.half = ends;
    }

    fn tell(&mut self, News { started, text }: News) {
        let before = self.told.len();
        self.told.extend(started.map(|id| ChatEvent::Started { id }));
        self.told.extend(text.map(|(place, delta)| ChatEvent::Text { place, delta }));
        if self.told.len() == before {
            self.told.push_back(ChatEvent::Alive);
        }
    }

    /// `[DONE]`: the server has nothing to add.
    fn done(&mut self) -> Result<()> {
        if self.unreadable.is_none() && !self.reader.has_answer() {
            let message = "it said [DONE] without an answer";
            return Err(Error::malformed("the stream", message, ""));
        }
        self.finish()
    }

    /// The end of the body.
    fn end(&mut self) -> Result<()> {
        if self.unreadable.is_none() && !self.reader.is_finished() {
            return Err(Error::disconnected("the stream ended before the answer did"));
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(unreadable) = self.unreadable.take() {
            return Err(unreadable);
        }
        self.events = None;
        self.told.push_back(ChatEvent::Ended(Box::new(self.reader.finish())));
        Ok(())
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(events) = &mut self.events else {
                return Poll::Ready(None);
            };
            let item = match events.as_mut().poll_next(cx) {
                Poll::Ready(item) => item,
                Poll::Pending if self.reader.is_finished() => {
                    let wait = || Box::pin(tokio::time::sleep(AFTER_FINISH));
                    ready!(self.waiting.get_or_insert_with(wait).as_mut().poll(cx));
                    None
                }
                Poll::Pending => return Poll::Pending,
            };
            if let Err(error) = self.read(item) {
                self.events = None;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("request_id", &self.request_id)
            .field("ended", &self.events.is_none())
            .finish_non_exhaustive()
    }
}
