//! A reader's place in all conversations of an owner, as text that survives reconnects and restarts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::cursor::Cursor;
use super::feeds::MARGIN;
use crate::error::{Error, Result};
use crate::model::Messageable;

/// A reader's place in all threads and chats of an owner: each [`OwnerEvent`](crate::OwnerEvent) carries the place behind it.
///
/// The text form fits the header `Last-Event-ID`: it has no white space. It names the conversations on which something happened in the
/// last minute or is still going on, each with its [`Cursor`], and the time from which all others have to tell. So it stays short: about
/// twenty bytes for each of those. Do not take it apart. It holds no secret and gives no right to read.
///
/// Parsing fails with [`Error::Invalid`](crate::Error::Invalid) for a text that is no such place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerCursor {
    /// Conversations that are not named have changed before this time last, or after it.
    pub(super) since: NaiveDateTime,
    /// Shared with the events that were delivered, which are rarely kept.
    pub(super) places: Arc<BTreeMap<Key, Cursor>>,
}

/// A conversation, ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(bool, i64);

impl From<Messageable> for Key {
    fn from(of: Messageable) -> Self {
        match of {
            Messageable::AssistantThread(id) => Self(false, id),
            Messageable::Chat(id) => Self(true, id),
        }
    }
}

/// Longest text form that is read, in bytes.
const MOST_BYTES: usize = 64 * 1024;

impl OwnerCursor {
    pub(super) fn new(since: NaiveDateTime) -> Self {
        Self { since, places: Arc::default() }
    }

    /// The same, but with this place in its thread or chat: where a page shows that one further than the rest, as a list that has
    /// one thread open ([`Paged::follow`](crate::Paged::follow)). `None` changes nothing.
    #[must_use]
    pub fn with(mut self, place: Option<Cursor>) -> Self {
        if let Some(place) = place {
            self.put(place);
        }
        self
    }

    /// Fails for a place that nobody can have been given yet: what happens before that time would not be told.
    pub(super) fn check(&self, now: NaiveDateTime) -> Result<()> {
        if self.since <= now + MARGIN {
            return Ok(());
        }
        let reason = "is ahead of its time: it is from another database, or a clock is wrong; begin without a cursor";
        Err(Error::invalid("cursor", self.to_string(), reason))
    }

    pub(super) fn put(&mut self, place: Cursor) {
        Arc::make_mut(&mut self.places).insert(place.of.into(), place);
    }

    pub(super) fn of(&self, of: Messageable) -> Option<&Cursor> {
        self.places.get(&of.into())
    }

    pub(super) fn forget(&mut self, of: Messageable) {
        Arc::make_mut(&mut self.places).remove(&of.into());
    }
}

/// `o1764367200000~t12.5~c3.7b.0:120:9f…`: milliseconds since 1970, then a cursor for each conversation.
impl fmt::Display for OwnerCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "o{}", self.since.and_utc().timestamp_millis())?;
        for place in self.places.values() {
            write!(f, "~{place}")?;
        }
        Ok(())
    }
}

impl FromStr for OwnerCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            Error::invalid(
                "cursor",
                shown,
                "is not a cursor of an owner; send the text of an event's `cursor` unchanged, or none",
            )
        })
    }
}

fn parse(text: &str) -> Option<OwnerCursor> {
    let mut parts = text.strip_prefix('o').filter(|_| text.len() <= MOST_BYTES)?.split('~');
    let since = parts.next()?.parse().ok().filter(|millis| *millis >= 0);
    let since = DateTime::from_timestamp_millis(since?)?.naive_utc();
    let mut cursor = OwnerCursor::new(since);
    for place in parts {
        cursor.put(place.parse().ok()?);
    }
    // Only what we write, so that each place has one text.
    (cursor.to_string() == text).then_some(cursor)
}

impl Serialize for OwnerCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OwnerCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else() {
        for text in ["o1764367200000", "o1764367200000~t12.5~t13.1q~c3.7b.0:120:9f"] {
            assert_eq!(text.parse::<OwnerCursor>().unwrap().to_string(), text);
        }
        for strange in [
            "",
            "o",
            "t12.5",
            "ox",
            "o1~",
            "o1~x",
            "o1~c3.7~t1.1",
            "o1~t1.1~t1.2",
            "o+1",
            "o01",
            "o-1",
            "o-8334601228800000",
        ] {
            assert!(strange.parse::<OwnerCursor>().is_err(), "{strange}");
        }
    }

    #[test]
    fn a_place_of_a_time_to_come_is_refused() {
        let now = DateTime::from_timestamp_millis(1_764_367_200_000).unwrap().naive_utc();
        for (text, is_refused) in [
            ("o0", false),
            ("o1764367200000", false),
            ("o1764367260000", false),
            ("o1764367260001", true),
            ("o8210266876799999", true),
        ] {
            let cursor: OwnerCursor = text.parse().unwrap();
            let refused = cursor.check(now).err().map(|error| error.to_string());
            assert_eq!(refused.is_some(), is_refused, "{refused:?}");
            assert!(refused.is_none_or(|said| said.contains("ahead")), "{text}");
        }
    }
}
