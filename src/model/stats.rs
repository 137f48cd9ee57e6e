use serde::Serialize;

/// What goes on, as [`AiEngine::stats`](crate::AiEngine::stats) finds it: for gauges and health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Of this engine alone: add up what each process says.
    pub process: ProcessStats,
    /// Of the database: whichever process is asked says the same, so take it from one.
    pub database: DatabaseStats,
}

/// What one engine is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Runs that it drives, and since when.
    pub driving: Backlog,
    /// Streams of events that are open, those that a waiting [`AiEngine::answer`](crate::AiEngine::answer) follows a run of another
    /// process with included, and since when.
    pub readers: Backlog,
    /// Text that arrived and is not stored yet, in bytes.
    pub unstored_bytes: u64,
    /// How old the oldest of that text may be at most, in milliseconds; `None`: all is stored. Mostly less than 300; more says that
    /// the database does not keep up.
    pub flush_lag_ms: Option<u64>,
}

/// What the database holds. Of each kind 10,000 rows are counted at most: where it says so many, there are so many or more, and the
/// age is that of the oldest counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DatabaseStats {
    /// Runs that wait to be driven, since they were submitted.
    pub queued: Backlog,
    /// Runs that some process drives, or drove until it died, since that began.
    pub in_progress: Backlog,
    /// Runs that wait for a decision of the host's, since they do.
    pub requires_action: Backlog,
    /// Ended runs whose last hooks were not delivered, since they ended.
    pub unannounced: Backlog,
    /// What is still to be deleted at the provider, since it was deleted here.
    pub remote_deletions: Backlog,
}

/// How many of something there are, and for how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backlog {
    /// How many.
    pub count: u64,
    /// The age of the oldest, in milliseconds; `None`: there is none.
    pub oldest_ms: Option<u64>,
}

impl Backlog {
    pub(crate) const fn new(count: u64, oldest_ms: Option<u64>) -> Self {
        Self { count, oldest_ms }
    }
}
