//! Server-sent events: bytes in, events out.
//!
//! `eventsource-stream` knows the fields of an event. It must not meet a raw network stream,
//! though: a leading byte order mark panics it, a long line that arrives in pieces is parsed anew
//! for each piece, a chunk of many lines is copied for each line, and a long `id` is cloned for
//! every later event. So [`Lines`] stands in front: it hands over one complete line at a time,
//! without the mark, of valid UTF-8, and only the lines that matter (`data`, `event` and
//! the blank line that ends an event). What remains is linear in the bytes received and bounded in
//! memory.
//!
//! Some servers leave the blank line out behind their last event and keep the connection open. An event
//! that is whole by its looks, one line of data with a JSON object or `[DONE]`, counts as ended when nothing
//! follows for [`WITHOUT_BLANK_LINE`]; without the end of that line too, if the object is whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use eventsource_stream::{EventStream, EventStreamError};
use futures_core::Stream;
use futures_util::StreamExt;
use tokio::time::Sleep;

use super::{Error, Result, lenient};

/// How long to wait for the blank line behind an event that looks whole.
const WITHOUT_BLANK_LINE: Duration = Duration::from_secs(2);

/// What some servers say at their end.
const DONE: &[u8] = b"[DONE]";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEvent {
    /// The `event` field; `message` when the server sent none.
    pub event: String,
    /// The `data` lines, joined by line feeds.
    pub data: String,
    /// Whether the blank line that ends an event arrived; only the last event of a stream can lack
    /// it.
    pub complete: bool,
}

/// Decodes a stream of byte chunks, however they are cut.
///
/// Lines may end in LF, CR or CRLF. Invalid UTF-8 becomes U+FFFD. Comments yield nothing. Of an
/// event that the end of the stream cut off, what arrived is yielded and marked. An error of
/// `chunks` is passed on and ends the stream, as does an event whose lines exceed `max_event_bytes`
/// ([`Error::TooLarge`]).
pub fn decode<S>(chunks: S, max_event_bytes: usize) -> impl Stream<Item = Result<SseEvent>> + Send
where
    S: Stream<Item = Result<Bytes>> + Send,
{
    let lines = Lines {
        chunks: Box::pin(chunks),
        chunk: Bytes::new(),
        line: Vec::new(),
        after_cr: false,
        at_start: true,
        event_bytes: 0,
        max_event_bytes,
        data: Data::None,
        waiting: None,
        finished: false,
    };
    EventStream::new(lines).map(|item| match item {
        Ok(event) => {
            Ok(SseEvent { event: event.event, data: event.data, complete: event.id.is_empty() })
        }
        Err(EventStreamError::Transport(error)) => Err(error),
        // Lines are valid UTF-8 and complete, so this is out of reach; it is no reason to panic
        // either.
        Err(error) => Err(Error::malformed("the event stream", error.to_string(), "")),
    })
}

/// Splits chunks into the lines that matter, each ended by one line feed.
struct Lines<S> {
    chunks: Pin<Box<S>>,
    /// The part of the last chunk that is not split yet.
    chunk: Bytes,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// The last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
    /// Bytes of the open event's lines; 0 when no event is open.
    event_bytes: usize,
    max_event_bytes: usize,
    data: Data,
    /// How long the blank line behind it may take.
    waiting: Option<Pin<Box<Sleep>>>,
    finished: bool,
}

/// What the open event has of data.
#[derive(Clone, Copy, PartialEq)]
enum Data {
    None,
    /// One line, which is `[DONE]`, or a JSON object by its ends.
    LooksWhole,
    Other,
}

fn looks_whole(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    data == DONE || data.starts_with(b"{") && data.ends_with(b"}")
}

