//! Server-sent events: bytes in, events out.
//!
//! An event in the usual form (`plain.rs`) is cut out of the bytes as they came, or put together of two chunks: those come by the
//! thousand. Every other one is read by `eventsource-stream`, which knows the fields of an event. It must not meet a raw network stream,
//! though: a leading byte order mark panics it, a long line that arrives in pieces is parsed anew
//! for each piece, a chunk of many lines is copied for each line, and a long `id` is cloned for
//! every later event. So [`Events`] stands in front: it gathers the lines of one event, complete,
//! without the mark, of valid UTF-8, and only those that matter (`data` and `event`), and hands them over one
//! at a time. What remains is linear in the bytes received and bounded in memory.
//!
//! Some servers leave the blank line out behind their last event and keep the connection open. An event
//! that is whole by its looks, one line of data with a JSON object or `[DONE]`, counts as ended when nothing
//! follows for [`WITHOUT_BLANK_LINE`]; without the end of that line too, if the object is whole.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use eventsource_stream::{Event, EventStream};
use futures_core::Stream;
use futures_util::{FutureExt, StreamExt, stream};
use memchr::memchr2;
use tokio::time::Sleep;

use super::plain::{Plain, Unusual};
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

/// An event, read or as it came.
#[derive(Debug)]
pub(super) enum Framed {
    Plain(Plain),
    Read(SseEvent),
}

impl Framed {
    /// Its name and its data.
    pub(super) fn parts(&self) -> (Cow<'_, str>, Cow<'_, str>) {
        match self {
            Self::Plain(plain) if plain.name().is_empty() => {
                (Cow::Borrowed("message"), text(plain.data()))
            }
            Self::Plain(plain) => (text(plain.name()), text(plain.data())),
            Self::Read(event) => (Cow::Borrowed(&event.event), Cow::Borrowed(&event.data)),
        }
    }

    /// Whether the blank line that ends it arrived.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Read(event) => event.complete,
        }
    }
}

/// Looks at valid UTF-8 word by word, which `from_utf8_lossy` does not.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Decodes a stream of byte chunks, however they are cut.
///
/// Lines may end in LF, CR or CRLF. Invalid UTF-8 becomes U+FFFD. Comments yield nothing. Of an
/// event that the end of the stream cut off, what arrived is yielded and marked. An error of
/// `chunks` is passed on and ends the stream, as does an event whose lines exceed `max_event_bytes`
/// ([`Error::TooLarge`]).
#[cfg(any(test, feature = "_internal"))]
pub fn decode<S>(chunks: S, max_event_bytes: usize) -> impl Stream<Item = Result<SseEvent>> + Send
where
    S: Stream<Item = Result<Bytes>> + Send,
{
    frame(chunks, max_event_bytes, true).map(|item| {
        item.map(|framed| match framed {
            Framed::Read(event) => event,
            plain @ Framed::Plain(_) => {
                let (event, data) = plain.parts();
                SseEvent { event: event.into_owned(), data: data.into_owned(), complete: true }
            }
        })
    })
}

/// [`decode`], with the events as they came as far as possible; without `plain`, none is left so.
pub(super) fn frame<S>(
    chunks: S,
    max_event_bytes: usize,
    plain: bool,
) -> impl Stream<Item = Result<Framed>> + Send
where
    S: Stream<Item = Result<Bytes>> + Send,
{
    Events {
        chunks: Box::pin(chunks),
        chunk: Bytes::new(),
        line: Vec::new(),
        after_cr: false,
        at_start: true,
        lines: String::new(),
        event_bytes: 0,
        max_event_bytes,
        data: Data::None,
        plain,
        cut: Bytes::new(),
        joined: BytesMut::new(),
        by_line: false,
        waiting: None,
        finished: false,
    }
}

/// Splits chunks into events.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Events<S> {
    chunks: Pin<Box<S>>,
    /// The part of the last chunk that is not split yet.
    chunk: Bytes,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// The last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
    /// The lines of the open event that matter, each ended by one line feed.
    lines: String,
    /// Bytes of those lines as they came; 0 when no event is open.
    event_bytes: usize,
    max_event_bytes: usize,
    data: Data,
    /// Whether events in the usual form are left as they came.
    plain: bool,
    /// The beginning of one whose rest is expected in the next chunk.
    cut: Bytes,
    /// Where it is put together.
    joined: BytesMut,
    /// The next event is read line by line, whatever its form.
    by_line: bool,
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

/// Reads the lines of one event; `None`: they hold no data.
fn read(lines: &str, complete: bool) -> Result<Option<SseEvent>> {
    let lines = lines.split_inclusive('\n').chain(["\n"]).map(Ok::<_, Infallible>);
    match EventStream::new(stream::iter(lines)).next().now_or_never().flatten() {
        Some(Ok(Event { event, data, .. })) => Ok(Some(SseEvent { event, data, complete })),
        None => Ok(None),
        // Lines are valid UTF-8 and complete, so this is out of reach; it is no reason to panic
        // either.
        Some(Err(error)) => Err(Error::malformed("the event stream", error.to_string(), "")),
    }
}

