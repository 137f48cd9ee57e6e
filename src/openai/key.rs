//! The API key, which must never be printed.

use std::fmt;
use std::sync::Arc;

/// A provider's API key.
///
/// Its `Debug` form is redacted and it has no `Display`, so that it cannot reach a log by accident.
/// White space around the key is dropped: keys read from files tend to end in a newline.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Arc<str>);

impl ApiKey {
    /// Takes a key as the provider shows it.
    pub fn new(key: impl AsRef<str>) -> Self {
        Self(Arc::from(key.as_ref().trim()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self::new(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key() {
        assert!(!format!("{:?}", ApiKey::new("sk-secret")).contains("secret"));
    }

    #[test]
    fn white_space_around_a_key_is_dropped() {
        assert_eq!(ApiKey::from(" sk-1\n").expose(), "sk-1");
    }
}
