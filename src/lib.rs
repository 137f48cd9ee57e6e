//! Turns a host app's own structs into AI assistants: threads, runs and streamed messages in the host's own database.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!(
    "ai-engine needs a database: enable the feature `sqlite`, `sqlite-bundled`, `postgres` or `postgres-bundled`"
);

mod assistable;
mod chattable;
mod engine;
mod error;
mod handle;
mod hooks;
mod model;
pub mod openai;
mod protocol;
mod record;
mod run;
pub mod schema;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod threadable;
mod writer;

pub use assistable::Assistable;
pub use chattable::{Chats, Chattable};
pub use engine::{AiEngine, EngineBuilder, History};
pub use error::{BoxError, Error, HookResult, Result};
pub use handle::Messages;
pub use hooks::{HookContext, MessageHooks};
pub use model::*;
pub use openai::OpenAi;
pub use record::Record;
pub use run::{Recovered, RunEvent, RunEvents, RunRequest};
pub use store::database::Database;
pub use store::migrate::migrate;
#[cfg(feature = "postgres")]
pub use store::postgres::PgDatabase;
pub use store::session::Session;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteDatabase;
pub use threadable::{AssistantThreads, Threadable};

/// The traits a host implements.
pub mod prelude {
    pub use crate::{Assistable, Chattable, MessageHooks, Record, Threadable};
}
