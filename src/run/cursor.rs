//! A reader's place in a conversation, as text that survives reconnects and restarts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::told::{Opening, Seen, Told};
use crate::error::{Error, Result};
use crate::model::{Message, MessageStatus, Messageable};

/// How far a reader of a thread or chat has come: each [`Event`](crate::Event) carries the one that follows it.
///
/// Its text form is opaque, has no white space, and is fit for the header `Last-Event-ID`. It names its conversation and
/// holds a digest of the text told of each unfinished message, so a reader that comes back is told exactly what it
/// lacks: also after a crash that lost the last words, which then come as a replaced text. It stays valid for as long
/// as the thread or chat does.
///
/// ```
/// # fn main() -> ai_engine::Result<()> {
/// let cursor: ai_engine::Cursor = "t12.5".parse()?; // from Last-Event-ID
/// assert_eq!(cursor.to_string(), "t12.5");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(super) of: Messageable,
    /// The turn that was told last.
    pub(super) seq: i64,
    pub(super) told: Told,
}

impl Cursor {
    /// The beginning of a conversation.
    pub(super) fn start(of: Messageable) -> Self {
        let mut start = Self::at(of, 0);
        start.told.ended = true;
        start
    }

    /// The beginning of a turn.
    pub(super) fn at(of: Messageable, seq: i64) -> Self {
        Self { of, seq, told: Told::default() }
    }

    /// Behind this message, as far as it goes: for a page that shows [`list`](crate::Messages::list)ed messages and
    /// then follows what happens after the last of them.
    #[must_use]
    pub fn after(message: &Message) -> Self {
        let mut cursor = Self::at(message.messageable, message.seq);
        if message.run_id.is_none() {
            cursor.told.ended = true;
        } else if !message.is_assistant() {
            cursor.told.opening = Opening::Asked;
        } else {
            let slot = message.position - 1;
            let settled = message.status != MessageStatus::Streaming;
            cursor.told.opening = Opening::Begun;
            cursor.told.passed = slot;
            cursor.told.messages.push(Seen::of(slot, &message.content, settled));
        }
        cursor
    }

    /// The first turn of which something is left to tell.
    pub(super) fn wanted(&self) -> i64 {
        self.seq + i64::from(self.told.ended)
    }
}

/// `t12.5`: all of turn 5 of thread 12. `c3.7b.0:120:9f…`: of turn 7 of chat 3 the beginning, and 120 bytes of its first
/// message.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Messageable::AssistantThread(id) => write!(f, "t{id}.{}", self.seq)?,
            Messageable::Chat(id) => write!(f, "c{id}.{}", self.seq)?,
        }
        if self.told.ended {
            return Ok(());
        }
        f.write_str(match self.told.opening {
            Opening::Nothing => "n",
            Opening::Queued => "q",
            Opening::Asked => "a",
            Opening::Begun => "b",
        })?;
        if self.told.passed > 0 {
            write!(f, "{}", self.told.passed)?;
        }
        for seen in &self.told.messages {
            write!(f, ".{}", seen.slot)?;
            if !seen.settled {
                write!(f, ":{}:{:x}", seen.bytes, seen.digest)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::invalid(
                "cursor",
                text,
                "is none of ours; give back the text of an event's cursor unchanged, or none",
            )
        })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let mut parts = text.split('.');
    let conversation = parts.next()?;
    let of = match conversation.split_at_checked(1)? {
        ("t", id) => Messageable::AssistantThread(number(id)?),
        ("c", id) => Messageable::Chat(number(id)?),
        _ => return None,
    };
    let turn = parts.next()?;
    let digits = turn.find(|c: char| !c.is_ascii_digit()).unwrap_or(turn.len());
    let mut cursor = Cursor::at(of, number(&turn[..digits])?);
    let told = &mut cursor.told;
    let (stage, passed) = turn[digits..].split_at_checked(1).unwrap_or_default();
    match stage {
        "" => told.ended = true,
        "n" => told.opening = Opening::Nothing,
        "q" => told.opening = Opening::Queued,
        "a" => told.opening = Opening::Asked,
        "b" => told.opening = Opening::Begun,
        _ => return None,
    }
    if !passed.is_empty() {
        told.passed = number(passed)?;
    }
    for part in parts {
        let mut fields = part.split(':');
        let slot = number(fields.next()?)?;
        told.messages.push(match (fields.next(), fields.next(), fields.next()) {
            (None, _, _) => Seen::new(slot, 0, 0, true),
            (Some(bytes), Some(digest), None) => {
                let digest = u64::from_str_radix(digest, 16).ok()?;
                Seen::new(slot, usize::try_from(number(bytes)?).ok()?, digest, false)
            }
            _ => return None,
        });
    }
    // Whatever reads otherwise was not written by us.
    (cursor.to_string() == text).then_some(cursor)
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_same_after_a_trip_through_text() {
        let texts = [
            "t1.0",
            "t12.5",
            "c3.7n",
            "c3.7q",
            "t1.2a",
            "t1.2b",
            "t1.2b3.3:12:cbf29ce484222325",
            "t1.2b.0.1:0:1",
        ];
        for text in texts {
            let cursor: Cursor = text.parse().unwrap();
            assert_eq!(cursor.to_string(), text);
            assert_eq!(serde_json::to_string(&cursor).unwrap(), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Cursor>(&format!("{text:?}")).unwrap(), cursor);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused_by_name() {
        let texts = [
            "",
            "t",
            "t1",
            "x1.2",
            "t1.",
            "t1.2x",
            "t01.2",
            "t1.2b.",
            "t1.2b.0:1",
            "t1.2b.0:1:g",
            "t1.2b.0:1:1:1",
            "t-1.2",
            "t1.2b.0:99999999999999999999:1",
            "t1.2 ",
            "ü1.2",
            "t1.2.0",
            "t1.99999999999999999999",
        ];
        for text in texts {
            let refused = text.parse::<Cursor>().unwrap_err().to_string();
            assert!(
                refused.starts_with("cursor ") && refused.contains("unchanged"),
                "{text}: {refused}"
            );
        }
    }
}
