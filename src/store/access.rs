//! How a piece of work uses the database: which connections it may have, and what it waits for.

use crate::failpoint::Write;

/// How a job uses its connection.
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the databases are ours")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Single statements outside a transaction.
    Read,
    /// One write transaction.
    Write,
    /// One write transaction for the sake of many: a lock that it would have to wait for is an error
    /// ([`Error::is_lock_timeout`]).
    Prompt,
    /// One write transaction that must not wait behind the others: a heartbeat.
    Heartbeat,
    /// A transaction of the host's that only reads.
    HostRead,
    /// A transaction of the host's.
    HostWrite,
}

impl Access {
    pub(super) const fn of(write: Write) -> Self {
        match write {
            Write::Heartbeat => Self::Heartbeat,
            Write::FirstWords
            | Write::Words
            | Write::RecoverSettle
            | Write::RecoverRetry
            | Write::Expire
            | Write::Adopt => Self::Prompt,
            _ => Self::Write,
        }
    }

    /// How long such a job may take is the host's business: it must leave a connection to the engine.
    pub(crate) const fn is_of_the_host(self) -> bool {
        matches!(self, Self::HostRead | Self::HostWrite)
    }
}
