//! The client of OpenAI, and of servers that speak one of its protocols ([`Protocol`]): its settings, its key and its errors.
//!
//! An engine is built with an [`OpenAi`], and makes all calls itself. A host sets the client up, and reads the [`Error`] of a
//! call that failed.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ai_engine::openai::OpenAi;
//!
//! # fn main() -> Result<(), ai_engine::openai::Error> {
//! let openai = OpenAi::builder()
//!     .api_key("sk-…")
//!     .base_url("https://models.example.com/v1")
//!     .idle_timeout(Duration::from_secs(120))
//!     .build()?;
//! # let _ = openai;
//! # Ok(())
//! # }
//! ```
//!
//! What is exported here is stable. The requests, responses and events of the protocol are in [`unstable`].
//!
//! The client does four things and keeps nothing: it sends a request, decides whether to send it again, decodes the answer or
//! the stream of events leniently, and keeps all of it within limits of time and size. It knows no database.
//!
//! # Guarantees
//!
//! * Unknown events, items, fields and values are never errors; missing ones neither. An event that cannot be read is
//!   skipped while others can come.
//! * JSON is kept as sent, but for NUL, which becomes U+FFFD: not every database can store it.
//! * The API key, the values of headers that the host sets, and the user name and password of a URL appear in no `Debug`
//!   form, error or log; what is shorter than eight characters is not looked for in texts.
//! * Every wait and every size has a limit, and the error names the setting that raises it.
//! * A request is repeated only while no good answer has begun; a stream is never repeated, and nothing that was answered
//!   with a 200 is asked again for its form.
//!
//! # Logs
//!
//! `tracing` at level debug: a span `openai` for each call with `method` and `path`, and events
//! with `attempt`, `status` and `request_id`. Bodies and headers are not logged.

mod address;
mod answer;
mod api_error;
mod assistants;
mod body;
mod chat;
mod client;
mod config;
mod conversations;
mod delta;
mod error;
mod event;
mod fault;
mod item;
mod key;
mod lenient;
mod limits;
mod plain;
mod protocol;
mod repair;
mod request;
mod responses;
pub(crate) mod retry;
mod secrets;
#[cfg_attr(not(feature = "_internal"), allow(unreachable_pub, reason = "fuzzing reaches it"))]
mod sse;
#[cfg_attr(not(feature = "_internal"), allow(dead_code, reason = "fuzzing uses more of it"))]
mod stream;
pub mod unstable;
mod wire;

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod ways_tests;

pub use api_error::ApiError;
pub use client::OpenAi;
pub use config::OpenAiBuilder;
pub use error::{Error, Result};
pub use key::ApiKey;
pub use protocol::Protocol;

// Assistants: for `provider/` alone.
pub(crate) use assistants::{
    AssistantSettings, CreateRun, Run, RunEventKind, RunStream, ThreadMessage, run_in_the_way,
};
// Chat completions: for `provider/` alone.
pub(crate) use chat::{ChatEvent, ChatStream, Completion, CreateChatCompletion, Part, Piece};
pub(crate) use fault::Fault;
// Within the crate the protocol is as close as the client.
pub(crate) use unstable::{
    Conversation, Conversations, CreateConversation, CreateResponse, Item, ItemPage, ListItems,
    Order, Response, ResponseError, ResponseStream, Responses, StreamEvent, StreamEventKind,
};

// For benchmarks and fuzzing only.
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub use sse::{SseEvent, decode as decode_sse};