impl<S> Lines<S> {
    /// The next line that matters, or `None` when more bytes are needed. Looks at each byte once.
    fn next_line(&mut self) -> Result<Option<String>> {
        while !self.chunk.is_empty() {
            if std::mem::take(&mut self.after_cr) && self.chunk[0] == b'\n' {
                self.chunk.advance(1);
                continue;
            }
            let end = self.chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = self.chunk.split_to(end.unwrap_or(self.chunk.len()));
            if self.event_bytes + self.line.len() + part.len() > self.max_event_bytes {
                return Err(Error::TooLarge {
                    what: "an event of the stream",
                    limit: self.max_event_bytes,
                    setting: "max_event_bytes",
                });
            }
            self.line.extend_from_slice(&part);
            if end.is_some() {
                self.after_cr = self.chunk.get_u8() == b'\r';
                if let Some(line) = self.finish_line() {
                    return Ok(Some(line));
                }
            }
        }
        Ok(None)
    }

    /// Whether an event was open, which has ended.
    fn close_event(&mut self) -> bool {
        self.data = Data::None;
        std::mem::take(&mut self.event_bytes) > 0
    }

    /// Takes the collected line; `None` when it means nothing to us.
    fn finish_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let mut bytes = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
        if bytes.is_empty() {
            return self.close_event().then(|| "\n".to_owned());
        }
        if !(bytes.starts_with(b"data") || bytes.starts_with(b"event")) {
            return None;
        }
        if let Some(data) = bytes.strip_prefix(b"data:") {
            // A second line of data makes another event of it.
            let first = self.data == Data::None;
            self.data = if first && looks_whole(data) { Data::LooksWhole } else { Data::Other };
        }
        self.event_bytes += bytes.len() + 1;
        // Only a complete line is converted: a character whose bytes came in two chunks must not be
        // damaged.
        let mut line = String::from_utf8_lossy(bytes).into_owned();
        line.push('\n');
        Some(line)
    }

    /// Whether the open event may be whole, though neither it nor its last line has ended.
    fn may_be_whole(&self) -> bool {
        match self.line.strip_prefix(b"data:") {
            Some(data) => self.data == Data::None && looks_whole(data),
            None => self.data == Data::LooksWhole && self.line.is_empty(),
        }
    }

    /// Ends an event that may be whole; `None` when it is not.
    fn end_event(&mut self) -> Option<String> {
        let mut end = String::new();
        if let Some(data) = self.line.strip_prefix(b"data:") {
            // Within a text there are braces, too.
            if data.trim_ascii() != DONE && lenient::parse(data).is_err() {
                return None;
            }
            end = self.finish_line()?;
        }
        self.close_event();
        end.push('\n');
        Some(end)
    }

    /// What is left when the body has ended, closed by the blank line that is missing. Lines with
    /// an `id` never get here from the server, so that field can carry the mark "cut off".
    fn finish(&mut self) -> Option<String> {
        self.finished = true;
        let mut rest = String::new();
        if !self.line.is_empty() {
            rest = self.finish_line().unwrap_or_default();
        }
        (self.event_bytes > 0).then(|| {
            rest.push_str("id: cut off\n\n");
            rest
        })
    }
}

impl<S: Stream<Item = Result<Bytes>>> Stream for Lines<S> {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.finished {
                return Poll::Ready(None);
            }
            let error = match this.next_line() {
                Ok(Some(line)) => return Poll::Ready(Some(Ok(line))),
                Ok(None) => match this.chunks.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        this.chunk = chunk;
                        this.waiting = None;
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => error,
                    Poll::Ready(None) => return Poll::Ready(this.finish().map(Ok)),
                    Poll::Pending if this.may_be_whole() => {
                        let wait = || Box::pin(tokio::time::sleep(WITHOUT_BLANK_LINE));
                        ready!(this.waiting.get_or_insert_with(wait).as_mut().poll(cx));
                        this.waiting = None;
                        if let Some(end) = this.end_event() {
                            return Poll::Ready(Some(Ok(end)));
                        }
                        continue;
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Err(error) => error,
            };
            this.finished = true;
            return Poll::Ready(Some(Err(error)));
        }
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
