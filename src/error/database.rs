//! What an error of the database means: will it pass, was the connection lost, was somebody's lock in the way; and what to do about it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::Error;

impl Error {
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
pub(super) fn refusal(error: &DieselError) -> String {
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
