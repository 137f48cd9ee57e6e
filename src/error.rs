//! One error type; each case says what happened and what to do about it.

use std::fmt::{Debug, Display, Write};
use std::sync::Arc;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::model::{Messageable, Reason};

/// Any error of a host's hook or transaction.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// What a hook returns. An error is logged; it never disturbs the run.
pub type HookResult = std::result::Result<(), BoxError>;
/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Each variant says what to do about it, most in their text, too.
///
/// No variant holds a key. Only [`Invalid`](Self::Invalid) holds text of a conversation, the first 120 characters of a refused value;
/// but a message of the provider or the database may quote some.
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
    /// The builder was given no state of this type ([`EngineBuilder::state`](crate::EngineBuilder::state)).
    #[error("no state of type {0}; add `.state(…)` to the engine's builder")]
    NoState(&'static str),
    /// The provider's client could not be built, or a call that the host made itself with it failed: see
    /// [`ProviderError::reason`] for the kind of failure. What fails inside a run is [`Error::RunFailed`].
    #[error("the provider's call failed")]
    Provider(#[source] ProviderError),
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

/// Why the provider's client could not do what it was asked.
#[derive(Debug)]
pub struct ProviderError {
    /// Without any text of the provider's.
    brief: String,
    reason: Reason,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl ProviderError {
    pub(crate) fn new(
        brief: String,
        reason: Reason,
        source: Arc<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self { brief, reason, source }
    }

    /// What kind of failure it is, in one word that is the same on every server.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The client's own error, such as [`openai::Error`](crate::openai::Error).
    #[must_use]
    pub fn downcast_ref<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.source.downcast_ref()
    }
}

impl Display for ProviderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Display::fmt(&self.source, f)
    }
}

impl std::error::Error for ProviderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
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
            other => with_causes(other),
        }
    }

    /// Whether the same work may succeed a moment later: the database is away, locked, full or not to be written to. What
    /// is wrong with the work itself stays wrong.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Database(error) => match error {
                DieselError::DatabaseError(kind, info) => match kind {
                    DatabaseErrorKind::ClosedConnection
                    | DatabaseErrorKind::UnableToSendCommand
                    | DatabaseErrorKind::SerializationFailure
                    | DatabaseErrorKind::ReadOnlyTransaction => true,
                    DatabaseErrorKind::Unknown => {
                        let message = info.message();
                        !["no such ", "does not exist", "syntax error"]
                            .iter()
                            .any(|wrong| message.contains(wrong))
                    }
                    _ => false,
                },
                DieselError::RollbackErrorOnCommit { .. }
                | DieselError::BrokenTransactionManager => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the connection was lost, so that nobody can say whether a commit under way was made.
    pub(crate) fn lost_connection(&self) -> bool {
        use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
        self.database_error()
            .is_some_and(|(kind, _)| matches!(kind, ClosedConnection | UnableToSendCommand))
    }

    /// Whether the database rolled a transaction back for the sake of another, so that it may be done again at once.
    pub(crate) fn is_conflict(&self) -> bool {
        self.database_error().is_some_and(|(kind, message)| match kind {
            DatabaseErrorKind::SerializationFailure => true,
            DatabaseErrorKind::Unknown => DEADLOCK.iter().any(|word| message.contains(word)),
            _ => false,
        })
    }

    /// Whether a lock was waited for longer than `lock_timeout` allows.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        self.database_error().is_some_and(|(kind, message)| {
            matches!(kind, DatabaseErrorKind::Unknown)
                && LOCK_TIMEOUT.iter().any(|words| message.contains(words))
        })
    }

    /// What the database said, also to a commit.
    fn database_error(&self) -> Option<(&DatabaseErrorKind, &str)> {
        let Self::Database(error) = self else { return None };
        let error = match error {
            DieselError::RollbackErrorOnCommit { commit_error, .. } => commit_error,
            error => error,
        };
        match error {
            DieselError::DatabaseError(kind, info) => Some((kind, info.message())),
            _ => None,
        }
    }
}

