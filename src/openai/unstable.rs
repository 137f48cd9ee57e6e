//! **Unstable:** the protocol's requests, responses, items and events, and the endpoints that take and give them.
//!
//! It follows OpenAI's API description, which changes often, so anything here may change or go in any release, a minor or a
//! patch release included. Whoever uses it pins the exact version of this crate (`ai-engine = "=0.1.0"`). What an engine does
//! with it, and all that is outside of this module, is stable.
//!
//! ```no_run
//! use ai_engine::openai::unstable::{CreateResponse, Item, Responses, StreamEventKind};
//! use ai_engine::openai::{Error, OpenAi};
//!
//! # async fn example() -> Result<(), Error> {
//! let openai = OpenAi::from_env()?;
//! let mut request = CreateResponse::new("gpt-6-luna");
//! request.input.push(Item::message("user", "Tell me a story"));
//!
//! let mut stream = Responses::of(&openai).stream(&request).await?;
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
//! # Cancellation
//!
//! Dropping the future of a call, or a stream, closes its connection. Whether the provider has acted by then is unknown.

pub use super::conversations::Conversations;
pub use super::event::{StreamEvent, StreamEventKind};
pub use super::request::{CreateConversation, CreateResponse, ListItems, MAX_ITEMS, Order};
pub use super::responses::Responses;
pub use super::stream::ResponseStream;
pub use super::wire::{Conversation, ItemPage, Response, ResponseError, Usage};
pub use crate::item::Item;
