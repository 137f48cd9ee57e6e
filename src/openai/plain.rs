//! The usual form of a server-sent event: at most a name, one line of data, and a blank line. In one piece it is cut
//! out of the bytes as they came, without a copy; one that the network cut in two is put together once.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

/// An event in the usual form.
#[derive(Debug, Clone)]
pub(super) struct Plain {
    lines: Bytes,
    name: Range<usize>,
    data: Range<usize>,
}

/// Why bytes do not begin with an event in the usual form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusual {
    /// They end before it does.
    Cut,
    /// It has another form, or is longer than an event may be.
    Other,
}

/// Lines of an event in the usual form.
const MOST_LINES: usize = 3;

impl Plain {
    /// Takes the event at the beginning of `chunk`, or nothing.
    pub(super) fn take(chunk: &mut Bytes, max_event_bytes: usize) -> Result<Self, Unusual> {
        let Parts { name, data, after } = parts(chunk, max_event_bytes)?;
        Ok(Self { lines: chunk.split_to(after), name, data })
    }

    /// Takes the event whose first bytes are `begin` and whose others are at the beginning of `chunk`, or nothing. Room for it comes from
    /// `lines`, which gets it back when the event is dropped.
    pub(super) fn join(
        begin: &[u8],
        chunk: &mut Bytes,
        lines: &mut BytesMut,
        max_event_bytes: usize,
    ) -> Result<Self, Unusual> {
        let mut taken = 0;
        lines.clear();
        for _ in 0..MOST_LINES {
            let (_, next) = line_end(chunk, taken)?;
            if taken == 0 {
                // The blank line is the next one, as a rule.
                lines.reserve(begin.len() + next + 2);
                lines.extend_from_slice(begin);
            }
            lines.extend_from_slice(chunk.get(taken..next).unwrap_or_default());
            taken = next;
            match parts(lines, max_event_bytes) {
                Ok(Parts { name, data, after }) => {
                    // A single CR is known to end a line by what follows it.
                    lines.truncate(after);
                    chunk.advance(after.saturating_sub(begin.len()));
                    return Ok(Self { lines: lines.split().freeze(), name, data });
                }
                Err(Unusual::Cut) => {}
                Err(Unusual::Other) => break,
            }
        }
        Err(Unusual::Other)
    }

    /// Empty when the event has none.
    pub(super) fn name(&self) -> &[u8] {
        self.lines.get(self.name.clone()).unwrap_or_default()
    }

    pub(super) fn data(&self) -> &[u8] {
        self.lines.get(self.data.clone()).unwrap_or_default()
    }
}

/// Where the parts of an event are, and what comes after it.
struct Parts {
    name: Range<usize>,
    data: Range<usize>,
    after: usize,
}

fn parts(bytes: &[u8], max_event_bytes: usize) -> Result<Parts, Unusual> {
    let (mut name, mut begin, mut before) = (0..0, 0, 0);
    if begins_with(bytes, b"event:")? {
        let (end, next) = line_end(bytes, 0)?;
        name = value(bytes, "event:".len(), end);
        (begin, before) = (next, end + 1);
    }
    if !begins_with(bytes.get(begin..).unwrap_or_default(), b"data:")? {
        return Err(Unusual::Other);
    }
    let (end, next) = line_end(bytes, begin)?;
    let data = value(bytes, begin + "data:".len(), end);
    let after = behind(bytes, next)?;
    // Each line counts with one byte for its end.
    if before + (end - begin) + 1 > max_event_bytes {
        return Err(Unusual::Other);
    }
    Ok(Parts { name, data, after })
}

fn begins_with(bytes: &[u8], what: &[u8]) -> Result<bool, Unusual> {
    if bytes.len() < what.len() && what.starts_with(bytes) {
        return Err(Unusual::Cut);
    }
    Ok(bytes.starts_with(what))
}

/// The value of a field: one blank before it does not count.
fn value(bytes: &[u8], begin: usize, end: usize) -> Range<usize> {
    if bytes.get(begin) == Some(&b' ') { begin + 1..end } else { begin..end }
}

/// Where the line that holds `from` ends, and where the next one begins.
fn line_end(bytes: &[u8], from: usize) -> Result<(usize, usize), Unusual> {
    let rest = bytes.get(from..).unwrap_or_default();
    let end = from + memchr2(b'\n', b'\r', rest).ok_or(Unusual::Cut)?;
    Ok((end, behind(bytes, end)?))
}

