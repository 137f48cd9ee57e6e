//! A run's events as the body of an answer, in the protocol of a page.

use std::fmt::{self, Write as _};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::ag_ui::MOST_HISTORY;
use super::history::place;
use super::{AgUiEncoder, UiMessageEncoder};
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::follow::answer::BEHIND;
use crate::follow::body::Body;
use crate::follow::cursor::Cursor;
use crate::follow::event::{Event, EventKind};
use crate::follow::events::RunEvents;
use crate::model::{Message, Page, Part, Run, RunStatus, Turn};
use crate::store::{runs, turns};

/// A run's events as bytes that any web framework takes as a body. Give the answer its [`headers`](Self::headers); with the feature
/// `axum` it is an answer already.
///
/// While nothing happens a comment is sent every 15 s. The body ends with the run, and where the run waits for somebody's decision.
/// Where it cannot go on (the engine is shut down, the database is away, the thread was deleted) its last item is an error, which
/// breaks the connection: a page would take a body that just ends for a whole answer. It comes back and is answered by another process.
pub struct UiStream {
    body: Body<String>,
    headers: &'static [(&'static str, &'static str)],
}

const AI_SDK: &[(&str, &str)] = &[
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    ("x-vercel-ai-ui-message-stream", "v1"),
    ("x-accel-buffering", "no"),
];
const AG_UI: &[(&str, &str)] = &[
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
];
/// Sent at once, so that the head of the answer goes.
const OPENING: &str = ":\n\n";

impl UiStream {
    fn new(
        blocks: impl Stream<Item = Result<String>> + Send + 'static,
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        let write = |block: &String, text: &mut String| {
            text.push_str(block);
            Ok(())
        };
        Self { body: Body::new(blocks, OPENING, Box::new(write)), headers }
    }

    /// The headers of the answer: its type, the protocol's own, and that neither caches nor proxies may hold it back.
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        self.headers
    }
}

impl RunEvents {
    /// As the AI SDK's UI message stream, version 7: what `useChat` reads of the answer to a question, and of the resume endpoint
    /// (`GET …/stream`), which is to answer 204 where no run is active.
    ///
    /// Behind a cursor ([`resume`](Self::resume)) it goes on with a message of which the page has the beginning, as after an
    /// approval ([`ChatRequest::cursor`](super::ChatRequest::cursor)). The resume endpoint wants it from the beginning.
    #[must_use]
    pub fn ui_message_stream(self) -> UiStream {
        let encoder = UiMessageEncoder::new(self.run());
        UiStream::new(of_ai_sdk(self, encoder), AI_SDK)
    }

    /// The same with pictures and files that are stored here ([`UiMessageEncoder::files`]).
    #[must_use]
    pub fn ui_message_stream_with_files(
        self,
        url: impl Fn(&Message, &Part) -> Option<String> + Send + Sync + 'static,
    ) -> UiStream {
        let encoder = UiMessageEncoder::new(self.run()).files(url);
        UiStream::new(of_ai_sdk(self, encoder), AI_SDK)
    }

    /// As events of AG-UI 1.0, from the beginning of the run, under the ids that the client gave
    /// ([`AgUiRequest`](super::AgUiRequest)).
    #[must_use]
    pub fn ag_ui(self, thread_id: impl Into<String>, run_id: impl Into<String>) -> UiStream {
        let encoder = AgUiEncoder::named(thread_id, run_id);
        UiStream::new(Reading::new(self, encoder).blocks(), AG_UI)
    }

    /// The same for a client that has a part of the answer, or nothing: first what was said on the thread or chat, up to now
    /// ([`AgUiEncoder::history`]), then the rest of the run. For a page that comes back, and after a decision.
    #[must_use]
    pub fn ag_ui_with_history(
        self,
        thread_id: impl Into<String>,
        run_id: impl Into<String>,
    ) -> UiStream {
        let encoder = AgUiEncoder::named(thread_id, run_id);
        UiStream::new(of_ag_ui_with_history(self, encoder), AG_UI)
    }
}

/// A block of data, one line: JSON has no line breaks.
fn blocks(chunks: &[Value]) -> String {
    let mut text = String::new();
    for chunk in chunks {
        // Writing to a text cannot fail.
        let _ = write!(text, "data: {chunk}\n\n");
    }
    text
}

/// How one of the two tells a run.
trait Protocol: Send + 'static {
    /// What a stream that has told its run ends with.
    const END: &'static str;

    fn encode(&mut self, event: &Event) -> Vec<Value>;

    fn waits(&mut self, cursor: Option<&Cursor>) -> Vec<Value>;

    fn wants_history(_: &Event) -> bool {
        false
    }

    fn history(&mut self, _: &[Turn]) -> Vec<Value> {
        Vec::new()
    }
}

impl Protocol for UiMessageEncoder {
    const END: &'static str = "data: [DONE]\n\n";

    fn encode(&mut self, event: &Event) -> Vec<Value> {
        Self::encode(self, event)
    }

    fn waits(&mut self, cursor: Option<&Cursor>) -> Vec<Value> {
        cursor.map(|cursor| Self::waits(self, cursor)).unwrap_or_default()
    }
}

impl Protocol for AgUiEncoder {
    const END: &'static str = "";

    fn encode(&mut self, event: &Event) -> Vec<Value> {
        Self::encode(self, event)
    }

    fn waits(&mut self, _: Option<&Cursor>) -> Vec<Value> {
        Self::waits(self)
    }

    fn wants_history(event: &Event) -> bool {
        Self::wants_history(event)
    }

    fn history(&mut self, turns: &[Turn]) -> Vec<Value> {
        Self::history(self, turns)
    }
}

