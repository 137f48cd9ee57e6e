//! What bounds a call, and what is read of its answer.

use std::time::Duration;

/// Most bytes read of an error's body; the message kept of it is shorter still.
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

/// What bounds a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) total_timeout: Duration,
    pub(super) max_retries: u32,
    /// The wait before the first of them.
    pub(super) retry_delay: Duration,
    pub(super) max_event_bytes: usize,
    pub(super) max_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
            total_timeout: Duration::from_mins(30),
            max_retries: 2,
            retry_delay: Duration::from_millis(500),
            max_event_bytes: 32 << 20,
            max_body_bytes: 64 << 20,
        }
    }
}
