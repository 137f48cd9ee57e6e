//! A reader's place in a conversation, as text that survives reconnects and restarts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::delivered::{Delivered, DeliveredText, Opening};
use crate::error::{Error, Result};
use crate::model::{Message, MessageStatus, Messageable, Paged, Turn};

/// A reader's place in a thread or chat: each [`Event`](crate::Event) carries the place behind it.
///
/// The text form fits the header `Last-Event-ID`: it has no white space and at most 8 KiB. Do not take it apart. It names its
/// thread or chat and holds a digest of what the reader has of each unfinished message. So a reader that comes back gets exactly
/// what it lacks, also after a crash that lost the last words; that message then comes as replaced. A cursor stays valid for as long
/// as its thread or chat exists. It holds no secret and gives no right to read: the host checks whose thread it is.
///
/// Parsing fails with [`Error::Invalid`](crate::Error::Invalid) for a text that is not a cursor.
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
    pub(crate) of: Messageable,
    /// The number that was delivered last.
    pub(crate) seq: i64,
    /// Which part of it.
    pub(crate) part: Part,
    /// Shared with the events that were delivered, which are rarely kept.
    pub(crate) delivered: Arc<Delivered>,
}

/// What a number stands for, in the order of the telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Turns that left the path under it: they were told up to this one.
    Left(i64),
    /// All of those, and turns that came back up to this one, of which so much was delivered.
    Back(i64),
    /// The turn of this number itself.
    Own,
}

/// Longest text form, in bytes: it travels in a header.
const MOST_BYTES: usize = 8 * 1024;
/// Unfinished messages that a text form tells apart. Of a run that writes more at once it tells that the run has begun; a
/// reader that comes back then gets that run again.
const MOST_MESSAGES: usize = 128;
/// Beyond any id, number or length that there can be: nothing that is computed from one overflows.
const LARGEST: i64 = 1 << 53;

impl Paged<Turn> {
    /// The place behind what these turns show, for [`Events::resume`](crate::Events::resume): a page that shows the newest turns goes on
    /// with the events that follow them. `None`: there are no turns, and the events begin at the beginning.
    ///
    /// Where an answer is on its way and questions wait behind it, it is the place in that answer; what waits is then told again, under
    /// the same ids.
    #[must_use]
    pub fn follow(&self) -> Option<Cursor> {
        let goes_on = |turn: &&Turn| turn.run.as_ref().is_some_and(|run| !run.status.is_terminal());
        let turn = self.items.iter().find(goes_on).or(self.items.last())?;
        turn.messages.last().map(Cursor::after)
    }
}

impl Cursor {
    /// The beginning of a conversation.
    pub(crate) fn start(of: Messageable) -> Self {
        Self { of, seq: 0, part: Part::Own, delivered: Arc::new(Delivered::all()) }
    }

    /// The beginning of a part of a number.
    pub(crate) fn at(of: Messageable, seq: i64, part: Part) -> Self {
        Self { of, seq, part, delivered: Arc::default() }
    }

    /// The place behind this message and the text that it has here. With it a page that shows messages from
    /// [`list`](crate::Messages::list) goes on with the events that follow the last of them.
    #[must_use]
    pub fn after(message: &Message) -> Self {
        let mut delivered = Delivered::default();
        if message.run_id.is_none() {
            delivered.ended = true;
        } else if !message.is_assistant() {
            delivered.opening = Opening::Asked;
        } else {
            let slot = message.position - 1;
            let settled = message.status != MessageStatus::Streaming;
            delivered.opening = Opening::Begun;
            delivered.passed = slot;
            delivered.messages.push(DeliveredText::of(slot, &message.content, settled));
        }
        let (seq, part) = match message.chosen_at {
            Some(number) => (number, Part::Back(message.seq)),
            None => (message.seq, Part::Own),
        };
        Self { of: message.messageable, seq, part, delivered: Arc::new(delivered) }
    }

    /// Fails for the cursor of another conversation.
    pub(crate) fn check(&self, of: Messageable) -> Result<()> {
        if self.of == of {
            return Ok(());
        }
        let reason = format!(
            "belongs to {}, not to {of}; send the cursor of one of its own events, or none",
            self.of
        );
        Err(Error::invalid("cursor", self.to_string(), reason))
    }

    /// The error of a cursor that is ahead of its conversation.
    pub(crate) fn is_ahead(&self) -> Error {
        let reason = "is ahead of its conversation: it is from another database, or an earlier state of this one was restored; begin without a cursor";
        Error::invalid("cursor", self.to_string(), reason)
    }

    /// The first number of which something is left to tell, as far as this one is known.
    pub(crate) fn wanted(&self) -> Wanted {
        match self.part {
            Part::Own if self.delivered.ended => {
                Wanted { seq: self.seq.saturating_add(1), own: false }
            }
            Part::Own => Wanted { seq: self.seq, own: true },
            Part::Left(_) | Part::Back(_) => Wanted { seq: self.seq, own: false },
        }
    }

    /// The same place among the events of this run alone, where it stands by its own number.
    pub(crate) fn within(mut self, run_seq: i64) -> Self {
        if self.part == Part::Back(run_seq) {
            (self.seq, self.part) = (run_seq, Part::Own);
        }
        self
    }
}

/// Where the next thing to tell is: what changed of the path under a number comes before the turn of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    pub(crate) seq: i64,
    /// The turn itself.
    pub(crate) own: bool,
}

