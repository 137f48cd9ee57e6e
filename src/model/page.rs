use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};

/// Which part of a list to read: the newest rows, or those older than one already seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Only rows older than the one with this id; of messages, those before it in the conversation; of turns, those with a lower
    /// number than this.
    pub before: Option<i64>,
    /// At most so many rows.
    pub limit: u32,
    /// Where the page before ended, for the lists that tell it ([`Paged::next`]).
    pub token: Option<PageToken>,
}

impl Page {
    /// The newest `limit` rows.
    #[must_use]
    pub const fn newest(limit: u32) -> Self {
        Self { before: None, limit, token: None }
    }

    /// The `limit` rows before the row `id`.
    #[must_use]
    pub const fn before(id: i64, limit: u32) -> Self {
        Self { before: Some(id), limit, token: None }
    }

    /// The `limit` rows that follow a page: `token` is its [`next`](Paged::next).
    #[must_use]
    pub const fn after(token: PageToken, limit: u32) -> Self {
        Self { before: None, limit, token: Some(token) }
    }

    /// Before which row, of a list that gives no tokens.
    pub(crate) fn row(self) -> Result<Option<i64>> {
        self.token.map_or(Ok(self.before), |token| Err(token.is_strange()))
    }

    /// Below which turn.
    pub(crate) fn turn(self) -> Result<Option<i64>> {
        match self.token.map(|token| token.0) {
            None => Ok(self.before),
            Some(At::Turn(seq)) => Ok(Some(seq)),
            Some(at) => Err(PageToken(at).is_strange()),
        }
    }

    /// Behind which of the conversations in the order of their last activity, if a token says so.
    pub(crate) fn recent(self) -> Result<Option<(NaiveDateTime, i64)>> {
        match self.token.map(|token| token.0) {
            None => Ok(None),
            Some(At::Recent(at, id)) => Ok(Some((at, id))),
            Some(at) => Err(PageToken(at).is_strange()),
        }
    }
}

impl Default for Page {
    /// The newest 100 rows.
    fn default() -> Self {
        Self::newest(100)
    }
}

/// A page of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Paged<T> {
    /// The rows.
    pub items: Vec<T>,
    /// For [`Page::after`]; `None`: there is nothing more.
    pub next: Option<PageToken>,
}

impl<T> Paged<T> {
    /// Of rows of which one more than `limit` was looked for.
    pub(crate) fn of(mut items: Vec<T>, limit: u32, last: impl Fn(&T) -> PageToken) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(last);
        Self { items, next }
    }
}

/// Where the next page of a list begins ([`Paged::next`]).
///
/// It names a place and not a row, so it stays good when that row is deleted. The text form fits a URL; do not take it apart. It
/// holds no secret and gives no right to read. Parsing fails with [`Error::Invalid`](crate::Error::Invalid) for a text that is none,
/// and so does a list that is given the token of another list.
///
/// ```
/// # fn main() -> ai_engine::Result<()> {
/// let token: ai_engine::PageToken = "turn-41".parse()?; // from the query of a URL
/// assert_eq!(token.to_string(), "turn-41");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken(At);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The turns below this one.
    Turn(i64),
    /// The conversations whose last activity was before that of this one.
    Recent(NaiveDateTime, i64),
}

impl PageToken {
    pub(crate) const fn of_turn(seq: i64) -> Self {
        Self(At::Turn(seq))
    }

    pub(crate) const fn of_recent(at: NaiveDateTime, id: i64) -> Self {
        Self(At::Recent(at, id))
    }

    fn is_strange(self) -> Error {
        Error::invalid(
            "page token",
            self.to_string(),
            "is of another list; send one of this list, or none",
        )
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            At::Turn(seq) => write!(f, "turn-{seq}"),
            At::Recent(at, id) => write!(f, "recent-{}-{id}", at.and_utc().timestamp_micros()),
        }
    }
}

impl FromStr for PageToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        read(text).map(Self).ok_or_else(|| {
            Error::invalid("page token", text, "is none; send what a list gave as `next`, or none")
        })
    }
}

fn read(text: &str) -> Option<At> {
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| plain)
    };
    let (list, place) = text.split_once('-')?;
    match list {
        "turn" => Some(At::Turn(number(place)?)),
        "recent" => {
            let (micros, id) = place.split_once('-')?;
            // Later times have another form in SQLite, where they are compared as text.
            let micros = number(micros).filter(|micros| *micros <= LATEST_MICROS)?;
            let at = DateTime::from_timestamp_micros(micros)?.naive_utc();
            Some(At::Recent(at, number(id)?))
        }
        _ => None,
    }
}

/// The end of the year 9999.
const LATEST_MICROS: i64 = 253_402_300_799_999_999;

impl Serialize for PageToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PageToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_and_what_is_none_is_refused() {
        for text in
            ["turn-1", "turn-9223372036854775807", "recent-0-1", "recent-253402300799999999-7"]
        {
            let token: PageToken = text.parse().unwrap();
            assert_eq!(token.to_string(), text);
            let json = serde_json::to_string(&token).unwrap();
            assert_eq!(serde_json::from_str::<PageToken>(&json).unwrap(), token);
        }
        for text in [
            "",
            "1",
            "turn",
            "turn-",
            "turn--1",
            "turn-+1",
            "turn-1-2",
            "turn-9223372036854775808",
            "recent-1",
            "recent-1-",
            "recent--1-2",
            "recent-253402300800000000-1",
            "recent-1-2-3",
            "other-1",
            "turn-1 ",
        ] {
            let error = text.parse::<PageToken>().unwrap_err();
            assert!(matches!(error, Error::Invalid { field: "page token", .. }), "{text:?}");
        }
    }

    #[test]
    fn the_token_of_another_list_is_refused() {
        let turn = Page::after(PageToken::of_turn(4), 1);
        let recent = Page::after("recent-5-6".parse().unwrap(), 1);
        assert_eq!(turn.turn().unwrap(), Some(4));
        assert!(recent.recent().unwrap().is_some());
        for refused in
            [turn.recent().err(), recent.turn().err(), turn.row().err(), recent.row().err()]
        {
            assert!(refused.unwrap().to_string().contains("of another list"));
        }
    }
}
