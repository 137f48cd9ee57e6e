//! One error type; each case says what happened and what to do about it.

use std::fmt::{Debug, Display, Write};

use diesel::result::Error as DieselError;

use crate::model::{Messageable, Reason, RunStatus, ToolCallStatus};

mod database;
mod provider;
mod status;

use database::refusal;
pub use provider::ProviderError;

/// Any error of a host's hook or transaction.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// What a hook returns. An error is logged; it never disturbs the run.
pub type HookResult = std::result::Result<(), BoxError>;
/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Each variant says what to do about it, most in their text, too.
///
/// No variant holds a key. Only [`Invalid`](Self::Invalid) holds text of a conversation, the first 120 characters of a refused value,
/// and [`NeverSaid`](Self::NeverSaid) the text that was looked for; but a message of the provider or the database may quote some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database refused a statement. The text says what to do, where the database's own words do not: make it writable, free
    /// some space, end the transaction that holds a lock.
    ///
    /// It is [`diesel::NotFound`] when a statement of the host's own, in a transaction or a loader, did not find its row.
    #[error("{}", refusal(.0))]
    Database(#[source] DieselError),
    /// The tables are not there: run the migrations, with [`AiEngine::start`](crate::AiEngine::start) or
    /// [`migrate`](crate::migrate()).
    #[error(
        "the tables of ai-engine are missing ({0}); run the migrations first: `engine.migrate().await` or `ai_engine::migrate(&mut conn)`"
    )]
    NotMigrated(String),
    /// The migrations could not be run. They are one transaction, so none of them was. Remove the cause that the text names, and run
    /// them again.
    #[error("the migrations could not be run: {0}")]
    Migration(String),
    /// There was no connection to the database. Check that it is up, that its address is right, and that the pool is large enough;
    /// the call may then be repeated.
    #[error("no database connection: {0}")]
    Connection(String),
    /// Work on a database connection panicked, most likely the host's own in a transaction or a loader; its transaction was rolled
    /// back. The text is the panic's.
    #[error("work on a database connection panicked, and its transaction was rolled back: {0}")]
    Panicked(String),
    /// A value is out of its limits. Nothing was stored or sent; change the value as the reason says.
    #[error("{field} {value} {reason}")]
    #[non_exhaustive]
    Invalid {
        /// The field.
        field: &'static str,
        /// The value, shortened.
        value: String,
        /// What the limit is.
        reason: String,
    },
    /// The definition asks for what the provider's protocol cannot do. Nothing was stored or sent; do what the advice says, or
    /// leave it out of the definition.
    #[error("{what} cannot be had in the protocol {protocol}: {advice}")]
    #[non_exhaustive]
    Unsupported {
        /// What was asked for.
        what: String,
        /// The protocol's name.
        protocol: &'static str,
        /// What to do instead.
        advice: &'static str,
    },
    /// There is no such row, it was deleted, or it belongs to another owner than the one asked. A web handler answers with 404.
    #[error("no {what} with id {id} here")]
    #[non_exhaustive]
    NotFound {
        /// Kind of row.
        what: &'static str,
        /// The id looked for.
        id: String,
    },
    /// The thread or chat has a run that has not ended. Nothing was stored. Wait for that run or cancel it, or say with
    /// [`RunRequest::when_busy`](crate::RunRequest::when_busy) what to do instead.
    #[error("run {run_id} is still active on {on}; wait for it or cancel it")]
    #[non_exhaustive]
    Busy {
        /// The active run.
        run_id: i64,
        /// The thread or chat.
        on: Messageable,
    },
    /// The run has its whole answer, so there is nothing to retry. Nothing was stored. For another answer to the same question use
    /// [`Run::regenerate`](crate::Run::regenerate).
    #[error("run {run_id} has its whole answer; use `regenerate` for another one")]
    #[non_exhaustive]
    Answered {
        /// The run.
        run_id: i64,
    },
    /// The call of a tool does not wait for such a decision, or not any more: somebody was faster, its time is over, or its run has
    /// ended. Nothing was changed; the first decision stands.
    #[error("tool call {tool_call_id} does not wait for this decision: it is {status}")]
    #[non_exhaustive]
    Decided {
        /// The call.
        tool_call_id: i64,
        /// What it is.
        status: ToolCallStatus,
    },
    /// An answer does not have the form of the type that it was to be read as. It is stored as it is; ask again, or show its text.
    #[error("the answer does not fit{}: {reason}", at(.path))]
    #[non_exhaustive]
    Mismatch {
        /// The place in it, such as `lines[0].count`; empty for the whole.
        path: String,
        /// Why.
        reason: String,
        /// The answer.
        text: String,
    },
    /// The owner of the thread or chat refuses the run
    /// ([`MessageHooks::ai_engine_before_run`](crate::MessageHooks::ai_engine_before_run)). Nothing was stored. The reason is for whoever asked.
    #[error("the run was refused: {reason}")]
    #[non_exhaustive]
    Refused {
        /// Why, in the host's words.
        reason: String,
    },
    /// The engine cannot load owners of this type: give its builder a loader
    /// ([`EngineBuilder::owner`](crate::EngineBuilder::owner)).
    #[error(
        "no loader for owners of type {0:?}; add `.owner::<…>(…)` for it to the engine's builder"
    )]
    NoLoader(String),
    /// An owner's stored id does not parse as the [`Id`](crate::Record::Id) of its type. That type has to read all ids that were
    /// stored before; most likely it was changed, or two types share one name.
    #[error(
        "the stored owner id {id:?} does not parse as an id of {kind:?}; its `Record::Id` must read all ids stored before"
    )]
    #[non_exhaustive]
    OwnerId {
        /// [`Record::TYPE`](crate::Record::TYPE).
        kind: String,
        /// The stored id.
        id: String,
    },
    /// The engine was built without a provider, or a setting is wrong: the text names it.
    #[error("{0}")]
    Configuration(String),
    /// The engine has no provider of this name, which a definition or a request asks for: nothing was stored or sent. Give it to the
    /// builder ([`EngineBuilder::provider`](crate::EngineBuilder::provider)), or ask for one of the known ones.
    #[error(
        "no provider {name:?} in this engine, which has {known:?}; add `.provider({name:?}, …)` to its builder"
    )]
    #[non_exhaustive]
    UnknownProvider {
        /// The name asked for.
        name: String,
        /// The names of those that it has, the default one first.
        known: Vec<String>,
    },
    /// The builder was given no state of this type ([`EngineBuilder::state`](crate::EngineBuilder::state)).
    #[error("no state of type {0}; add `.state(…)` to the engine's builder")]
    NoState(&'static str),
    /// The provider's client could not be built, or a call that the host made itself with it failed: see
    /// [`ProviderError::reason`] for the kind of failure. What fails inside a run is [`Error::RunFailed`].
    #[error("the provider's call failed")]
    Provider(#[source] ProviderError),
    /// The assistant is stored, and the provider's own one is not as it is, yet: it took too long, another process is at it, or the
    /// stored definition cannot be read. It is tried again by any started engine.
    #[error("assistant {assistant_id} is stored, and not yet at the provider: {message}")]
    #[non_exhaustive]
    AssistantNotInStep {
        /// The assistant.
        assistant_id: i64,
        /// What stood in the way.
        message: String,
    },
    /// The engine is being shut down and takes no new run: nothing was stored. Submit it to another process, or after the restart.
    ///
    /// [`AiEngine::answer`](crate::AiEngine::answer) returns it when the engine was shut down before the run ended. That run is stored
    /// and recovered by another process, which can be asked for its answer.
    #[error(
        "the engine is being shut down and takes no new run; submit it to another process, or after the restart"
    )]
    ShuttingDown,
    /// The run ended without an answer. It is stored, with this text, and so is the question: submitting the next one goes on with
    /// the thread. The reason tells whether it makes sense to ask the same again.
    #[error("run {run_id} failed ({reason}): {message}")]
    #[non_exhaustive]
    RunFailed {
        /// The run.
        run_id: i64,
        /// Why, in a word; also in the run's `reason`.
        reason: Reason,
        /// Why, in a sentence; also in the run's `error`.
        message: String,
    },
    /// The run ended, and the text that was waited for ([`Run::until_text`](crate::Run::until_text)) is in none of its stored messages.
    #[error("run {run_id} has ended ({status}) and never said {text:?}")]
    #[non_exhaustive]
    NeverSaid {
        /// The run.
        run_id: i64,
        /// How it ended.
        status: RunStatus,
        /// The text that was waited for.
        text: String,
    },
    /// The run was deleted while it was waited for or followed, with its thread or chat. There is no more of it.
    #[error("run {0} was deleted")]
    RunGone(i64),
    /// This process had to give the run up. It is stored, and a started engine ([`AiEngine::start`](crate::AiEngine::start)) ends it:
    /// ask for its answer again later.
    #[error("run {run_id} could not be driven to its end here, and will be recovered: {message}")]
    #[non_exhaustive]
    NotDriven {
        /// The run.
        run_id: i64,
        /// What stood in the way.
        message: String,
    },
    /// The engine was awaited, by `block_on`, in a transaction or loader that runs on one of its own connections. Nothing was done:
    /// use the method with the suffix `_in`, or await after the commit.
    #[error(
        "the engine was awaited in the middle of a transaction, for which it would wait in turn; use the method with the suffix `_in`, which takes the transaction's connection, or await it after the commit"
    )]
    WithinTransaction,
    /// An error of the host, passed through a transaction ([`Error::host`]); its source is that error.
    #[error("the host's work failed")]
    Host(#[source] BoxError),
}