/// `t12.5`: all of turn 5 of thread 12. `c3.7b.0:120:9f…`: of turn 7 of chat 3 the beginning, and 120 bytes of its first
/// message. `t12.8s5`: turns up to 5 that left the path under number 8; `t12.8r3b`: all of those, and the beginning of turn 3, which
/// came back.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Messageable::AssistantThread(id) => write!(f, "t{id}.{}", self.seq)?,
            Messageable::Chat(id) => write!(f, "c{id}.{}", self.seq)?,
        }
        match self.part {
            Part::Left(turn) => return write!(f, "s{turn}"),
            Part::Back(turn) => write!(f, "r{turn}")?,
            Part::Own => {}
        }
        if self.delivered.ended {
            return Ok(());
        }
        f.write_str(match self.delivered.opening {
            Opening::Nothing => "n",
            Opening::Queued => "q",
            Opening::Asked => "a",
            Opening::Begun => "b",
        })?;
        if self.delivered.passed > 0 {
            write!(f, "{}", self.delivered.passed)?;
        }
        if self.delivered.messages.len() > MOST_MESSAGES {
            return Ok(());
        }
        for seen in &self.delivered.messages {
            write!(f, ".{}", seen.slot)?;
            if !seen.settled {
                write!(f, ":{}:{:x}", seen.bytes, seen.digest)?;
            }
        }
        for (position, version) in self.delivered.calls.iter().take(MOST_MESSAGES) {
            write!(f, ".k{position}:{version}")?;
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
                "is not a cursor; send the text of an event's `cursor` unchanged, or none",
            )
        })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    if text.len() > MOST_BYTES {
        return None;
    }
    let mut parts = text.split('.');
    let conversation = parts.next()?;
    let of = match conversation.split_at_checked(1)? {
        ("t", id) => Messageable::AssistantThread(number(id)?),
        ("c", id) => Messageable::Chat(number(id)?),
        _ => return None,
    };
    let turn = parts.next()?;
    let (seq, rest) = leading_number(turn)?;
    let (part, rest) = match rest.split_at_checked(1) {
        Some(("s", turn)) => (Part::Left(number(turn)?), ""),
        Some(("r", rest)) => {
            let (turn, rest) = leading_number(rest)?;
            (Part::Back(turn), rest)
        }
        _ => (Part::Own, rest),
    };
    let mut delivered = Delivered::default();
    let (stage, passed) = rest.split_at_checked(1).unwrap_or_default();
    // A character of several bytes is no stage of ours.
    if stage.is_empty() && !rest.is_empty() {
        return None;
    }
    match stage {
        "" => delivered.ended = !matches!(part, Part::Left(_)),
        "n" => delivered.opening = Opening::Nothing,
        "q" => delivered.opening = Opening::Queued,
        "a" => delivered.opening = Opening::Asked,
        "b" => delivered.opening = Opening::Begun,
        _ => return None,
    }
    if !passed.is_empty() {
        delivered.passed = number(passed)?;
    }
    for part in parts {
        if let Some(call) = part.strip_prefix('k') {
            let (position, version) = call.split_once(':')?;
            delivered.calls.push((number(position)?, number(version)?));
            continue;
        }
        let mut fields = part.split(':');
        let slot = number(fields.next()?)?;
        // By their places, each once, and no more than we write.
        if !delivered.calls.is_empty()
            || delivered.messages.len() == MOST_MESSAGES
            || delivered.messages.last().is_some_and(|last| last.slot >= slot)
        {
            return None;
        }
        delivered.messages.push(match (fields.next(), fields.next(), fields.next()) {
            (None, _, _) => DeliveredText::new(slot, 0, 0, true),
            (Some(bytes), Some(digest), None) => {
                let digest = u64::from_str_radix(digest, 16).ok()?;
                DeliveredText::new(slot, usize::try_from(number(bytes)?).ok()?, digest, false)
            }
            _ => return None,
        });
    }
    let by_place = |pair: &[(i64, i64)]| pair[0].0 < pair[1].0;
    if !delivered.calls.windows(2).all(by_place) {
        return None;
    }
    let cursor = Cursor { of, seq, part, delivered: Arc::new(delivered) };
    // Whatever reads otherwise was not written by us.
    (cursor.to_string() == text).then_some(cursor)
}

fn leading_number(text: &str) -> Option<(i64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((number(digits)?, rest))
}

fn number(digits: &str) -> Option<i64> {
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
    number.flatten().filter(|number| *number <= LARGEST)
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
            "t1.2b.0.k2:3.k4:1",
            "t1.8s5",
            "t1.8s0",
            "c1.8r3",
            "c1.8r3q",
            "t1.8r3b.0:12:cbf29ce484222325",
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
            "t1.8s",
            "t1.8s5b",
            "t1.8s05",
            "t1.8s5.0",
            "t1.8r",
            "t1.8r3s5",
            "t1.8r3.0",
            "ü1.2",
            "t1.2.0",
            "t1.99999999999999999999",
            "t1.9223372036854775807",
            "t9223372036854775807.1",
            "t1.9007199254740993",
            "t1.2b.0:9223372036854775807:1",
            "t1.2b9223372036854775807",
            "t1.2b.9223372036854775807",
            "t1.2b.1.1",
            "t1.2b.1.0",
            "t1.2é",
            "t1.2bé",
            "t1.2b.é",
            "té.2",
            &format!("t1.2b{}", ".1".repeat(10_000)),
            &(0..200).fold("t1.2b".to_owned(), |text, slot| format!("{text}.{slot}")),
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
