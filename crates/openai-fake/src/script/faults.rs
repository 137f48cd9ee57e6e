//! How well the network behaves: the refinements of a [`Reply`] that concern the wire.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;

use crate::{
    Gate, Reply,
    script::{gate::Hold, reply::Step},
    wire::frame::Mangle,
};

/// # The wire
impl Reply {
    /// Answers with this HTTP status (301, 302, 307, 308, …) and sends the client to another
    /// address; no response is created.
    #[must_use]
    pub fn redirect(code: u16, location: impl Into<String>) -> Self {
        Self::status(code, json!({})).header("location", location)
    }

    /// Adds a header to the HTTP answer, such as `retry-after`, `retry-after-ms` or
    /// `x-should-retry`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds the `x-ratelimit-…` headers: what remains of 500 requests and 200,000 tokens a minute.
    #[must_use]
    pub fn rate_limits(self, requests: u32, tokens: u32) -> Self {
        self.header("x-ratelimit-limit-requests", "500")
            .header("x-ratelimit-limit-tokens", "200000")
            .header("x-ratelimit-remaining-requests", requests.to_string())
            .header("x-ratelimit-remaining-tokens", tokens.to_string())
            .header("x-ratelimit-reset-requests", "120ms")
            .header("x-ratelimit-reset-tokens", "6m0s")
    }

    /// Waits for the gate before event `n`.
    #[must_use]
    pub fn hold_at(self, n: usize, gate: Gate) -> Self {
        self.step(n, Step::Hold(gate))
    }

    /// Sends the text up to and including these words, the first time that they come in it, and
    /// waits there until [`FakeOpenAi::release`](crate::FakeOpenAi::release) names them. A word that they end in is cut in two
    /// deltas. An empty text waits before the first word.
    ///
    /// Clones of a reply wait together: once released, none of them waits there any more.
    ///
    /// # Panics
    ///
    /// When the reply does not say these words.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a test that waits for them would wait for ever")]
    pub fn hold_after(mut self, text: impl Into<String>) -> Self {
        let (text, said) = (text.into(), self.deltas.concat());
        let Some(start) = said.find(&text) else {
            panic!("the reply does not say {text:?}, so it cannot wait behind it: {said:?}");
        };
        let at = start + text.len();
        self.deltas = cut(&self.deltas, at);
        self.holds.push(Hold { text, at, gate: Gate::new() });
        self
    }

    /// Cuts the connection instead of sending event `n`: the client sees a broken body, after
    /// having been sent all earlier events.
    #[must_use]
    pub fn disconnect_at(self, n: usize) -> Self {
        self.step(n, Step::Disconnect)
    }

    /// Ends the body, cleanly, instead of sending event `n`.
    #[must_use]
    pub fn end_at(self, n: usize) -> Self {
        self.step(n, Step::End)
    }

    /// Sends neither event `n` nor anything after it, until the client leaves. Only
    /// [comments](Self::comment_every) still come.
    #[must_use]
    pub fn stall_at(self, n: usize) -> Self {
        self.step(n, Step::Stall)
    }

    /// Makes event `n` a `keepalive`; the others move up by one. In a chat that is a chunk without choices, in a run a comment.
    #[must_use]
    pub fn keepalive_at(self, n: usize) -> Self {
        self.step(n, Step::Keepalive)
    }

    /// Sends a `keepalive` whenever a gate, the pace or the first token has kept the client waiting
    /// this long. The events after it move up by one.
    #[must_use]
    pub fn keepalive_every(mut self, time: Duration) -> Self {
        self.keepalive_every = Some(time);
        self
    }

    /// Writes a comment line, as gateways do, before event `n`.
    #[must_use]
    pub fn comment_at(self, n: usize) -> Self {
        self.raw_event_at(n, ": still here\n\n")
    }

    /// Writes a comment line whenever nothing was sent for this long.
    #[must_use]
    pub fn comment_every(mut self, time: Duration) -> Self {
        self.comment_every = Some(time);
        self
    }

    /// Writes these bytes, as they are, before event `n`. They need not be UTF-8 and have no
    /// number.
    #[must_use]
    pub fn raw_event_at(self, n: usize, raw: impl Into<Vec<u8>>) -> Self {
        self.step(n, Step::Raw(Bytes::from(raw.into())))
    }

    /// Begins the body with a byte order mark.
    #[must_use]
    pub fn byte_order_mark(self) -> Self {
        self.raw_event_at(0, "\u{feff}")
    }

    /// Sends event `n` with its data cut short: it is no JSON any more.
    #[must_use]
    pub fn malformed_at(self, n: usize) -> Self {
        self.step(n, Step::Mangle(Mangle::Truncate))
    }

    /// Makes event `n` so many bytes long, by a member that says nothing. The server holds 64 KiB
    /// of it.
    #[must_use]
    pub fn padded_at(self, n: usize, bytes: usize) -> Self {
        self.step(n, Step::Mangle(Mangle::Pad(bytes)))
    }

    /// Sends the body in chunks of at most so many bytes (0 counts as 1), wherever that cuts: in a
    /// character, or between CR and LF.
    #[must_use]
    pub fn chunks_of(mut self, bytes: usize) -> Self {
        self.shape.piece = Some(NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MIN));
        self
    }

    /// Ends lines with CR and LF.
    #[must_use]
    pub fn crlf(mut self) -> Self {
        self.shape.crlf = true;
        self
    }

    /// Leaves the `event:` lines out. Those of runs are all that says what they are.
    #[must_use]
    pub fn without_event_lines(mut self) -> Self {
        self.shape.unnamed = true;
        self
    }

    fn step(mut self, n: usize, step: Step) -> Self {
        self.steps.push((n, step));
        self
    }
}

/// The same text, with the end of a delta at this place.
fn cut(deltas: &[String], at: usize) -> Arc<[String]> {
    let mut left = at;
    let mut pieces = Vec::with_capacity(deltas.len() + 1);
    for delta in deltas {
        match delta.split_at_checked(left) {
            Some((head, tail)) if !head.is_empty() && !tail.is_empty() => {
                pieces.extend([head.to_owned(), tail.to_owned()]);
            }
            _ => pieces.push(delta.clone()),
        }
        left = left.saturating_sub(delta.len());
    }
    pieces.into()
}
