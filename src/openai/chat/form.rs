//! What the chunks of an answer have in common: as a rule they differ in their piece of text alone, and in a padding that hides how
//! long that is. A chunk that is the last one but for these is not read again; its text is cut out of it.
//!
//! That is certain: what stands before the text is the same, so a reader of JSON is where it was then; the text is a string
//! without escapes, as that one was; and what follows is the same again.

use std::ops::Range;

use memchr::memchr2;

use super::chunk::{Choice, Chunk};
use super::piece;

/// The longest chunk that is remembered, in bytes without its text.
const LONGEST: usize = 4096;

/// The last chunk with text, around that.
#[derive(Debug, Default)]
pub(super) struct Form {
    known: bool,
    before: String,
    /// Up to the padding, if there is one.
    between: String,
    /// What follows the padding; `None`: there is none.
    after: Option<String>,
}

impl Form {
    /// Reads the data of an event that is surely a piece of one answer. A chunk like the last one has its text alone: whoever reads
    /// them in order knows the rest.
    pub(super) fn read<'d>(&mut self, data: &'d str) -> Option<Chunk<'d>> {
        if let Some(text) = self.text_of(data) {
            let choice = Choice { text: text.to_owned(), ..Choice::default() };
            return Some(Chunk { choice: Some(choice), ..Chunk::default() });
        }
        let (chunk, places) = piece::read(data)?;
        self.learn(data, &chunk, places);
        Some(chunk)
    }

    /// The text of a chunk that is the last one but for its text and its padding.
    fn text_of<'d>(&self, data: &'d str) -> Option<&'d str> {
        let rest = data.strip_prefix(&*self.before).filter(|_| self.known)?;
        let (text, rest) = string(rest)?;
        let rest = rest.strip_prefix(&*self.between)?;
        let same = match &self.after {
            Some(after) => string(rest)?.1 == after,
            None => rest.is_empty(),
        };
        same.then_some(text)
    }

    /// `text` and `padding`: where these are in `data`, without quotes.
    fn learn(
        &mut self,
        data: &str,
        chunk: &Chunk<'_>,
        (text, padding): (Option<Range<usize>>, Option<Range<usize>>),
    ) {
        let says_text_alone = chunk.choice.as_ref().is_some_and(|choice| {
            choice.reasoning.is_empty() && choice.calls.is_empty() && choice.finish_reason.is_none()
        });
        let Some(text) = text.filter(|text| says_text_alone && data.len() - text.len() <= LONGEST)
        else {
            return;
        };
        // One that stands before the text is a part of what is the same, or is not.
        let padding = padding.filter(|padding| padding.start > text.end);
        let end = padding.as_ref().map_or(data.len(), |padding| padding.start);
        let (Some(before), Some(between)) = (data.get(..text.start), data.get(text.end..end))
        else {
            return;
        };
        self.known = true;
        before.clone_into(&mut self.before);
        between.clone_into(&mut self.between);
        match padding.and_then(|padding| data.get(padding.end..)) {
            Some(after) => after.clone_into(self.after.get_or_insert_default()),
            None => self.after = None,
        }
    }
}