/// Diesel passes no SQLSTATE on, and has no kind for a deadlock (40P01) nor for a lock that was waited for in vain (55P03).
/// PostgreSQL says both in the language of `lc_messages`; these are the words of its translations.
const DEADLOCK: [&str; 11] = [
    "deadlock",
    "Deadlock",
    "デッドロック",
    "взаимоблокировка",
    "взаємне блокування",
    "ურთიერთბლოკირება",
    "死锁",
    "死結",
    "zakleszczenie",
    "impasse",
    "kilitlenme",
];
const LOCK_TIMEOUT: [&str; 12] = [
    "lock timeout",
    "Zeitüberschreitung einer Sperre",
    "espera de candados",
    "obtention des verrous",
    "timeout di lock",
    "ロックのタイムアウト",
    "ბლოკის მოლოდინის",
    "잠금 대기 시간",
    "тайм-аута блокировки",
    "тайм-аут блокування",
    "lås-timeout",
    "锁超时",
];

/// A database's refusal, or a row that is not there, in words.
fn refusal(error: &DieselError) -> String {
    if matches!(error, DieselError::NotFound) {
        return "a row that was looked for is not there".to_owned();
    }
    format!("the database refused a statement: {error}{}", advice(error))
}

/// What to do about a database's refusal, where its own words do not say.
fn advice(error: &DieselError) -> &'static str {
    const ADVICE: [(&[&str], &str); 5] = [
        (
            &["readonly", "read-only"],
            "; make it writable (the file and its folder, or `default_transaction_read_only`); in a `read`, use `transaction`",
        ),
        (
            &["prepared statement", "bind message supplies"],
            "; a pooler stands in between that gives each transaction another connection: open the database with `PgDatabase::connect_through_pooler`, or switch the statement cache of your pool's connections off (`CacheSize::Disabled`)",
        ),
        (&["disk is full", "disk full", "No space left"], "; free some space on its disk"),
        (
            &["is locked", "lock timeout"],
            "; another transaction holds it for longer than the timeout: end that one, or raise `busy_timeout` or `lock_timeout`",
        ),
        (
            &["closed the connection", "terminating connection"],
            "; the connection was lost: see that the server is up",
        ),
    ];
    let text = error.to_string();
    let found = ADVICE.iter().find(|(words, _)| words.iter().any(|word| text.contains(word)));
    found.map_or("", |(_, advice)| advice)
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

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        if let DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) = &error {
            let message = info.message();
            let missing = message.contains("no such table") || message.contains("does not exist");
            if missing && message.contains("ai_engine_") {
                return Self::NotMigrated(message.to_owned());
            }
        }
        Self::Database(error)
    }
}

/// So that work which is Diesel's alone can be a transaction of the engine's database.
impl From<Error> for DieselError {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => error,
            // Diesel's own case for errors that are not the database's.
            other => Self::QueryBuilderError(Box::new(other)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Error {
        let kind = DatabaseErrorKind::Unknown;
        DieselError::DatabaseError(kind, Box::new(message.to_owned())).into()
    }

    /// As the catalogues of PostgreSQL 15 have them.
    #[test]
    fn locks_and_deadlocks_are_known_in_every_language() {
        for message in [
            "canceling statement due to lock timeout",
            "storniere Anfrage wegen Zeitüberschreitung einer Sperre",
            "cancelando la sentencia debido a que se agotó el tiempo de espera de candados (locks)",
            "annulation de la requête à cause du délai écoulé pour l'obtention des verrous",
            "annullamento dell'istruzione a causa di timeout di lock",
            "ロックのタイムアウトのためステートメントをキャンセルしています",
            "გამოსახულება გაუქმდება ბლოკის მოლოდინის ვადის ამოწურვის გამო",
            "잠금 대기 시간 초과로 작업을 취소합니다.",
            "выполнение оператора отменено из-за тайм-аута блокировки",
            "avbryter sats på grund av lås-timeout",
            "виконання оператора скасовано через тайм-аут блокування",
            "由于锁超时，取消语句操作",
        ] {
            assert!(said(message).is_lock_timeout() && !said(message).is_conflict(), "{message}");
        }
        for message in [
            "deadlock detected",
            "Verklemmung (Deadlock) entdeckt",
            "se ha detectado un deadlock",
            "interblocage (deadlock) détecté",
            "rilevato deadlock",
            "デッドロックを検出しました",
            "ნაპოვნია ურთიერთბლოკირება",
            "deadlock 발생했음",
            "обнаружена взаимоблокировка",
            "deadlock upptäckt",
            "виявлено взаємне блокування",
            "检测到死锁",
        ] {
            assert!(said(message).is_conflict() && !said(message).is_lock_timeout(), "{message}");
        }
        assert!(
            !said("division by zero").is_conflict() && !said("division by zero").is_lock_timeout()
        );
    }
}