impl Error {
    /// Wraps an error of the host, to pass it through a transaction.
    pub fn host(error: impl Into<BoxError>) -> Self {
        Self::Host(error.into())
    }

    /// `value` is shown as Rust shows it: text in quotes, numbers bare.
    pub(crate) fn invalid(
        field: &'static str,
        value: impl Debug,
        reason: impl Into<String>,
    ) -> Self {
        let mut start = Start::default();
        // It cannot fail: nothing that writes to text does.
        let _ = write!(start, "{value:?}");
        Self::Invalid { field, value: start.finish(), reason: reason.into() }
    }

    pub(crate) fn not_found(what: &'static str, id: impl Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// The error for logs: what the provider says does not belong there.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Provider(error) => format!("{self}: {}", error.brief),
            // What the provider said of it may be in there.
            Self::AssistantNotInStep { assistant_id, .. } => {
                format!("assistant {assistant_id} is not in step with the provider's own")
            }
            other => with_causes(other),
        }
    }
}

/// A place in an answer, for a sentence.
fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at `{path}`") }
}

/// The start of a value: enough to find it, not enough to flood a log.
pub(crate) fn shortened(text: &str) -> String {
    let mut start = Start::default();
    let _ = start.write_str(text);
    start.finish()
}

/// Keeps the start of what is written and counts the rest, which may be large.
#[derive(Default)]
struct Start {
    text: String,
    chars: usize,
    bytes: usize,
}

impl Start {
    const CHARS: usize = 120;

    fn finish(self) -> String {
        if self.text.len() == self.bytes {
            self.text
        } else {
            format!("{}… ({} bytes)", self.text, self.bytes)
        }
    }
}

impl Write for Start {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes += text.len();
        for char in text.chars().take(Self::CHARS - self.chars) {
            self.text.push(char);
            self.chars += 1;
        }
        Ok(())
    }
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
