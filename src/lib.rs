//! Turns a host app's own structs into AI assistants. Threads, runs and messages live in the host's own SQLite or PostgreSQL
//! database, through Diesel.
//!
//! * A struct of yours becomes an assistant by one trait, another the owner of conversations by another one.
//! * A question is stored before the model is asked; answers stream through hooks on your types, and as events to web pages.
//! * What was submitted outlives a crash: another process, or the same one after its restart, ends or repeats the run.
//! * Any number of processes work on one database, and one run at a time on each thread.
//! * It speaks OpenAI's Responses and Chat Completions, also to other servers, and the Assistants API to those that still have it.
//!
//! # A first example
//!
//! With the in-process provider of the feature `testing` and a database in memory, so it needs no key and no network:
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
//!     .openai(fake.openai()?) // in your app: OpenAi::from_env()?
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
//! # Where to go from here
//!
//! * The [guide] goes through everything a host does, one question a chapter, from [first steps](guide::first_steps) over a
//!   [web app](guide::a_web_app) to [what an error means](guide::operations).
//! * The examples: [`quickstart`] is a whole program with a database of its own, [`web`] a web app, [`chat`] a server for
//!   `useChat` and AG-UI, [`tools`] an assistant that asks before it acts, [`worker`] a process that only works, [`metrics`] its
//!   gauges. The repository has a whole app besides, `examples/storyteller`.
//! * [How it works, and why][design]; [what each place to crash at leaves][crashes]; [what changed][changelog].
//!
//! [guide]: mod@guide
//! [`quickstart`]: https://docs.rs/crate/ai-engine/latest/source/examples/quickstart.rs
//! [`web`]: https://docs.rs/crate/ai-engine/latest/source/examples/web.rs
//! [`chat`]: https://docs.rs/crate/ai-engine/latest/source/examples/chat.rs
//! [`tools`]: https://docs.rs/crate/ai-engine/latest/source/examples/tools.rs
//! [`worker`]: https://docs.rs/crate/ai-engine/latest/source/examples/worker.rs
//! [`metrics`]: https://docs.rs/crate/ai-engine/latest/source/examples/metrics.rs
//! [design]: https://docs.rs/crate/ai-engine/latest/source/docs/DESIGN.md
//! [crashes]: https://docs.rs/crate/ai-engine/latest/source/docs/CRASHES.md
//! [changelog]: https://docs.rs/crate/ai-engine/latest/source/CHANGELOG.md
//!
//! The parts, in the order in which a host meets them:
//!
//! | | |
//! |---|---|
//! | [`Record`], [`record!`] | a row of yours, by its type and id |
//! | [`Assistable`] | a row that is an assistant |
//! | [`MessageHooks`] with [`Threadable`] or [`Chattable`] | a row that owns threads or chats, and what it is told of them |
//! | [`SqliteDatabase`], `PgDatabase` | your database, by its address or as your own pool |
//! | [`OpenAi`] | the client of the provider |
//! | [`AiEngine`] | built once in each process, with [`AiEngine::builder`]; [`start`](AiEngine::start) makes the process take part, until [`shutdown`](AiEngine::shutdown) |
//! | [`RunRequest`] | a question: awaited it gives an [`Answer`], streamed [`RunEvents`] |
//! | [`AssistantThread::events`] | what a page follows, as [`Sse`]; after a reconnect it goes on with [`Events::resume`] |
//! | [`ui`] | the same for pages that speak the AI SDK's protocol (`useChat`), or AG-UI |
//! | [`PriceList`] | what models cost, and so what a [`Usage`] did; the models to choose from |
//!
//! **Ids that a browser sends.** Ask the owner: [`AssistantThreads::find`], [`Chats::find`] and [`OwnedRuns`] find what belongs to
//! that owner, and nothing else. The methods of [`AiEngine`], and those of a [`Run`], an [`AssistantThread`] or a [`Chat`] that you
//! hold already, do not check who owns it.
//!
//! # Features
//!
//! At least one database is needed. The default is `sqlite-bundled` and `rustls`.
//!
//! | feature | |
//! |---|---|
//! | `sqlite` | SQLite through the system's library. |
//! | `sqlite-bundled` | SQLite compiled in: nothing to install. |
//! | `postgres` | PostgreSQL through the system's libpq. |
//! | `postgres-bundled` | PostgreSQL with libpq compiled in (needs OpenSSL's headers). |
//! | `rustls` | TLS towards the provider: rustls with the platform's certificates. |
//! | `native-tls` | TLS towards the provider: the platform's own TLS library. |
//! | `axum` | For hosts with axum 0.8: `Error`, `Sse` and `ui::UiStream` are answers, `LastEventId` is an argument of a handler. |
//! | `signal` | `AiEngine::shutdown_on_signal`: in good order at Ctrl-C and SIGTERM. |
//! | `testing` | For your tests: `ai_engine::testing`, an in-process provider with real state and scripted faults. |
//!
//! Features that begin with an underscore are for this crate's own tests: what they open may change in any release.
//!
//! # Promises
//!
//! * No HTTP happens while a transaction is open.
//! * Once a run is submitted, no crash of the process loses the user's message or the run.
//! * One run at a time per thread or chat, across processes.
//! * A run whose process died ends by itself, in any started engine, soon after the process's lease has ended.
//! * Text that arrived is kept, whatever breaks afterwards; a kill loses at most the last 250 ms of text, as long as the
//!   database accepts writes.
//! * A question is not asked again once output arrived, nor because an answer cannot be read: another call would give another
//!   answer, and be paid for as well.
//! * Hooks are called after the commit, in order, and cannot harm a run.
//!
//! # Versions
//!
//! The crate follows [Semantic Versioning](https://semver.org): before 1.0, `0.x` to `0.x+1` may break, `0.x.y` to `0.x.y+1` does
//! not. What changed is in the [changelog].
//!
//! * **Stable** is all that is documented here, except for what is listed next. `docs/public-api.txt` in the repository lists it, and
//!   each change is compared with that list.
//! * **Unstable** is [`openai::unstable`], the requests and events of the protocol: it may change in any release. So may
//!   `testing::conformance`, the texts of errors and of log lines, the text form of a [`Cursor`] (old ones stay readable), and
//!   whatever is hidden from this documentation.
//! * **Enums and structs grow.** Nearly all are `#[non_exhaustive]`: match with a `_` arm, and build them by their methods.
//! * **The oldest Rust** (MSRV) is 1.95. Raising it is a minor release.
//! * **Dependencies that you see**: `diesel` 2, `chrono` 0.4, `serde` 1 and `serde_json` 1, `futures-core` 0.3, and a `tokio` 1
//!   runtime. A new major version of one of them is a breaking release here.
//! * **The database schema.** A migration that was released never changes. New ones are added, and run by
//!   [`start`](AiEngine::start) or [`migrate`]. They keep what is stored. Columns of [`schema`] may be added in a minor release.
//! * **Rolling deploys.** A migration leaves the release before it working, so processes of that release go on beside newer ones. One
//!   that *starts* after a newer release has migrated is refused with [`Error::Migration`]. Nothing migrates down.
//!
//! # Runtime, threads and panics
//!
//! Whatever is awaited needs a `tokio` runtime, of one thread or of several. A run is driven by tasks on the runtime that it was
//! submitted on. Statements run on the runtime's blocking threads; nothing here blocks another one of its threads. [`AiEngine`],
//! the databases and [`OpenAi`] are `Send`, `Sync` and cheap to clone.
//!
//! No value that a host, a browser or a provider gives makes a method panic; awaiting outside of a `tokio` runtime does, as with
//! `tokio` itself. A panic of yours in a hook is logged and changes nothing; in a transaction it rolls back and becomes
//! [`Error::Panicked`].
//!
//! # Dropping a future
//!
//! Any future of this crate may be dropped at any time, as web servers do when a browser leaves. A transaction is then either made
//! or not; a run that was submitted goes on. Each method says under *Cancellation* what that means for it.
//!
//! # Logs
//!
//! Through `tracing`. All targets begin with `ai_engine`, so `ai_engine=info` in an `EnvFilter` is a good start.
//!
//! | level | |
//! |---|---|
//! | error | to be looked into: a hook panicked or hung, the database refuses the end of a run, this process lost its lease |
//! | warn | something failed and is tried again, or was done another way: a call, a hook, a remote deletion, a lost conversation |
//! | info | each run that was driven to its end: `status`, `reason`, tokens, `attempts`, `duration_ms`, `first_word_ms`. The provider's conversation was compared with what is stored here, after an answer that broke off |
//! | debug | each HTTP request, and each failed write. Requests have a span `openai` with `method` and `path`, and events with `attempt`, `status` and `request_id` |
//!
//! Each run has a span `run` (target `ai_engine::run`, level info) while it is driven, with the names of
//! [OpenTelemetry's conventions for generative AI](https://github.com/open-telemetry/semantic-conventions-genai), such as
//! `gen_ai.request.model`, `gen_ai.usage.input_tokens`, `error.type`, and `ai_engine.run.id`, `ai_engine.run.status` and the like beside
//! them. It is a child of the span in which the run was submitted here; with a [`TraceContext`] it belongs to that trace in any process.
//! [`AiEngine::stats`] says what goes on, for gauges.
//!
//! Events carry the id of the run or thread as a field. At no level do they hold text of a conversation, instructions, an API key,
//! the values of headers that you set, or bodies of requests and answers; nor do spans, unless
//! [`EngineBuilder::trace_content`] has them show what was said. An error of your own hook is logged as it is, and so is
//! an error of the database, which may quote a value.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!(
    "ai-engine needs a database: enable the feature `sqlite`, `sqlite-bundled`, `postgres` or `postgres-bundled`"
);