/// A string without escapes, up to its quote, and the rest from there.
fn string(text: &str) -> Option<(&str, &str)> {
    let end = memchr2(b'"', b'\\', text.as_bytes())?;
    let (inner, rest) = text.split_at_checked(end)?;
    // What has to be escaped makes it no JSON.
    (rest.starts_with('"') && inner.bytes().all(|byte| byte >= b' ')).then_some((inner, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(head: &str, text: &str, reason: &str, padding: &str) -> String {
        format!(
            r#"{{"id":"{head}","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{reason}}}],"usage":null{padding}}}"#
        )
    }

    /// How many of these chunks were not read again; each of them says what it says by itself.
    fn cut_out(chunks: &[String]) -> usize {
        let mut form = Form::default();
        let mut count = 0;
        for data in chunks {
            let alone = piece::read(data).map(|(chunk, _)| chunk);
            if form.text_of(data).is_some() {
                count += 1;
                let choice = form.read(data).unwrap().choice;
                assert_eq!(choice, alone.unwrap().choice, "{data}");
            } else {
                assert_eq!(form.read(data), alone, "{data}");
            }
        }
        count
    }

    #[test]
    fn chunks_that_differ_in_text_and_padding_are_not_read_again() {
        let padded =
            |text, padding| chunk("a", text, "null", &format!(",\"obfuscation\":\"{padding}\""));
        for (chunks, expected) in [
            (vec![chunk("a", "one", "null", ""), chunk("a", " two é😀'", "null", "")], 1),
            (vec![padded("one", "x"), padded("", "yyyy"), padded("three", "")], 2),
            (vec![chunk("a", "one", "null", ""), padded("two", "x"), padded("3", "yy")], 1),
            (vec![padded("one", "x"), chunk("a", "two", "null", "")], 0),
            (vec![chunk("a", "one", "null", ""), chunk("b", "two", "null", "")], 0),
            (vec![chunk("a", "one", "null", ""), chunk("a", "two", "\"stop\"", "")], 0),
            // What ended is no form for what goes on.
            (vec![chunk("a", "one", "\"stop\"", ""), chunk("a", "two", "\"stop\"", "")], 0),
            (
                vec![
                    chunk("a", "one", "null", ""),
                    chunk("a", r"\n", "null", ""),
                    chunk("a", "b", "null", ""),
                ],
                1,
            ),
            (
                vec![
                    chunk("a", "one", "null", ""),
                    chunk("a", "\n", "null", ""),
                    chunk("a", "\0", "null", ""),
                ],
                0,
            ),
            (vec![padded("one", "x"), padded("two", r"\ud83d"), padded("two", "\u{1}")], 0),
            (
                vec![
                    chunk("a", "one", "null", ""),
                    chunk("a", r#"x"},"finish_reason":"stop","y":{"z":""#, "null", ""),
                ],
                0,
            ),
            (vec![chunk("a", &"x".repeat(9000), "null", ""), chunk("a", "b", "null", "")], 1),
            (
                vec![
                    chunk(&"x".repeat(9000), "a", "null", ""),
                    chunk(&"x".repeat(9000), "b", "null", ""),
                ],
                0,
            ),
        ] {
            assert_eq!(cut_out(&chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn a_text_is_found_where_it_is_and_not_where_it_seems_to_be() {
        for data in [
            r#"{"x":{"content":"a"},"choices":[{"delta":{"content":"a"}}],"content":"a"}"#,
            r#"{"id":"\"content\":\"a\"","choices":[{"delta":{"role":"a","content":"a"}}]}"#,
            r#"{"obfuscation":"a","choices":[{"delta":{"content":"a"}}]}"#,
        ] {
            let at = data.rfind(r#"{"content":"a"}}]"#).map(|at| at + r#"{"content":""#.len());
            let at = at.or_else(|| data.rfind(r#""a"}}]"#).map(|at| at + 1)).unwrap();
            let other = format!("{}b{}", &data[..at], &data[at + 1..]);
            assert_eq!(cut_out(&[data.to_owned(), other]), 1, "{data}");
        }
    }

    const PIECES: &[&str] =
        &["a", "", "word ", r"\n", "\n", "é", "\"", "\\", r#"","x":""#, "}", "\0", r"\ud83d"];
    const AROUND: &[&str] = &[
        r#"{"choices":[{"delta":{"content":"_"}}]}"#,
        r#"{"choices":[{"delta":{"content":"_"}}],"obfuscation":"_"}"#,
        r#"{"obfuscation":"_","choices":[{"delta":{"content":"_"}}]}"#,
        r#"{"choices":[{"delta":{"content":"_","content":"_"}}]}"#,
        r#"{"choices":[{"delta":{"content":"_"},"finish_reason":"_"}]}"#,
        r#"{"choices":[{"delta":{"content":"_","reasoning":"_"}}],"id":"_"}"#,
        r#"{"x":"_","choices":[{"delta":{"content":"_"}}],"obfuscation":{"obfuscation":"_"}}"#,
        r#"{"choices":[{"delta":{"content":"_"}}],"obfuscation":null}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn whatever_comes_after_one_another_says_what_it_says_alone(
            chunks in prop::collection::vec(
                (prop::sample::select(AROUND), prop::sample::select(PIECES), prop::sample::select(PIECES)),
                2..6,
            ),
        ) {
            let fill = |(around, first, second): (&str, &str, &str)| {
                around.replacen('_', first, 1).replace('_', second)
            };
            cut_out(&chunks.into_iter().map(fill).collect::<Vec<_>>());
        }
    }
}
