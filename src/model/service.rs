//! Where a remote id means something.

use std::sync::Arc;

/// An endpoint, and the protocol that is spoken to it. A remote id is stored with both, and so is what a conversation there is
/// known to hold: at another service neither means anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    pub(crate) endpoint: Arc<str>,
    pub(crate) protocol: Arc<str>,
}

/// None at all: nothing is stored with it.
impl Default for Service {
    fn default() -> Self {
        Self::new("", "")
    }
}

impl Service {
    pub(crate) fn new(endpoint: impl Into<Arc<str>>, protocol: impl Into<Arc<str>>) -> Self {
        Self { endpoint: endpoint.into(), protocol: protocol.into() }
    }

    /// The one that a row names.
    pub(crate) fn stored(endpoint: Option<String>, protocol: Option<String>) -> Option<Self> {
        Some(Self::new(endpoint?, protocol?))
    }

    /// Whether a row names this one.
    pub(crate) fn is(&self, endpoint: Option<&str>, protocol: Option<&str>) -> bool {
        (endpoint, protocol) == (Some(&*self.endpoint), Some(&*self.protocol))
    }
}
