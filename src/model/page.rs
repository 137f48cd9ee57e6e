/// Which part of a list to read: the newest rows, or those older than one already seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Only rows older than the one with this id; of messages, those before it in the conversation.
    pub before: Option<i64>,
    /// At most so many rows.
    pub limit: u32,
}

impl Page {
    /// The newest `limit` rows.
    #[must_use]
    pub const fn newest(limit: u32) -> Self {
        Self { before: None, limit }
    }

    /// The `limit` rows before the row `id`.
    #[must_use]
    pub const fn before(id: i64, limit: u32) -> Self {
        Self { before: Some(id), limit }
    }
}

impl Default for Page {
    /// The newest 100 rows.
    fn default() -> Self {
        Self::newest(100)
    }
}
