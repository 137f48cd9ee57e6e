//! Turns a host app's own structs into AI assistants: threads, runs and streamed messages in the host's own database.
//!
//! # The parts
//!
//! * The host implements [`Record`] on its rows, [`Assistable`] on what shall answer, [`MessageHooks`] with [`Threadable`]
//!   or [`Chattable`] on whoever asks.
//! * [`AiEngine`] is built once per process from a database ([`SqliteDatabase`], `PgDatabase`) and a provider
//!   ([`OpenAi`]).
//! * [`AiEngine::start`] makes the process take part: it migrates, and looks after what dead processes left until
//!   [`AiEngine::shutdown`].
//! * [`Assistable::ai_engine_run`] makes a [`RunRequest`]: awaited it gives an [`Answer`], streamed [`RunEvents`].
//! * A page follows a thread with [`AssistantThread::events`], and comes back after a reconnect with [`Events::resume`].
//!
//! Whoever is given an id by a browser asks the owner: [`AssistantThreads::find`], [`Chats::find`] and [`OwnedRuns`] find what is
//! the owner's, and nothing else. The verbs of [`AiEngine`], and those of a [`Run`], an [`AssistantThread`] or a [`Chat`] that the
//! host holds already, check nobody's ownership.
//!
//! # The smallest run
//!
//! With the in-process provider of the feature `testing` and a database in memory:
//!
//! ```
//! use ai_engine::testing::{FakeOpenAi, Reply};
//! use ai_engine::{AiEngine, AssistantDefinition, RunStatus, SqliteDatabase, prelude::*};
//!
//! struct User { id: i64 }
//! struct Storyteller { id: i64 }
//! ai_engine::record! { User { id: i64 } as "User", Storyteller { id: i64 } as "Storyteller" }
//! impl MessageHooks for User {}
//! impl Threadable for User {}
//! impl Assistable for Storyteller {
//!     fn ai_engine_assistant(&self) -> AssistantDefinition {
//!         AssistantDefinition::new("gpt-6-luna").instructions("You tell short stories.")
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ai_engine::BoxError> {
//! let fake = FakeOpenAi::start().await?;
//! fake.reply(Reply::text("Once upon a time."));
//! let engine = AiEngine::builder(SqliteDatabase::in_memory()?)
//!     .openai(fake.openai()?)
//!     .owner::<User>(|_conn, id| Ok(Some(User { id })))
//!     .build()?;
//! engine.start().await?;
//!
//! let thread = User { id: 1 }.assistant_threads(&engine).create().await?;
//! let answer = Storyteller { id: 1 }.ai_engine_run(&engine, &thread, "Tell me a story").await?;
//! assert_eq!(answer.run.status, RunStatus::Completed);
//! assert_eq!(answer.text(), "Once upon a time.");
//! # Ok(())
//! # }
//! ```
//!
//! # Promises
//!
//! * No HTTP happens while a transaction is open.
//! * Once a run is submitted, no crash of the process loses the user's message or the run.
//! * One run at a time per thread or chat, across processes.
//! * A run whose process died ends by itself, in any started engine, soon after the process's lease has ended.
//! * Text that arrived is kept, whatever breaks afterwards; a kill loses at most the last 250 ms of text, as long as the
//!   database takes the writes.
//! * Nothing is asked again once output arrived, nor because an answer cannot be read: the next one would be another one, and paid
//!   for twice.
//! * Hooks are called after the commit, in order, and cannot harm a run.
//!
//! # Dropping a future
//!
//! Any future of this crate may be dropped at any time, as web servers do when a browser leaves. A transaction is then either made
//! or not; a run that was submitted goes on. Where there is more to say, the method says it under *Cancellation*.
//!
//! # Logs
//!
//! Through `tracing`: errors and warnings for what a person should look into, each with the run's id; the client's calls at
//! level debug. No text of a conversation and no key is logged.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!(
    "ai-engine needs a database: enable the feature `sqlite`, `sqlite-bundled`, `postgres` or `postgres-bundled`"
);

mod drive;
mod engine;
mod error;
mod failpoint;
mod follow;
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod model;
pub mod openai;
mod provider;
pub mod schema;
mod store;
mod submit;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod worker;

pub use engine::{AiEngine, EngineBuilder, History};
pub use error::{BoxError, Error, HookResult, ProviderError, Result};
pub use follow::cursor::Cursor;
pub use follow::events::{Event, EventKind, Events, RunEvents};
pub use host::assistable::Assistable;
pub use host::chattable::{Chats, Chattable};
pub use host::hooks::{HookContext, MessageHooks};
pub use host::messages::Messages;
pub use host::owned_runs::OwnedRuns;
pub use host::record::Record;
pub use host::threadable::{AssistantThreads, Threadable};
pub use model::{
    Answer, Assistant, AssistantDefinition, AssistantThread, Chat, Content, Message, MessageStatus,
    Messageable, Page, Reason, Recovery, RemoteState, Role, Run, RunStatus, Usage,
};
pub use openai::OpenAi;
pub use store::database::Database;
pub use store::migrate::migrate;
#[cfg(feature = "postgres")]
pub use store::postgres::PgDatabase;
pub use store::session::Session;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteDatabase;
pub use submit::request::{Busy, RunRequest};
pub use worker::recover::Recovered;
// For tests that have a process die.
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub use failpoint::POINTS as CRASH_POINTS;

/// The README's code compiles.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;

/// The traits a host implements.
pub mod prelude {
    pub use crate::{Assistable, Chattable, MessageHooks, OwnedRuns, Record, Threadable};
}
