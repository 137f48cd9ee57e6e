//! What a refusal of the database means: it passes by itself, or it is about the row that was to be written.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::error::Error;

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
