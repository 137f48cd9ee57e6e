//! A thin client of OpenAI's Responses and Conversations APIs, and of servers that speak the same
//! protocol.
//!
//! It does four things and keeps nothing: it sends a request, decides whether to send it again,
//! decodes the answer or the stream of events leniently, and keeps all of it within limits of time
//! and size. It knows no database.
//!
//! ```no_run
//! use ai_engine::openai::{CreateResponse, Item, OpenAi, StreamEventKind};
//!
//! # async fn example() -> Result<(), ai_engine::openai::Error> {
//! let openai = OpenAi::from_env()?;
//! let mut request = CreateResponse::new("gpt-6-luna");
//! request.input.push(Item::message("user", "Tell me a story"));
//!
//! let mut stream = openai.responses().stream(&request).await?;
//! while let Some(event) = stream.next().await {
//!     match event?.kind {
//!         StreamEventKind::OutputTextDelta { delta, .. } => print!("{delta}"),
//!         StreamEventKind::Completed(response) => println!("\n{:?}", response.usage),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
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
mod body;
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
mod plain;
mod repair;
mod request;
mod responses;
pub(crate) mod retry;
mod secrets;
mod sse;
mod stream;
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
pub use conversations::Conversations;
pub use error::{Error, Result};
pub use event::{StreamEvent, StreamEventKind};
pub(crate) use fault::Fault;
pub use item::Item;
pub use key::ApiKey;
pub use request::{CreateConversation, CreateResponse, ListItems, MAX_ITEMS, Order};
pub use responses::Responses;
pub use stream::ResponseStream;
pub use wire::{Conversation, ItemPage, Response, ResponseError, Usage};

// For benchmarks and fuzzing only.
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub use sse::{SseEvent, decode as decode_sse};
