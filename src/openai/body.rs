//! What a body is, found out from its beginning.

use super::limits::MAX_ERROR_BODY;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Server-sent events.
    Events,
    Json,
    /// A page, a text, or nothing.
    Other,
}

/// The lines with which a body begins, until they tell what it is. A text of words is no stream of events, though some words
/// begin as the fields of an event do.
#[derive(Default)]
pub(super) struct FirstLines {
    pub(super) begun: Vec<u8>,
    /// Where the first line begins that was not looked at, or not whole then.
    pub(super) from: usize,
    /// There were lines that events may have before their data: comments, ids, delays.
    may_be_events: bool,
    /// There were lines that are neither these nor blank.
    has_text: bool,
}

impl FirstLines {
    /// `None`: the next bytes tell.
    pub(super) fn look(&mut self) -> Option<Body> {
        let mark = b"\xEF\xBB\xBF";
        if self.from == 0 {
            if self.begun.len() < mark.len() && mark.starts_with(&self.begun) {
                return None;
            }
            self.from = if self.begun.starts_with(mark) { mark.len() } else { 0 };
        }
        loop {
            let rest = self.begun.get(self.from..).unwrap_or_default();
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if line.starts_with(b"data:") || line.starts_with(b"event:") {
                return Some(Body::Events);
            }
            if !self.has_text && matches!(line.trim_ascii_start().first(), Some(b'{' | b'[')) {
                return Some(Body::Json);
            }
            let Some(end) = end else {
                return (self.begun.len() > MAX_ERROR_BODY).then(|| self.at_end());
            };
            let neutral = [b":".as_slice(), b"id:", b"retry:"];
            if neutral.iter().any(|start| line.trim_ascii_start().starts_with(start)) {
                self.may_be_events = true;
            } else if !line.trim_ascii().is_empty() {
                self.has_text = true;
            }
            self.from += end + 1;
        }
    }

    /// What a body is that has said no more than this.
    pub(super) fn at_end(&self) -> Body {
        let rest = self.begun.get(self.from..).unwrap_or_default();
        let is_comment = rest.first() == Some(&b':');
        let has_text = self.has_text || !is_comment && !rest.trim_ascii().is_empty();
        if (self.may_be_events || is_comment) && !has_text { Body::Events } else { Body::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_known_by_its_first_lines_however_they_are_cut() {
        for (body, expected) in [
            ("data: {}\n\n", Body::Events),
            ("event: ping\n\n", Body::Events),
            (": PROCESSING\n\n: PROCESSING\r\n\r\ndata: x", Body::Events),
            ("id: 1\nretry: 5\ndata: x", Body::Events),
            (" data: x\ndata: y", Body::Events),
            ("note\ndata: y", Body::Events),
            (": PROCESSING\n\n", Body::Events),
            (": PROCESSING", Body::Events),
            ("{}", Body::Json),
            ("\r\n [1]", Body::Json),
            (": PROCESSING\n\n{\"error\":{}}", Body::Json),
            ("error code: 502", Body::Other),
            ("error code: 502\n{}", Body::Other),
            ("internal error", Body::Other),
            ("invalid api key", Body::Other),
            ("identity unknown: x\n", Body::Other),
            ("rate limited", Body::Other),
            ("request timed out\n", Body::Other),
            ("deployment not found", Body::Other),
            (": PROCESSING\n\nupstream failed", Body::Other),
            ("database error", Body::Other),
            ("<html>", Body::Other),
            ("\n \n", Body::Other),
            ("", Body::Other),
        ] {
            for mark in ["", "\u{feff}"] {
                let body = format!("{mark}{body}");
                for size in [1, 2, 3, 5, 64] {
                    let mut lines = FirstLines::default();
                    let mut chunks = body.as_bytes().chunks(size);
                    let found = loop {
                        if let Some(found) = lines.look() {
                            break found;
                        }
                        match chunks.next() {
                            Some(chunk) => lines.begun.extend_from_slice(chunk),
                            None => break lines.at_end(),
                        }
                    };
                    assert_eq!(found, expected, "{body:?} in pieces of {size}");
                }
            }
        }
        // Neither words nor signs of life are waited for without end.
        for (line, expected) in [("words\n", Body::Other), (": wait\n", Body::Events)] {
            let begun = line.repeat(MAX_ERROR_BODY).into_bytes();
            assert_eq!(FirstLines { begun, ..FirstLines::default() }.look(), Some(expected));
        }
    }
}
