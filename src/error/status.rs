//! What a web handler answers with for an error.

use diesel::result::Error as DieselError;

use super::Error;
use crate::model::Reason;

impl Error {
    /// The HTTP status that a web handler answers with, unless it knows better. The text of an error that is not 4xx is for your
    /// log: it may quote the database or the provider.
    ///
    /// | status | |
    /// |---|---|
    /// | 403 | [`Refused`](Self::Refused) |
    /// | 404 | [`NotFound`](Self::NotFound), and [`Database`](Self::Database) with Diesel's `NotFound` |
    /// | 409 | [`Busy`](Self::Busy), [`Answered`](Self::Answered), [`Decided`](Self::Decided) |
    /// | 410 | [`RunGone`](Self::RunGone) |
    /// | 422 | [`Invalid`](Self::Invalid); a run that failed since the conversation is too long for the model or was stopped by a filter |
    /// | 429 | a run or call that failed since the provider takes no more requests for a while |
    /// | 500 | [`Database`](Self::Database), [`NotMigrated`](Self::NotMigrated), [`Migration`](Self::Migration), [`Panicked`](Self::Panicked), [`NoLoader`](Self::NoLoader), [`OwnerId`](Self::OwnerId), [`Configuration`](Self::Configuration), [`UnknownProvider`](Self::UnknownProvider), [`NoState`](Self::NoState), [`WithinTransaction`](Self::WithinTransaction), [`Host`](Self::Host); a run that failed in the database, or for a setting or a stored definition |
    /// | 501 | [`Unsupported`](Self::Unsupported), and a run that failed for it |
    /// | 502 | [`RunFailed`](Self::RunFailed) and [`Provider`](Self::Provider), where no other line is of their reason; [`NeverSaid`](Self::NeverSaid), [`Mismatch`](Self::Mismatch) |
    /// | 503 | [`Connection`](Self::Connection), [`ShuttingDown`](Self::ShuttingDown), [`NotDriven`](Self::NotDriven), [`AssistantNotInStep`](Self::AssistantNotInStep); [`Database`](Self::Database) when it is away, locked or full for the moment; a run whose process ended, or that failed since the provider's quota is used up |
    /// | 504 | a run or call that failed since the provider did not answer in time |
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::NotFound { .. } | Self::Database(DieselError::NotFound) => 404,
            Self::Busy { .. } | Self::Answered { .. } | Self::Decided { .. } => 409,
            Self::Refused { .. } => 403,
            Self::RunGone(_) => 410,
            Self::Invalid { .. } => 422,
            Self::Unsupported { .. } => 501,
            Self::Database(_) if self.may_pass() => 503,
            Self::Database(_)
            | Self::NotMigrated(_)
            | Self::Migration(_)
            | Self::Panicked(_)
            | Self::NoLoader(_)
            | Self::OwnerId { .. }
            | Self::Configuration(_)
            | Self::UnknownProvider { .. }
            | Self::NoState(_)
            | Self::WithinTransaction
            | Self::Host(_) => 500,
            Self::RunFailed { reason, .. } => status_of(reason),
            Self::Provider(error) => status_of(error.reason()),
            Self::NeverSaid { .. } | Self::Mismatch { .. } => 502,
            Self::Connection(_)
            | Self::ShuttingDown
            | Self::NotDriven { .. }
            | Self::AssistantNotInStep { .. } => 503,
        }
    }

    /// A sentence for whoever made the request. Where the error is theirs it is its text; otherwise it says no more than its status
    /// does, since the text may quote the database or the provider.
    #[must_use]
    pub fn public_message(&self) -> String {
        let said = match (self, self.http_status()) {
            (Self::Refused { reason }, _) => return reason.clone(),
            (
                Self::NotFound { .. }
                | Self::Busy { .. }
                | Self::Answered { .. }
                | Self::RunGone(_)
                | Self::Decided { .. }
                | Self::Invalid { .. }
                | Self::ShuttingDown,
                _,
            ) => return self.to_string(),
            (_, 404) => "there is no such thing",
            (_, 422) => {
                "the model does not answer this; ask something else, or begin a new conversation"
            }
            (_, 429) => "there are too many requests; try again in a while",
            (_, 502 | 504) => "the model did not answer; try again",
            (_, 503) => "this is not possible for the moment; try again",
            _ => "something went wrong here; it has been logged",
        };
        said.to_owned()
    }
}

