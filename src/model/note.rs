//! What a host says of a message beside its text: who said it, and metadata. No model sees it.

use serde_json::Value;

use super::{Message, StoredMetadata, without_nul};
use crate::error::{Error, Result};
use crate::schema::ai_engine_messages;

/// Longest author, in characters.
const AUTHOR_CHARS: usize = 255;

/// As the host put it, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    pub(crate) author: Option<String>,
    pub(crate) metadata: Option<Value>,
}

/// As it is stored.
#[derive(Debug, Clone, Default, diesel::Queryable, diesel::Selectable, diesel::Insertable)]
#[diesel(table_name = ai_engine_messages)]
#[allow(unnameable_types, reason = "public only as part of the stored form")]
pub struct MessageNote {
    pub(crate) author: Option<String>,
    pub(crate) metadata: StoredMetadata,
}

impl Note {
    pub(crate) fn checked(self) -> Result<MessageNote> {
        if let Some(author) = &self.author {
            if author.trim().is_empty() || author.chars().count() > AUTHOR_CHARS {
                let reason = format!("must have 1 to {AUTHOR_CHARS} characters");
                return Err(Error::invalid("author", author, reason));
            }
            without_nul("author", author)?;
        }
        let metadata = self.metadata.map(StoredMetadata::checked).transpose()?;
        Ok(MessageNote { author: self.author, metadata: metadata.unwrap_or_default() })
    }
}

impl MessageNote {
    pub(crate) fn of(message: &Message) -> Self {
        Self { author: message.author.clone(), metadata: message.metadata.clone().into() }
    }

    /// Each of the two, or the other's where there is none.
    pub(crate) fn or(self, other: Self) -> Self {
        let nothing = self.metadata == StoredMetadata::default();
        Self {
            author: self.author.or(other.author),
            metadata: if nothing { other.metadata } else { self.metadata },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_out_of_its_limits_is_refused() {
        let of = |author: &str| Note { author: Some(author.to_owned()), metadata: None }.checked();
        for author in ["", " ", &"é".repeat(256), "a\0b"] {
            assert!(of(author).unwrap_err().to_string().starts_with("author "), "{author:?}");
        }
        assert_eq!(of(&"é".repeat(255)).unwrap().author, Some("é".repeat(255)));
    }
}