impl<S> Events<S> {
    /// The next event, or `None` when more bytes are needed. Looks at each byte of an odd event once, and at those of
    /// one in the usual form a few times more if it came in pieces.
    fn next_event(&mut self) -> Result<Option<Framed>> {
        while !self.chunk.is_empty() {
            if std::mem::take(&mut self.after_cr) && self.chunk.first() == Some(&b'\n') {
                self.chunk.advance(1);
                continue;
            }
            match self.take_plain() {
                Ok(plain) => return Ok(Some(Framed::Plain(plain))),
                Err(Unusual::Cut) => return Ok(None),
                Err(Unusual::Other) => {}
            }
            let end = memchr2(b'\n', b'\r', &self.chunk);
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
                if self.finish_line()
                    && let Some(event) = self.close_event(true)?
                {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    /// Takes an event in the usual form, or its beginning. It is put together once: one of three pieces or more is read line by line.
    fn take_plain(&mut self) -> Result<Plain, Unusual> {
        let is_between = self.event_bytes == 0 && self.line.is_empty() && !self.at_start;
        if !self.plain || !is_between || std::mem::take(&mut self.by_line) {
            return Err(Unusual::Other);
        }
        let begin = std::mem::take(&mut self.cut);
        if begin.is_empty() {
            let taken = Plain::take(&mut self.chunk, self.max_event_bytes);
            if matches!(taken, Err(Unusual::Cut)) {
                if self.chunk.len() > self.max_event_bytes {
                    return Err(Unusual::Other);
                }
                self.cut = std::mem::take(&mut self.chunk);
            }
            return taken;
        }
        Plain::join(&begin, &mut self.chunk, &mut self.joined, self.max_event_bytes).map_err(|_| {
            self.chunk = [begin, std::mem::take(&mut self.chunk)].concat().into();
            Unusual::Other
        })
    }

    /// Has the beginning of an event read line by line; whether there is one.
    fn read_cut(&mut self) -> bool {
        self.chunk = std::mem::take(&mut self.cut);
        self.by_line = !self.chunk.is_empty();
        self.by_line
    }

    /// Whether an event may lack no more than the end of its last line.
    fn cut_may_be_whole(&self) -> bool {
        let cut = self.cut.trim_ascii_end();
        cut.ends_with(b"}") || cut.ends_with(DONE)
    }

    /// Ends the open event, if there is one.
    fn close_event(&mut self, complete: bool) -> Result<Option<Framed>> {
        self.data = Data::None;
        if std::mem::take(&mut self.event_bytes) == 0 {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        Ok(read(&lines, complete)?.map(Framed::Read))
    }

    /// Takes the collected line. Whether it is the blank one that ends an event.
    fn finish_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let mut bytes = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
        if bytes.is_empty() {
            return true;
        }
        if !(bytes.starts_with(b"data") || bytes.starts_with(b"event")) {
            return false;
        }
        if let Some(data) = bytes.strip_prefix(b"data:") {
            // A second line of data makes another event of it.
            let first = self.data == Data::None;
            self.data = if first && looks_whole(data) { Data::LooksWhole } else { Data::Other };
        }
        self.event_bytes += bytes.len() + 1;
        // Only a complete line is converted: a character whose bytes came in two chunks must not be
        // damaged.
        self.lines.push_str(&text(bytes));
        self.lines.push('\n');
        false
    }

    /// Whether the open event may be whole, though neither it nor its last line has ended.
    fn may_be_whole(&self) -> bool {
        match self.line.strip_prefix(b"data:") {
            Some(data) => self.data == Data::None && looks_whole(data),
            None => self.data == Data::LooksWhole && self.line.is_empty(),
        }
    }

    /// Ends an event that may be whole; `None` when it is not.
    fn end_event(&mut self) -> Result<Option<Framed>> {
        if let Some(data) = self.line.strip_prefix(b"data:") {
            // Within a text there are braces, too.
            if data.trim_ascii() != DONE && lenient::parse(data).is_err() {
                return Ok(None);
            }
            self.finish_line();
        }
        self.close_event(true)
    }

    /// What is left when the body has ended, without the blank line that is missing.
    fn finish(&mut self) -> Result<Option<Framed>> {
        self.finished = true;
        if self.read_cut()
            && let Some(event) = self.next_event()?
        {
            // A single CR ended it; what came is behind us.
            return Ok(Some(event));
        }
        if !self.line.is_empty() {
            self.finish_line();
        }
        self.close_event(false)
    }
}

impl<S: Stream<Item = Result<Bytes>>> Stream for Events<S> {
    type Item = Result<Framed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.finished {
                return Poll::Ready(None);
            }
            let error = match this.next_event() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Ok(None) => match this.chunks.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        this.chunk = chunk;
                        this.waiting = None;
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => error,
                    Poll::Ready(None) => return Poll::Ready(this.finish().transpose()),
                    Poll::Pending if this.cut_may_be_whole() && this.read_cut() => continue,
                    Poll::Pending if this.may_be_whole() => {
                        let wait = || Box::pin(tokio::time::sleep(WITHOUT_BLANK_LINE));
                        ready!(this.waiting.get_or_insert_with(wait).as_mut().poll(cx));
                        this.waiting = None;
                        match this.end_event() {
                            Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                            Ok(None) => continue,
                            Err(error) => error,
                        }
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
