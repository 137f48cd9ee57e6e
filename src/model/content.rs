use super::without_nul;
use crate::error::{Error, Result, shortened};

/// What a user says: text today, images and files later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text(String),
}

impl Content {
    /// Largest content one message may have, in bytes.
    pub const MAX_BYTES: usize = 10 * 1024 * 1024;

    /// The text, if it may be stored and sent.
    pub(crate) fn checked(self) -> Result<String> {
        let Self::Text(text) = self;
        if text.trim().is_empty() {
            return Err(Error::invalid(
                "content",
                text.get(..16).unwrap_or(&text),
                "must not be empty",
            ));
        }
        if text.len() > Self::MAX_BYTES {
            let reason =
                format!("has {} bytes; at most {} are allowed", text.len(), Self::MAX_BYTES);
            return Err(Error::invalid("content", shortened(&text), reason));
        }
        without_nul("content", &text)?;
        Ok(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Content {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_out_of_its_limits_is_refused_by_name() {
        let refused = |text: &str| Content::from(text).checked().unwrap_err().to_string();
        assert_eq!(refused(" \n"), "content \" \\n\" must not be empty");
        assert!(refused("a\0b").ends_with("must not contain a NUL character; remove it"));
        let long = refused(&"x".repeat(Content::MAX_BYTES + 1));
        assert!(long.contains("at most 10485760 are allowed") && long.len() < 300, "{long}");
        assert_eq!(Content::from("hello").checked().unwrap(), "hello");
    }
}
