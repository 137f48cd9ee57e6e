//! What must never be shown: the API key, the values of headers the host sets, the password of a URL.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Shorter secrets are not looked for: a key `x` would make nonsense of every text, and hide nothing.
const SHORTEST: usize = 8;

/// The secrets of a client. Providers and gateways echo headers and addresses in their errors.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<[String]>);

impl Secrets {
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets
            .into_iter()
            .map(|secret| secret.trim().to_owned())
            .filter(|secret| secret.len() >= SHORTEST)
            .collect();
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets.into())
    }

    /// Replaces the secrets wherever they occur in `text`.
    pub(super) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &*self.0 {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), "[redacted]"));
            }
        }
        text
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occurrence_of_every_secret_is_replaced() {
        let secrets = Secrets::new(["sk-12345".to_owned(), "sk-12345-long".to_owned()]);
        let redacted = secrets.redact("sk-12345 and sk-12345-long and sk-12345");
        assert_eq!(redacted, "[redacted] and [redacted] and [redacted]");
        assert_eq!(secrets.redact("no key here"), "no key here");
        assert!(!format!("{secrets:?}").contains("12345"));
    }

    #[test]
    fn short_secrets_are_not_looked_for() {
        assert_eq!(
            Secrets::new(["x".to_owned(), " ".to_owned()]).redact("unexpected"),
            "unexpected"
        );
    }
}