/// For a run, or a call, that failed for this reason.
const fn status_of(reason: &Reason) -> u16 {
    match reason {
        Reason::ContextLengthExceeded | Reason::ContentFilter | Reason::FileElsewhere => 422,
        Reason::RateLimitExceeded => 429,
        Reason::Database | Reason::Configuration | Reason::Definition => 500,
        Reason::Unsupported => 501,
        Reason::Interrupted | Reason::InsufficientQuota => 503,
        Reason::Timeout => 504,
        // The provider's side is wrong, or what we ask it for.
        Reason::MaxOutputTokens
        | Reason::Refusal
        | Reason::ToolCalls
        | Reason::MaxSteps
        | Reason::Budget
        | Reason::InvalidApiKey
        | Reason::PermissionDenied
        | Reason::ModelNotFound
        | Reason::UnknownPath
        | Reason::InvalidRequest
        | Reason::ServerError
        | Reason::Redirected
        | Reason::ConnectionFailed
        | Reason::Disconnected
        | Reason::Malformed
        | Reason::TooLarge
        | Reason::MessageTooLong
        | Reason::ProviderError
        | Reason::Other(_) => 502,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diesel::result::DatabaseErrorKind;

    use super::*;
    use crate::error::ProviderError;
    use crate::model::{Messageable, RunStatus};

    /// One of each variant, in a chain that a new variant breaks: each names the one after it.
    fn after(error: &Error) -> Option<Error> {
        let text = || "x".to_owned();
        Some(match error {
            Error::Database(_) => Error::NotMigrated(text()),
            Error::NotMigrated(_) => Error::Migration(text()),
            Error::Migration(_) => Error::Connection(text()),
            Error::Connection(_) => Error::Panicked(text()),
            Error::Panicked(_) => Error::invalid("field", 1, "is wrong"),
            Error::Invalid { .. } => {
                Error::Unsupported { what: text(), protocol: "x", advice: "x" }
            }
            Error::Unsupported { .. } => Error::not_found("run", 1),
            Error::NotFound { .. } => Error::Busy { run_id: 1, on: Messageable::Chat(1) },
            Error::Busy { .. } => Error::Answered { run_id: 1 },
            Error::Answered { .. } => {
                Error::Decided { tool_call_id: 1, status: crate::model::ToolCallStatus::Approved }
            }
            Error::Decided { .. } => Error::Mismatch { path: text(), reason: text(), text: text() },
            Error::Mismatch { .. } => Error::Refused { reason: text() },
            Error::Refused { .. } => Error::NoLoader(text()),
            Error::NoLoader(_) => Error::OwnerId { kind: text(), id: text() },
            Error::OwnerId { .. } => Error::Configuration(text()),
            Error::Configuration(_) => Error::UnknownProvider { name: text(), known: Vec::new() },
            Error::UnknownProvider { .. } => Error::NoState("x"),
            Error::NoState(_) => provider(Reason::ServerError),
            Error::Provider(_) => Error::AssistantNotInStep { assistant_id: 1, message: text() },
            Error::AssistantNotInStep { .. } => Error::ShuttingDown,
            Error::ShuttingDown => failed(Reason::ServerError),
            Error::RunFailed { .. } => never_said(),
            Error::NeverSaid { .. } => Error::RunGone(1),
            Error::RunGone(_) => Error::NotDriven { run_id: 1, message: text() },
            Error::NotDriven { .. } => Error::WithinTransaction,
            Error::WithinTransaction => Error::host("x"),
            Error::Host(_) => return None,
        })
    }

    fn failed(reason: Reason) -> Error {
        Error::RunFailed { run_id: 1, reason, message: "x".to_owned() }
    }

    fn never_said() -> Error {
        Error::NeverSaid { run_id: 1, status: RunStatus::Completed, text: "x".to_owned() }
    }

    fn provider(reason: Reason) -> Error {
        let source = Arc::new(std::io::Error::other("x"));
        Error::Provider(ProviderError::new("x".to_owned(), reason, source))
    }

    fn said(kind: DatabaseErrorKind, message: &str) -> Error {
        Error::Database(DieselError::DatabaseError(kind, Box::new(message.to_owned())))
    }

    #[test]
    fn each_error_has_the_status_of_the_table() {
        let first = said(DatabaseErrorKind::UniqueViolation, "twice");
        let statuses: Vec<(String, u16)> = std::iter::successors(Some(first), after)
            .map(|error| {
                let debug = format!("{error:?}");
                let name = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
                (name, error.http_status())
            })
            .collect();
        let expected = [
            ("Database", 500),
            ("NotMigrated", 500),
            ("Migration", 500),
            ("Connection", 503),
            ("Panicked", 500),
            ("Invalid", 422),
            ("Unsupported", 501),
            ("NotFound", 404),
            ("Busy", 409),
            ("Answered", 409),
            ("Decided", 409),
            ("Mismatch", 502),
            ("Refused", 403),
            ("NoLoader", 500),
            ("OwnerId", 500),
            ("Configuration", 500),
            ("UnknownProvider", 500),
            ("NoState", 500),
            ("Provider", 502),
            ("AssistantNotInStep", 503),
            ("ShuttingDown", 503),
            ("RunFailed", 502),
            ("NeverSaid", 502),
            ("RunGone", 410),
            ("NotDriven", 503),
            ("WithinTransaction", 500),
            ("Host", 500),
        ];
        assert_eq!(statuses, expected.map(|(name, status)| (name.to_owned(), status)));
        // And the table says so.
        for (name, status) in statuses {
            let row = include_str!("status.rs")
                .lines()
                .find(|line| line.trim_start().starts_with(&format!("/// | {status} |")));
            let row = row.unwrap_or_else(|| panic!("{status} is not in the table"));
            assert!(row.contains(&format!("(Self::{name})")), "{name} is not at {status}: {row}");
        }
    }

    #[test]
    fn a_database_that_is_away_or_locked_is_asked_again_later() {
        for (error, status) in [
            (Error::Database(DieselError::NotFound), 404),
            (said(DatabaseErrorKind::ClosedConnection, "gone"), 503),
            (said(DatabaseErrorKind::Unknown, "database is locked"), 503),
            (said(DatabaseErrorKind::Unknown, "no such column: x"), 500),
        ] {
            assert_eq!(error.http_status(), status, "{error}");
        }
    }

    #[test]
    fn a_failure_of_the_providers_has_the_status_of_its_reason() {
        for (reason, status) in [
            (Reason::ContextLengthExceeded, 422),
            (Reason::ContentFilter, 422),
            (Reason::RateLimitExceeded, 429),
            (Reason::InsufficientQuota, 503),
            (Reason::Interrupted, 503),
            (Reason::Timeout, 504),
            (Reason::Database, 500),
            (Reason::Definition, 500),
            (Reason::Configuration, 500),
            (Reason::Unsupported, 501),
            (Reason::InvalidApiKey, 502),
            (Reason::from("a word of tomorrow"), 502),
        ] {
            assert_eq!(failed(reason.clone()).http_status(), status, "{reason}");
            assert_eq!(provider(reason.clone()).http_status(), status, "{reason}");
        }
    }
}