/// Where a stream is.
struct Reading<P> {
    events: RunEvents,
    encoder: P,
    cursor: Option<Cursor>,
    ended: bool,
}

impl<P: Protocol> Reading<P> {
    fn new(events: RunEvents, encoder: P) -> Self {
        let cursor = events.begins_after().cloned();
        Self { events: events.until_it_waits(), encoder, cursor, ended: false }
    }

    /// The next block.
    async fn next(&mut self) -> Result<String> {
        let event = loop {
            match self.events.next().await {
                Some(Ok(event)) => break event,
                // This process gave it up: it goes on in another one.
                Some(Err(Error::NotDriven { .. })) => {}
                Some(Err(error)) => return Err(error),
                None if self.events.is_closed() => return Err(Error::ShuttingDown),
                None => {
                    let run = now(self.events.core().clone(), self.events.run().id).await?;
                    if run.status == RunStatus::RequiresAction {
                        self.ended = true;
                        return Ok(blocks(&self.encoder.waits(self.cursor.as_ref())) + P::END);
                    }
                    // The page has all of it, as far as it says: there will be no event.
                    if let Some(cursor) = self.cursor.clone().filter(|_| run.status.is_terminal())
                        && cursor.clone().within(run.seq).wanted().seq > run.seq
                    {
                        break Event { cursor, kind: EventKind::RunSettled { run } };
                    }
                }
            }
            self.look_again().await;
        };
        let mut chunks = self.encoder.encode(&event);
        self.ended = matches!(event.kind, EventKind::RunSettled { .. });
        let wants_history = P::wants_history(&event);
        self.cursor = Some(event.cursor);
        if wants_history {
            let (core, run) = (self.events.core().clone(), self.events.run().clone());
            let (turns, place) = history(core, run).await?;
            chunks.extend(self.encoder.history(&turns));
            // It may hold more than was told, or less of what this process has not stored yet: on from there.
            self.cursor = place.or(self.cursor.take());
            self.begin_again();
        }
        Ok(blocks(&chunks) + if self.ended { P::END } else { "" })
    }

    async fn look_again(&mut self) {
        self.events.core().hubs().nudge();
        tokio::time::sleep(BEHIND).await;
        self.begin_again();
    }

    /// Behind the place where it is.
    fn begin_again(&mut self) {
        let (core, run) = (self.events.core().clone(), self.events.run().clone());
        let events = RunEvents::of(&core, run);
        let events = match &self.cursor {
            Some(cursor) => events.after(cursor.clone()),
            None => events,
        };
        self.events = events.until_it_waits();
    }

    fn blocks(self) -> impl Stream<Item = Result<String>> + Send {
        stream::unfold(self, |mut reading| async move {
            if reading.ended {
                return None;
            }
            let block = reading.next().await;
            reading.ended |= block.is_err();
            Some((block, reading))
        })
    }
}

fn of_ai_sdk(
    events: RunEvents,
    encoder: UiMessageEncoder,
) -> impl Stream<Item = Result<String>> + Send {
    let encoder = match events.begins_after() {
        Some(cursor) => encoder.after(cursor),
        None => encoder,
    };
    Reading::new(events, encoder).blocks()
}

/// First all that was said, and the run from there.
fn of_ag_ui_with_history(
    events: RunEvents,
    mut encoder: AgUiEncoder,
) -> impl Stream<Item = Result<String>> + Send {
    let begin = async move {
        let (turns, place) = history(events.core().clone(), events.run().clone()).await?;
        let block = blocks(&encoder.history(&turns));
        let events = match place {
            Some(place) => events.after(place),
            None => events,
        };
        Ok((block, Reading::new(events, encoder)))
    };
    stream::once(begin).flat_map(|begun| match begun {
        Err(error) => stream::once(async { Err(error) }).left_stream(),
        Ok((block, reading)) => {
            stream::once(async { Ok(block) }).chain(reading.blocks()).right_stream()
        }
    })
}

/// The run as it is: those who follow it may not have heard yet that it was decided on.
async fn now(core: Core, run: i64) -> Result<Run> {
    core.store().read(move |session| runs::require(session, run)).await
}

/// The turns of a run's conversation, the oldest first, as many as one event of history may hold; and the place in the run behind what
/// they show of it.
async fn history(core: Core, run: Run) -> Result<(Vec<Turn>, Option<Cursor>)> {
    let of = run.messageable;
    let mut all: Vec<Turn> = Vec::new();
    let mut page = Page::default();
    let mut bytes = 0;
    loop {
        let found = core.store().read(move |session| turns::page(session, of, page)).await?;
        bytes += found.items.iter().map(bytes_of).sum::<usize>();
        let next = found.next.filter(|_| bytes <= MOST_HISTORY);
        all.splice(..0, found.items);
        match next {
            Some(next) => page = Page::after(next, 100),
            None => break,
        }
    }
    let shown = all.iter().rev().filter_map(|turn| Some((turn, turn.run.as_ref()?)));
    let mut shown = shown.filter(|(_, shown)| shown.id == run.id);
    let place = shown.next().map(|(turn, run)| place(turn, run));
    Ok((all, place))
}

/// What the texts of a turn weigh at least.
fn bytes_of(turn: &Turn) -> usize {
    let messages = turn.messages.iter().map(|message| message.content.len());
    let calls = turn.tool_calls.iter();
    messages.chain(calls.map(|call| call.arguments.len())).sum()
}

impl Stream for UiStream {
    type Item = std::result::Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.poll(cx)
    }
}

impl fmt::Debug for UiStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiStream").field("ended", &self.body.ended).finish_non_exhaustive()
    }
}
