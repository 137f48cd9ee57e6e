//! The name of a thread or chat.

use serde_json::Value;

use super::{StoredMetadata, text_enum, without_nul};
use crate::error::{Error, Result};

text_enum! {
    /// Who gave a thread or chat its title.
    pub enum TitleAuthor {
        /// The host, for a person. A model never replaces such a title.
        Person => "person",
        /// A model ([`EngineBuilder::titles`](crate::EngineBuilder::titles)).
        Model => "model",
    }
}

/// Longest title, in characters.
const MOST_CHARS: usize = 255;

/// How a host names a new thread or chat, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Naming {
    pub(crate) title: Option<String>,
    pub(crate) metadata: Option<Value>,
}

/// The same as it is stored.
#[derive(Debug, Clone, Default)]
#[allow(unnameable_types, reason = "public only in a sealed trait")]
pub struct Named {
    pub(crate) title: Option<String>,
    pub(crate) metadata: StoredMetadata,
}

impl Naming {
    pub(crate) fn checked(self) -> Result<Named> {
        Ok(Named {
            title: self.title.as_deref().map(checked_title).transpose()?.flatten(),
            metadata: self.metadata.map(StoredMetadata::checked).transpose()?.unwrap_or_default(),
        })
    }
}

/// A person's title as it is stored: without white space around it. `None`: a blank one is none.
pub(crate) fn checked_title(title: &str) -> Result<Option<String>> {
    let title = title.trim();
    if title.chars().count() > MOST_CHARS {
        let reason = format!("may have {MOST_CHARS} characters at most");
        return Err(Error::invalid("title", title, reason));
    }
    without_nul("title", title)?;
    Ok((!title.is_empty()).then(|| title.to_owned()))
}

/// A model's title as it is stored: its first line that says something, without quotes around it, cut at the limit.
pub(crate) fn title_of(text: &str) -> Option<String> {
    let line = text.lines().map(bare).find(|line| !line.is_empty())?;
    let title: String = line
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(MOST_CHARS)
        .collect();
    Some(title.trim().to_owned()).filter(|title| !title.is_empty())
}

fn bare(line: &str) -> &str {
    let line = line.trim();
    [('"', '"'), ('“', '”'), ('„', '“'), ('«', '»'), ('\'', '\'')]
        .iter()
        .find_map(|(open, close)| line.strip_prefix(*open)?.strip_suffix(*close))
        .map_or(line, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_out_of_its_limits_is_refused_and_a_blank_one_is_none() {
        let refused = |title: &str| checked_title(title).unwrap_err().to_string();
        assert!(refused(&"é".repeat(256)).ends_with("may have 255 characters at most"));
        assert!(refused("a\0b").contains("NUL"));
        assert_eq!(checked_title(&"é".repeat(255)).unwrap(), Some("é".repeat(255)));
        assert_eq!(checked_title("  My trip ").unwrap().as_deref(), Some("My trip"));
        assert_eq!(checked_title(" \n").unwrap(), None);
    }

    #[test]
    fn of_what_a_model_says_one_line_within_the_limit_is_the_title() {
        for (said, title) in [
            ("A trip to Rome", Some("A trip to Rome")),
            ("\n  \"A trip\"\n\nIt is short.", Some("A trip")),
            ("„Eine Reise“", Some("Eine Reise")),
            ("a\tb\0c", Some("a b c")),
            ("\"\"\n'x'", Some("x")),
            (" \n\t", None),
            ("", None),
        ] {
            assert_eq!(title_of(said).as_deref(), title, "{said:?}");
        }
        assert_eq!(title_of(&"é".repeat(9000)), Some("é".repeat(MOST_CHARS)));
    }
}
