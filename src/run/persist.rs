//! Writing to a database that may be away for some seconds, and what its refusals mean.

use std::sync::Arc;
use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::time::Instant;

use crate::engine::AiEngine;
use crate::error::{Error, Result, with_causes};
use crate::failpoint::Write;
use crate::store::session::Session;

/// Between two tries of our own database.
pub(super) const STORE_RETRY: Duration = Duration::from_millis(250);

/// One write transaction, tried again while the lease holds: a database that is away for some seconds costs no run.
pub(super) async fn persist<T: Send + 'static>(
    engine: &AiEngine,
    write: Write,
    work: impl Fn(&mut dyn Session) -> Result<T> + Send + Sync + 'static,
) -> Result<T> {
    let work = Arc::new(work);
    persistently(engine, || {
        let once = Arc::clone(&work);
        engine.store().write(write, move |session| once(session))
    })
    .await
}

/// Work on the database, tried again for as long as a lease holds.
pub(super) async fn persistently<T, F: Future<Output = Result<T>>>(
    engine: &AiEngine,
    work: impl Fn() -> F,
) -> Result<T> {
    let deadline = Instant::now() + engine.options().lease;
    loop {
        match work().await {
            Err(error) if error.may_pass() && Instant::now() < deadline => {
                tracing::warn!(error = with_causes(&error), "the database refused; trying again");
                tokio::time::sleep(STORE_RETRY).await;
            }
            result => return result,
        }
    }
}

/// What the database's error says about the row that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: the database is away, full, locked or not to be written to, for everybody.
    Passing,
    /// It may be the row: the database answered, with an error that Diesel has no name for. Diesel does not pass on the
    /// SQLSTATE, and messages come in the server's language; so whether other writes succeed meanwhile decides.
    Unclear,
    /// It is the row: a constraint of the host's, a value that does not fit.
    OfTheRow,
}

/// Words of errors without a name that pass by themselves, as English servers and SQLite say them.
const PASSING: [&str; 14] = [
    "is locked",
    "disk is full",
    "disk full",
    "No space left",
    "disk I/O error",
    "could not extend",
    "could not write",
    "out of memory",
    "too many",
    "terminating connection",
    "starting up",
    "shutting down",
    "canceling statement",
    "readonly",
];

pub(crate) fn verdict(error: &Error) -> Verdict {
    if error.is_lock_timeout() || error.is_conflict() {
        return Verdict::Passing;
    }
    let Error::Database(error) = error else { return Verdict::Passing };
    match error {
        DieselError::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::ExclusionViolation
            | DatabaseErrorKind::RestrictViolation => Verdict::OfTheRow,
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ReadOnlyTransaction => Verdict::Passing,
            _ if PASSING.iter().any(|words| info.message().contains(words)) => Verdict::Passing,
            _ => Verdict::Unclear,
        },
        DieselError::DeserializationError(_) | DieselError::SerializationError(_) => {
            Verdict::OfTheRow
        }
        _ => Verdict::Passing,
    }
}