/// Where the next line begins if one ends at `end`. A CR that is the last byte may be half an end.
fn behind(bytes: &[u8], end: usize) -> Result<usize, Unusual> {
    match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(end + 2),
        (Some(b'\n'), _) | (Some(b'\r'), Some(_)) => Ok(end + 1),
        (None | Some(b'\r'), _) => Err(Unusual::Cut),
        _ => Err(Unusual::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64;

    fn join(begin: &str, chunk: &mut Bytes) -> Result<Plain, Unusual> {
        Plain::join(begin.as_bytes(), chunk, &mut BytesMut::new(), LIMIT)
    }

    fn take(text: &'static str) -> Option<(String, String, String)> {
        let mut chunk = Bytes::from_static(text.as_bytes());
        let plain = Plain::take(&mut chunk, LIMIT).ok()?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((text(plain.name()), text(plain.data()), text(&chunk)))
    }

    #[test]
    fn the_usual_form_is_taken_and_the_rest_left() {
        for (text, name, data, rest) in [
            ("data: 1\n\ndata: 2\n\n", "", "1", "data: 2\n\n"),
            ("event: a\ndata:  b \n\n", "a", " b ", ""),
            ("event:a\r\ndata:b\r\n\r\n", "a", "b", ""),
            ("data: b\r\r:", "", "b", ":"),
            ("event:\ndata:\n\n", "", "", ""),
            // As long as it may be.
            (
                "event: 012345678901234567\ndata: 0123456789012345678901234567890\n\n",
                "012345678901234567",
                "0123456789012345678901234567890",
                "",
            ),
        ] {
            let expected = (name.to_owned(), data.to_owned(), rest.to_owned());
            assert_eq!(take(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn every_other_form_is_left_alone() {
        for text in [
            "",
            "data: 1",
            "data: 1\n",
            "data: 1\n\r",
            "data: 1\r\n\r",
            "data: 1\ndata: 2\n\n",
            "data: 1\nevent: a\n\n",
            "event: a\nevent: b\ndata: 1\n\n",
            "event: a\n\n",
            "event: a\nid: 1\ndata: 1\n\n",
            "event\ndata: 1\n\n",
            "data\n\n",
            "database: 1\n\n",
            ": comment\ndata: 1\n\n",
            "\ndata: 1\n\n",
            "event: 0123456789012345678\ndata: 0123456789012345678901234567890\n\n",
        ] {
            assert_eq!(take(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_may_go_on_is_told_from_what_has_another_form() {
        let unusual = |text: &str| {
            Plain::take(&mut Bytes::copy_from_slice(text.as_bytes()), LIMIT).unwrap_err()
        };
        for text in ["e", "event: a", "event: a\n", "event: a\nda", "data: 1\r", "data: 1\n"] {
            assert_eq!(unusual(text), Unusual::Cut, "{text:?}");
        }
        for text in [":", "id", "evil", "event: a\nid", "data: 1\ndata", "\n"] {
            assert_eq!(unusual(text), Unusual::Other, "{text:?}");
        }
    }

    #[test]
    fn an_event_is_put_together_wherever_it_was_cut() {
        for event in ["event: a\ndata: b\n\n", "data: b\r\n\r\n", "data: b\r\r", "data: b\n\n"] {
            for at in 1..event.len() {
                let (begin, rest) = event.split_at(at);
                let mut chunk = Bytes::from(format!("{rest}data: 2\n\n"));
                let plain = join(begin, &mut chunk).unwrap();
                let name = if event.starts_with("event") { "a" } else { "" };
                assert_eq!((plain.name(), plain.data()), (name.as_bytes(), &b"b"[..]), "{begin:?}");
                assert_eq!(chunk, "data: 2\n\n", "{begin:?}");
            }
        }
    }

    #[test]
    fn nothing_is_taken_of_what_does_not_end() {
        for (begin, rest) in [("data: 1", "2"), ("data: 1", "2\n"), ("data: 1", "\ndata: 2\n\n")] {
            let mut chunk = Bytes::from_static(rest.as_bytes());
            assert!(join(begin, &mut chunk).is_err(), "{rest:?}");
            assert_eq!(chunk, rest);
        }
    }
}
