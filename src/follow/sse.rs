//! Events as the body of a `text/event-stream`, for any web framework.

use std::convert::Infallible;
use std::fmt::{self, Display, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use serde::Serialize;
use serde_json::Value;

use super::body::Body;
use super::event::Event;
use super::events::{Events, RunEvents};
use super::owner_events::{OwnerEvent, OwnerEvents};
use crate::error::Result;

/// Events as server-sent events: bytes that any web framework takes as a body.
///
/// Each event is a block of `id` (its cursor), `event` (its name) and `data` (its JSON). A browser's `EventSource` comes back by
/// itself and sends the last `id` as `Last-Event-ID`: give that to [`Events::resume`]. While nothing happens a comment is sent every
/// 15 s, so that proxies keep the connection. The stream ends when the events do, and after an error, which is logged: whoever comes
/// back is answered with that error's status.
///
/// Give the answer the [`HEADERS`](Self::HEADERS). With the feature `axum` it is an answer already:
///
/// ```
/// # #[cfg(feature = "axum")] mod with_axum {
/// use ai_engine::{AiEngine, Error, Sse, axum::LastEventId};
/// # struct User { id: i64 }
/// # ai_engine::record! { User { id: i64 } as "User" }
/// # impl ai_engine::MessageHooks for User {}
/// # impl ai_engine::Threadable for User {}
/// use ai_engine::prelude::*;
///
/// async fn follow(engine: AiEngine, user: User, thread: i64, last: LastEventId) -> Result<Sse, Error> {
///     let thread = user.assistant_threads(&engine).find(thread).await?;
///     Ok(thread.events(&engine).resume(last.as_deref()).await?.sse())
/// }
/// # }
/// ```
pub struct Sse<E = Event> {
    body: Body<E>,
}

/// What is sent as one event.
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the events are ours")]
pub trait Told: Serialize + 'static {
    fn id(&self) -> &dyn Display;
    fn name(&self) -> &'static str;
}

impl Told for Event {
    fn id(&self) -> &dyn Display {
        &self.cursor
    }

    fn name(&self) -> &'static str {
        self.kind.name()
    }
}

impl Told for OwnerEvent {
    fn id(&self) -> &dyn Display {
        &self.cursor
    }

    fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// The wait before a browser comes back.
const OPENING: &str = "retry: 1000\n\n";

impl Sse {
    /// The headers of the answer: its type, and that neither caches nor proxies may hold it back.
    pub const HEADERS: [(&'static str, &'static str); 3] = [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
    ];
}

impl<E: Told> Sse<E> {
    fn new(events: impl Stream<Item = Result<E>> + Send + 'static) -> Self {
        let write = |event: &E, text: &mut String| {
            block(event, &serde_json::to_string(event)?, text);
            Ok(())
        };
        Self { body: Body::new(events, OPENING, Box::new(write)) }
    }

    /// Sends what `show` makes of each event instead of the event's own JSON, which holds the whole conversation: system messages
    /// as well, a run's error in the provider's words, and its idempotency key. `None` leaves the event out.
    #[must_use]
    pub fn showing(mut self, show: impl Fn(&E) -> Option<Value> + Send + Sync + 'static) -> Self {
        self.body.write = Box::new(move |event, text| {
            if let Some(shown) = show(event) {
                block(event, &shown.to_string(), text);
            }
            Ok(())
        });
        self
    }
}

/// Adds an event as a block. JSON has no line breaks.
fn block(event: &impl Told, data: &str, text: &mut String) {
    // Writing to a text cannot fail.
    let _ = write!(text, "id: {}\nevent: {}\ndata: {data}\n\n", event.id(), event.name());
}

impl<E> Stream for Sse<E> {
    type Item = std::result::Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Whoever reads this comes back after each end.
        self.body.poll(cx).map(|item| item.and_then(Result::ok).map(Ok))
    }
}

impl Events {
    /// As the body of a `text/event-stream`.
    #[must_use]
    pub fn sse(self) -> Sse {
        Sse::new(self)
    }
}

impl OwnerEvents {
    /// As the body of a `text/event-stream`.
    #[must_use]
    pub fn sse(self) -> Sse<OwnerEvent> {
        Sse::new(self)
    }
}

