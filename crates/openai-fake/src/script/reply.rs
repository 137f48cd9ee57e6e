//! What the model of the fake server shall answer, and how well the network shall behave.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    Gate,
    script::gate::Hold,
    wire::frame::{Mangle, Shape},
};

/// One scripted answer of the model, in whatever protocol it is asked.
///
/// Build it from [`Reply::text`], [`Reply::deltas`], [`Reply::status`], [`Reply::redirect`] or
/// [`Reply::hang_up`] and refine it; everything combines. A request that does not stream gets the same answer as one JSON
/// object: gates and delays hold it back as they would the stream, and a cut leaves it without any
/// answer.
///
/// Steps (`…_at(n)`) happen instead of, or before, event number `n` (numbers: [module
/// docs](crate)). Several steps at one number happen in the order they were given.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) kind: Kind,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) deltas: Arc<[String]>,
    pub(crate) final_text: Option<String>,
    pub(crate) with_message: bool,
    pub(crate) items: Vec<Value>,
    pub(crate) model: Option<String>,
    pub(crate) usage: Option<(u64, u64)>,
    pub(crate) reports_usage: bool,
    pub(crate) pace: Duration,
    pub(crate) first_token_after: Duration,
    pub(crate) ending: Ending,
    pub(crate) error_event: ErrorEvent,
    pub(crate) finish_unseen: bool,
    pub(crate) thoughts_field: &'static str,
    pub(crate) keepalive_every: Option<Duration>,
    pub(crate) comment_every: Option<Duration>,
    pub(crate) shape: Shape,
    pub(crate) steps: Vec<(usize, Step)>,
    pub(crate) holds: Vec<Hold>,
}

/// Whether there is an answer of the model at all.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Model,
    Status(u16, Value),
    HangUp,
}

/// The terminal state of the response.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Completed,
    Incomplete(String),
    Failed { code: String, message: String },
}

/// The shapes in which an error comes inside a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorEvent {
    /// What the real service was seen to send: `{"type":"error","error":{…}}`, followed by
    /// `response.failed`. In a chat `data: {"error":{…}}`, followed by `[DONE]`; in a run `thread.run.failed` alone.
    #[default]
    Nested,
    /// What its description says: `{"type":"error","code":…,"message":…}`. Nothing follows. In a chat
    /// `data: {"object":"error","message":…}`; in a run the event `error`.
    Flat,
    /// What gateways send: `data: {"error":{…}}` without type, name and number. Nothing follows.
    Untyped,
}

/// Something that happens on the way to event number n.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Hold(Gate),
    Raw(Bytes),
    Mangle(Mangle),
    Keepalive,
    Disconnect,
    End,
    Stall,
}

impl Reply {
    fn new(kind: Kind, deltas: Vec<String>) -> Self {
        Self {
            kind,
            headers: Vec::new(),
            deltas: deltas.into(),
            final_text: None,
            with_message: true,
            items: Vec::new(),
            model: None,
            usage: None,
            reports_usage: true,
            pace: Duration::ZERO,
            first_token_after: Duration::ZERO,
            ending: Ending::Completed,
            error_event: ErrorEvent::Nested,
            finish_unseen: false,
            thoughts_field: "reasoning_content",
            keepalive_every: None,
            comment_every: None,
            shape: Shape::default(),
            steps: Vec::new(),
            holds: Vec::new(),
        }
    }

    /// Answers with this text, one delta a word (each word with the white space that follows it).
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Self {
        let words = text.as_ref().split_inclusive(char::is_whitespace);
        Self::deltas(words)
    }

    /// Answers with these deltas, exactly.
    #[must_use]
    pub fn deltas<D: Into<String>>(deltas: impl IntoIterator<Item = D>) -> Self {
        Self::new(Kind::Model, deltas.into_iter().map(Into::into).collect())
    }

