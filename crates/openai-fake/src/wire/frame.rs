//! How an event becomes bytes, and what may be done to them on the way.

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};

use bytes::Bytes;
use serde_json::Value;

use crate::wire::{
    assistants, chat,
    events::{self, TextDelta},
};

/// An event of an answer, before it is written.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Numbered, and named by its type, if it has one.
    Json(Value),
    /// Without a number, its name in the event line alone.
    Named(String, Value),
    /// The text delta of this index.
    Delta(usize),
    /// A line that is no event.
    Comment,
    /// An object as it is, whatever type it says it has.
    Untyped(Value),
    /// What says that nothing follows.
    Done,
}

/// In which protocol an answer speaks.
#[derive(Clone, Debug)]
pub(crate) enum Voice {
    Response { message_id: String, output_index: usize },
    Chat(chat::Voice),
    Thread { message_id: String },
}

/// The forms of the event stream that differ between servers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) crlf: bool,
    /// Without `event:` lines.
    pub(crate) unnamed: bool,
    /// As one object, although a stream was asked for.
    pub(crate) whole: bool,
    /// Most bytes at a time.
    pub(crate) piece: Option<NonZeroUsize>,
}

/// What is done to a single event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mangle {
    /// Made so many bytes long.
    Pad(usize),
    /// Its data ends early.
    Truncate,
}

/// Writes the events of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Framer {
    pub(crate) voice: Voice,
    pub(crate) deltas: Arc<[String]>,
    pub(crate) obfuscate: bool,
    pub(crate) shape: Shape,
}

impl Framer {
    /// The pieces of one event as they go over the wire.
    pub(crate) fn frame(
        &self,
        number: usize,
        event: &Event,
        mangle: Option<Mangle>,
    ) -> VecDeque<Bytes> {
        let lines = match event {
            Event::Json(event) => events::frame(number, self.obfuscate, event.clone()),
            Event::Delta(index) => self.delta(number, *index),
            Event::Untyped(event) => Bytes::from(format!("data: {event}\n\n")),
            Event::Named(name, event) => Bytes::from(format!("event: {name}\ndata: {event}\n\n")),
            Event::Comment => Bytes::from_static(b": keepalive\n\n"),
            Event::Done if matches!(self.voice, Voice::Thread { .. }) => {
                Bytes::from_static(b"event: done\ndata: [DONE]\n\n")
            }
            Event::Done => Bytes::from_static(b"data: [DONE]\n\n"),
        };
        let lines = self.shape.lay(lines);
        match mangle {
            None => self.cut(lines),
            Some(Mangle::Truncate) => self.cut(self.truncate(&lines)),
            Some(Mangle::Pad(bytes)) => {
                pad(&lines, bytes).into_iter().flat_map(|piece| self.cut(piece)).collect()
            }
        }
    }

    fn delta(&self, number: usize, index: usize) -> Bytes {
        let text = self.deltas.get(index).map_or("", String::as_str);
        let padding = self.obfuscate.then(|| events::padding(number));
        match &self.voice {
            Voice::Response { message_id, output_index } => {
                let delta = TextDelta {
                    item_id: message_id,
                    output_index: *output_index,
                    content_index: 0,
                    delta: text,
                    logprobs: [],
                };
                events::delta_frame(number, self.obfuscate, delta)
            }
            Voice::Chat(voice) => voice.delta_frame(text, padding),
            Voice::Thread { message_id } => assistants::delta_frame(message_id, index, text),
        }
    }

    /// The bytes in pieces no larger than the script wants.
    pub(crate) fn cut(&self, mut bytes: Bytes) -> VecDeque<Bytes> {
        let most = self.shape.piece.map_or(usize::MAX, NonZeroUsize::get);
        let mut pieces = VecDeque::new();
        while bytes.len() > most {
            pieces.push_back(bytes.split_to(most));
        }
        pieces.push_back(bytes);
        pieces
    }

    fn truncate(&self, lines: &Bytes) -> Bytes {
        let kept = &lines[..lines.len() - lines.len() / 3];
        let end = if self.shape.crlf { "\r\n\r\n" } else { "\n\n" };
        [kept, end.as_bytes()].concat().into()
    }
}

impl Shape {
    fn lay(self, lines: Bytes) -> Bytes {
        if !self.crlf && !self.unnamed {
            return lines;
        }
        let end = if self.crlf { "\r\n" } else { "\n" };
        let text = String::from_utf8_lossy(&lines);
        let kept = text.lines().filter(|line| !(self.unnamed && line.starts_with("event:")));
        kept.flat_map(|line| [line, end]).collect::<String>().into()
    }
}

/// Adds a member to the event's object, long enough for so many bytes in all. The filling is one
/// block, sent again and again.
fn pad(lines: &Bytes, bytes: usize) -> Vec<Bytes> {
    static BLOCK: [u8; 1 << 16] = [b'x'; 1 << 16];
    let Some(end) = lines.iter().rposition(|byte| *byte == b'}') else {
        return vec![lines.clone()];
    };
    let (before, after) = (b",\"padding\":\"", b"\"");
    let mut left = bytes.saturating_sub(lines.len() + before.len() + after.len());
    let mut pieces = vec![lines.slice(..end), Bytes::from_static(before)];
    while left > 0 {
        let length = left.min(BLOCK.len());
        pieces.push(Bytes::from_static(&BLOCK[..length]));
        left -= length;
    }
    pieces.extend([Bytes::from_static(after), lines.slice(end..)]);
    pieces
}