impl RunEvents {
    /// As the body of a `text/event-stream`. It ends with the run; an `EventSource` then comes back, so close it at `run_settled`.
    #[must_use]
    pub fn sse(self) -> Sse {
        Sse::new(self)
    }
}

impl<E> fmt::Debug for Sse<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse").field("ended", &self.body.ended).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::error::Error;
    use crate::follow::cursor::Cursor;
    use crate::follow::event::EventKind;
    use crate::model::Messageable;

    fn word(text: &str) -> Event {
        let kind = EventKind::MessageAppended { message_id: 1, offset: 0, text: text.to_owned() };
        Event { cursor: Cursor::start(Messageable::Chat(7)), kind }
    }

    async fn next(sse: &mut Sse) -> Option<String> {
        let bytes = sse.next().await?.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn each_event_is_a_block_and_silence_is_broken_by_comments() {
        let said = stream::iter([Ok(word("a\nb")), Ok(word("c"))]).chain(stream::pending());
        let mut sse = Sse::new(said);
        let first = next(&mut sse).await.unwrap();
        let blocks: Vec<&str> = first.split_terminator("\n\n").collect();
        assert_eq!(blocks.len(), 3, "what is ready goes together: {first}");
        assert_eq!(blocks[0], "retry: 1000");
        let lines: Vec<&str> = blocks[1].lines().collect();
        assert_eq!(lines[0], format!("id: {}", word("").cursor));
        assert_eq!(lines[1], "event: message_appended");
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&data["text"], lines.len()), (&Value::from("a\nb"), 3));
        let begun = Instant::now();
        assert_eq!(next(&mut sse).await.unwrap(), ":\n\n");
        assert_eq!(begun.elapsed(), Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_what_was_sent_last() {
        let later = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok(word("b"))
        };
        let said = stream::iter([Ok(word("a"))]).chain(stream::once(later));
        let mut sse = Sse::new(said.chain(stream::pending()));
        let begun = Instant::now();
        let mut sent = Vec::new();
        for _ in 0..4 {
            let is_comment = next(&mut sse).await.unwrap() == ":\n\n";
            sent.push((begun.elapsed().as_secs(), is_comment));
        }
        assert_eq!(sent, [(0, false), (10, false), (25, true), (40, true)]);
    }

    /// A reader that begins far back is sent all of it, and the server holds little of that at once.
    #[tokio::test]
    async fn what_is_ready_is_sent_in_pieces() {
        let long = "x".repeat(1000);
        let all = vec![word(&long); 100];
        let pieces: Vec<_> = Sse::new(stream::iter(all.into_iter().map(Ok))).collect().await;
        let lengths: Vec<usize> =
            pieces.iter().map(|piece| piece.as_ref().unwrap().len()).collect();
        assert!(lengths.iter().all(|length| *length < 20 * 1024), "{lengths:?}");
        assert!(lengths.len() < 20, "{lengths:?}");
        assert!(lengths.iter().sum::<usize>() > 100 * 1000);
    }

    #[tokio::test]
    async fn an_error_ends_the_body_behind_what_came_before_it() {
        let said = stream::iter([Ok(word("a")), Err(Error::ShuttingDown), Ok(word("b"))]);
        let mut sse = Sse::new(said);
        let first = next(&mut sse).await.unwrap();
        assert!(first.contains(r#""text":"a""#) && !first.contains(r#""text":"b""#), "{first}");
        assert_eq!(next(&mut sse).await, None);
    }

    #[tokio::test]
    async fn a_host_may_show_less() {
        let said = stream::iter([Ok(word("secret")), Ok(word("open"))]);
        let shown = |event: &Event| match &event.kind {
            EventKind::MessageAppended { text, .. } if text != "secret" => {
                Some(Value::from(text.len()))
            }
            _ => None,
        };
        let first = next(&mut Sse::new(said).showing(shown)).await.unwrap();
        assert!(first.contains("data: 4\n") && !first.contains("secret"), "{first}");
        assert_eq!(first.matches("id: ").count(), 1);
    }
}
