//! The usual form of a server-sent event: at most a name, one line of data, and a blank line, all in one piece. It is cut
//! out of the bytes as they came, without a copy.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;

/// An event in the usual form.
#[derive(Debug, Clone)]
pub(super) struct Plain {
    lines: Bytes,
    name: Range<usize>,
    data: Range<usize>,
}

impl Plain {
    /// Takes the event at the beginning of `chunk`. `None`: it has another form, its end is not here, or it is longer than
    /// an event may be; then nothing is taken.
    pub(super) fn take(chunk: &mut Bytes, max_event_bytes: usize) -> Option<Self> {
        let bytes: &[u8] = chunk;
        let (mut name, mut begin, mut before) = (0..0, 0, 0);
        if bytes.starts_with(b"event:") {
            let (end, next) = line_end(bytes, 0)?;
            name = value(bytes, "event:".len(), end);
            (begin, before) = (next, end + 1);
        }
        if !bytes.get(begin..)?.starts_with(b"data:") {
            return None;
        }
        let (end, next) = line_end(bytes, begin)?;
        let data = value(bytes, begin + "data:".len(), end);
        let after = behind(bytes, next)?;
        // Each line counts with one byte for its end.
        if before + (end - begin) + 1 > max_event_bytes {
            return None;
        }
        Some(Self { lines: chunk.split_to(after), name, data })
    }

    /// Empty when the event has none.
    pub(super) fn name(&self) -> &[u8] {
        self.lines.get(self.name.clone()).unwrap_or_default()
    }

    pub(super) fn data(&self) -> &[u8] {
        self.lines.get(self.data.clone()).unwrap_or_default()
    }
}

/// The value of a field: one blank before it does not count.
fn value(bytes: &[u8], begin: usize, end: usize) -> Range<usize> {
    if bytes.get(begin) == Some(&b' ') { begin + 1..end } else { begin..end }
}

/// Where the line that holds `from` ends, and where the next one begins.
fn line_end(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let end = from + memchr2(b'\n', b'\r', bytes.get(from..)?)?;
    Some((end, behind(bytes, end)?))
}

/// Where the next line begins if one ends at `end`. A CR that is the last byte may be half an end.
fn behind(bytes: &[u8], end: usize) -> Option<usize> {
    match (bytes.get(end)?, bytes.get(end + 1)) {
        (b'\r', Some(b'\n')) => Some(end + 2),
        (b'\n', _) | (b'\r', Some(_)) => Some(end + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64;

    fn take(text: &'static str) -> Option<(String, String, String)> {
        let mut chunk = Bytes::from_static(text.as_bytes());
        let plain = Plain::take(&mut chunk, LIMIT)?;
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
}