    /// Answers with this HTTP status and JSON body; no response is created.
    ///
    /// Of the refinements, headers, `first_token_after`, gates and `disconnect_at` (any number)
    /// apply.
    #[must_use]
    pub fn status(code: u16, body: Value) -> Self {
        Self::new(Kind::Status(code, body), Vec::new())
    }

    /// Closes the connection without any answer; no response is created.
    #[must_use]
    pub fn hang_up() -> Self {
        Self::new(Kind::HangUp, Vec::new())
    }

    /// Waits this long before each text delta but the first.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Waits this long before the first text delta (or, without any, before the end).
    #[must_use]
    pub fn first_token_after(mut self, delay: Duration) -> Self {
        self.first_token_after = delay;
        self
    }

    /// Reports these token counts; without them they are estimated at four characters a token.
    #[must_use]
    pub fn usage(mut self, input: u64, output: u64) -> Self {
        self.usage = Some((input, output));
        self
    }

    /// Reports no token counts, as some servers do.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.reports_usage = false;
        self
    }

    /// The finished message carries this text, whatever the deltas said.
    #[must_use]
    pub fn final_text(mut self, text: impl Into<String>) -> Self {
        self.final_text = Some(text.into());
        self
    }

    /// Adds an output item (`function_call`, `reasoning`, `message`, …) before the message. A missing `id`, and the
    /// `call_id` and `status` of a function call, are filled in. The arguments of a function call arrive in two deltas, the
    /// text of a message in one. In a chat and in a run, function calls come after the message.
    #[must_use]
    pub fn item(mut self, item: Value) -> Self {
        self.items.push(item);
        self
    }

    /// Leaves the assistant message out: only the items are answered.
    #[must_use]
    pub fn without_message(mut self) -> Self {
        self.with_message = false;
        self
    }

    /// Thinks aloud before it answers, one delta a word: a `reasoning` item with this text in its content, as open models
    /// have it. Over Chat Completions these are deltas of `reasoning_content`. The summaries of a scripted `reasoning` item
    /// are only known to the Responses API, and Assistants hide all thoughts.
    #[must_use]
    pub fn thoughts(self, text: impl AsRef<str>) -> Self {
        let part = json!({"type": "reasoning_text", "text": text.as_ref()});
        self.item(json!({"type": "reasoning", "summary": [], "content": [part]}))
    }

    /// What Chat Completions call the [thoughts](Self::thoughts) of this reply, such as `reasoning`.
    #[must_use]
    pub fn thoughts_field(mut self, name: &'static str) -> Self {
        self.thoughts_field = name;
        self
    }

    /// Names this model in the response, instead of the one the request asked for.
    #[must_use]
    pub fn reply_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Ends with `response.incomplete` and this reason, such as `max_output_tokens`. A chat ends with `length`, or
    /// `content_filter`, a run as `incomplete`.
    #[must_use]
    pub fn incomplete(mut self, reason: impl Into<String>) -> Self {
        self.ending = Ending::Incomplete(reason.into());
        self
    }

    /// Fails after the deltas, on HTTP 200: an error event, then `response.failed`. Without any
    /// delta no message is begun. A chat that is not streamed fails with an HTTP status.
    #[must_use]
    pub fn failed(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.ending = Ending::Failed { code: code.into(), message: message.into() };
        self
    }

    /// Answers with one JSON object, although the request asks for a stream, as servers do that cannot.
    #[must_use]
    pub fn ignore_stream(mut self) -> Self {
        self.shape.whole = true;
        self
    }

    /// The shape of the error event of a reply that [failed](Self::failed).
    #[must_use]
    pub fn error_event(mut self, shape: ErrorEvent) -> Self {
        self.error_event = shape;
        self
    }

    /// Although the stream is cut, or its client leaves, the service finishes the response and
    /// keeps its items, unseen by the client. (Otherwise it cancels the response.) Runs always go on, and of chats nothing
    /// is kept.
    #[must_use]
    pub fn finish_unseen(mut self) -> Self {
        self.finish_unseen = true;
        self
    }
}
