use std::fmt::Display;
use std::sync::Arc;

use crate::model::Reason;

/// Why the provider's client could not do what it was asked.
#[derive(Debug)]
pub struct ProviderError {
    /// Without any text of the provider's.
    pub(super) brief: String,
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