#[cfg(feature = "axum")]
pub mod axum;
mod drive;
mod engine;
mod error;
mod failpoint;
mod follow;
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub mod fuzzing;
// For the documentation alone, and for the tests of its snippets, which need SQLite.
#[cfg(all(doc, any(not(doctest), feature = "sqlite")))]
pub mod guide;
mod host;
mod item;
mod model;
pub mod openai;
mod price;
mod provider;
pub mod schema;
mod store;
mod submit;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod tool;
pub mod ui;
mod worker;

pub use engine::{AiEngine, EngineBuilder, History, Identify};
pub use error::{BoxError, Error, HookResult, ProviderError, Result};
pub use follow::cursor::Cursor;
pub use follow::event::{Event, EventKind};
pub use follow::events::{Events, RunEvents};
pub use follow::owner_cursor::OwnerCursor;
pub use follow::owner_events::{OwnerEvent, OwnerEvents};
pub use follow::sse::Sse;
pub use host::assistable::Assistable;
pub use host::before_run::{BeforeRun, Refusal, RunProposal};
pub use host::chattable::Chattable;
pub use host::composite_id::CompositeId;
pub use host::conversations::{AssistantThreads, Chats, Conversation, Conversations};
pub use host::create::ConversationRequest;
pub use host::forget::Forgotten;
pub use host::hooks::{HookContext, MessageHooks};
pub use host::messages::{MessageRequest, Messages};
pub use host::orphans::{Orphan, Orphans, UnregisteredType};
pub use host::owned_events::OwnedEvents;
pub use host::owned_runs::OwnedRuns;
pub use host::record::Record;
pub use host::threadable::Threadable;
pub use host::tool_calls::{OwnedToolCalls, ToolCalls};
pub use host::trace_context::TraceContext;
pub use host::usage::OwnedUsage;
pub use model::{
    Annotation, Answer, Assistant, AssistantDefinition, AssistantThread, AssistantVersion, Backlog,
    Chat, ChatSummary, Content, Costs, DatabaseStats, DefinitionChange, Fallback, Message,
    MessageStatus, Messageable, Money, Page, PageToken, Paged, Part, PartKind, ProcessStats,
    Reason, Recovery, RemoteState, Repeatable, Role, Run, RunStatus, Stats, ThreadSummary,
    TitleAuthor, ToolCall, ToolCallStatus, Turn, Usage, UsageReport, UsageRow,
};
pub use openai::OpenAi;
pub use price::{
    Billable, Cost, ModelOption, Price, PriceList, PriceListBuilder, ServiceTier, Skipped, Unpriced,
};
/// The crate whose `JsonSchema` tools and typed answers derive.
pub use schemars;
pub use store::database::Database;
pub use store::migrate::migrate;
#[cfg(feature = "postgres")]
pub use store::postgres::PgDatabase;
pub use store::session::Session;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteDatabase;
pub use submit::asked::Busy;
pub use submit::decide::Decision;
pub use submit::request::RunRequest;
pub use tool::{Approval, Tool, ToolContext, ToolError};
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

/// The traits a host implements or calls.
pub mod prelude {
    #[cfg(feature = "testing")]
    pub use crate::testing::FakeClient;
    pub use crate::{
        Assistable, Chattable, MessageHooks, OwnedEvents, OwnedRuns, OwnedToolCalls, OwnedUsage,
        Record, Threadable, Tool,
    };
}
