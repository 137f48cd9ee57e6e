//! A fake `OpenAI` service inside your own process, for tests and for trying things without a key.
//!
//! [`FakeOpenAi`] listens on a free port of the loopback interface and speaks the Responses and
//! Conversations APIs, Chat Completions, and Assistants v2, with real state behind them:
//! conversations keep their items, lock while a response runs on them, pages are real pages, and a deleted thing is gone. It refuses what the
//! real service refuses, parameters that it does not know among it. What the "model" says
//! is up to you: script it with [`Reply`], or script nothing and let the built-in demo model tell
//! its story. Offered a tool with a word of the question in its name (`get_weather`: "How is the
//! weather?"), or told to use one, the demo model calls it. Unscripted, the server passes the cases
//! that the Open Responses compliance suite sends over HTTP to `/responses`, and answers what
//! OpenAI's own libraries for Python and Node ask of it.
//!
//! ```no_run
//! # async fn example() -> Result<(), openai_fake::Error> {
//! use openai_fake::{FakeOpenAi, Gate, Reply};
//!
//! let fake = FakeOpenAi::start().await?;
//! let halfway = Gate::new();
//! fake.reply(Reply::text("Hello there").hold_at(5, halfway.clone()));
//!
//! // … give `fake.base_url()` and any key to a client, and ask something …
//!
//! halfway.reached().await; // the first word is on the wire, the second is not
//! halfway.open();
//! assert_eq!(fake.requests().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Events and their numbers
//!
//! A streamed answer is a row of events numbered from 0; the number is also the event's
//! `sequence_number`. A plain text reply of *d* deltas is:
//!
//! | number | event |
//! |---|---|
//! | 0 | `response.created` |
//! | 1 | `response.in_progress` |
//! | 2 | `response.output_item.added` |
//! | 3 | `response.content_part.added` |
//! | 4 … 3+d | `response.output_text.delta` |
//! | 4+d | `response.output_text.done` |
//! | 5+d | `response.content_part.done` |
//! | 6+d | `response.output_item.done` |
//! | 7+d | `response.completed` |
//!
//! The steps of a [`Reply`] (`hold_at`, `disconnect_at`, `raw_event_at`, …) name these numbers.
//! Number 8+d is the end of the body.
//!
//! The same reply is, as a chat completion, a row of chunks, which are counted but carry no number. The chunk that ends
//! the answer is 1+d; the usage, if it was asked for, is the next, and `[DONE]` the last. Several choices of one number
//! are chunks side by side.
//!
//! | number | chunk |
//! |---|---|
//! | 0 | the role |
//! | 1 … d | text |
//! | 1+d | the finish reason |
//!
//! Thoughts, and the text of scripted messages, come before the text, function calls in three chunks each after it.
//!
//! As a run of an assistant it is:
//!
//! | number | event |
//! |---|---|
//! | 0 … 2 | `thread.run.created`, `thread.run.queued`, `thread.run.in_progress` |
//! | 3, 4 | `thread.run.step.created`, `thread.run.step.in_progress` |
//! | 5, 6 | `thread.message.created`, `thread.message.in_progress` |
//! | 7 … 6+d | `thread.message.delta` |
//! | 7+d | `thread.message.completed` |
//! | 8+d | `thread.run.step.completed` |
//! | 9+d | `thread.run.completed` |
//! | 10+d | `done` |
//!
//! Scripted messages come before number 3; function calls are a step of their own behind the message, and then the run
//! is at `thread.run.requires_action`. The outputs are answered by the next reply.
//!
//! # In the background
//!
//! A response with `background: true` is a task of the server: it goes through `queued` and
//! `in_progress` to its end, whether or not a client is there. `response.queued` is its event 1,
//! and all others move up by one. Of the steps of its reply,
//!
//! * gates, delays, `keepalive_at` and `keepalive_every` concern the response: all who wait for it
//!   wait, and a keepalive has its number in every stream of it;
//! * cuts, stalls, raw bytes, malformed and padded events concern connections: each happens once,
//!   to the first connection (of the creation or a resumption) that comes to that number, and when
//!   that event is there to be sent. The response runs on. So `disconnect_at(5).disconnect_at(8)`
//!   cuts the first stream and its first resumption. Without a stream, a cut at 0 loses the answer
//!   to the creation, and the other steps do nothing;
//! * the shape (`chunks_of`, `crlf`, `comment_every`, …) is that of every connection.
//!
//! Every run of an assistant is such a task, and its stream one connection to it. It cannot be resumed.
//!
//! # Where the real service is not documented
//!
//! The fake had to choose: a response that fails, or whose client leaves, adds nothing to its
//! conversation; neither does one with `store: false`. A cancelled response keeps no output, and
//! its streams end without an event that says so. Items of a deleted conversation are still
//! held ([`FakeOpenAi::items`]) but no longer reachable over HTTP. A conversation may be deleted
//! while a response runs on it; that response then has nowhere to put its items. An empty text
//! is no input. A chat completion that fails, and is not streamed, is a status: 429 for `rate_limit_exceeded`, else 500. A
//! run that is cancelled or expires keeps what its message had come to; it is cancelled by the time of the answer, which
//! says `cancelling`. A thread may be deleted while a run is active, which then has nowhere to go. What a compaction stands for is in it, sealed: the demo model cannot read it either.
//!
//! Unlike the real service, it takes any model and any key until it is told which there are
//! ([`FakeOpenAi::models`], [`FakeOpenAi::keys`]). Until then `GET /models` lists one, `demo`.

mod checks;
mod error;
mod fake;
mod holdings;
mod script;
mod service;
mod wire;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use fake::{API_KEY, FakeOpenAi};
pub use script::{
    gate::Gate,
    reply::{ErrorEvent, Reply},
};
pub use service::{input::Input, request::Request};

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
