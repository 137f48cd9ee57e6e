//! JSON that is nearly JSON, made readable: half of a surrogate pair, NaN, a number too large, a raw control character, a
//! comma too many, a nesting too deep. Only what a strict reader has refused comes here, so valid JSON costs nothing more.
//!
//! Servers cut text by UTF-16 units, escape with libraries of their own, and pass on what models write; an answer that was
//! paid must not be lost for a field that nobody reads. What is repaired reads as a strict reader would read it where it is
//! valid, and nothing else is made up: what cannot be repaired stays an error.

/// Levels of arrays and objects that are kept; `serde_json` reads 128.
const DEEPEST: usize = 100;

/// JSON that was repaired.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Repaired {
    pub(super) json: Vec<u8>,
    /// The second half of a pair with which the streamed text begins; it is left out there.
    pub(super) begins_with: Option<u16>,
    /// The first half of a pair with which that text ends; it is left out there.
    pub(super) ends_with: Option<u16>,
}

/// Where an event has the text that is streamed: which member, and in how many objects and arrays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streamed {
    member: &'static [u8],
    depth: usize,
}

impl Streamed {
    /// `{"delta": "…"}`
    pub(super) const DELTA: Self = Self { member: br#""delta""#, depth: 1 };
    /// `{"choices": [{"delta": {"content": "…"}}]}`
    pub(super) const CONTENT: Self = Self { member: br#""content""#, depth: 4 };
}

/// Makes what it can of `json`; whether that is JSON is for the reader to find out.
pub(super) fn repair(json: &[u8], streamed: Streamed) -> Repaired {
    let mut repairing = Repairing {
        rest: json,
        out: Vec::with_capacity(json.len() + 16),
        streamed,
        depth: 0,
        in_delta: false,
        begins_with: None,
        ends_with: None,
    };
    repairing.values();
    let Repairing { out, begins_with, ends_with, .. } = repairing;
    Repaired { json: out, begins_with, ends_with }
}

struct Repairing<'j> {
    rest: &'j [u8],
    out: Vec<u8>,
    streamed: Streamed,
    depth: usize,
    /// The value that comes next is the streamed text.
    in_delta: bool,
    begins_with: Option<u16>,
    ends_with: Option<u16>,
}

impl Repairing<'_> {
    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn values(&mut self) {
        while let Some(byte) = self.take() {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' if self.depth >= DEEPEST => self.leave_out(),
                b'{' | b'[' => {
                    self.depth += 1;
                    self.out.push(byte);
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    while self.out.last().is_some_and(u8::is_ascii_whitespace) {
                        self.out.pop();
                    }
                    if self.out.last() == Some(&b',') {
                        self.out.pop();
                    }
                    self.out.push(byte);
                }
                b'-' | b'+' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => self.word(byte),
                other => self.out.push(other),
            }
        }
    }

    /// A number, `true`, `false`, `null`, or what JSON does not know, which becomes `null`.
    fn word(&mut self, first: u8) {
        let more = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = self.rest.iter().take_while(|byte| more(byte)).count();
        let (rest, after) = self.rest.split_at(length);
        self.rest = after;
        let word = [&[first], rest].concat();
        let readable = serde_json::from_slice::<serde_json::Value>(&word).is_ok();
        self.out.extend_from_slice(if readable { &word } else { b"null" });
    }

    /// Puts `null` in the place of an array or object, however deep it is.
    fn leave_out(&mut self) {
        let mut open = 1_usize;
        while let Some(byte) = self.take() {
            match byte {
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                b'"' => {
                    while let Some(byte) = self.take() {
                        match byte {
                            b'\\' => drop(self.take()),
                            b'"' => break,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
            if open == 0 {
                break;
            }
        }
        self.out.extend_from_slice(b"null");
    }

    fn string(&mut self) {
        let start = self.out.len();
        let is_delta = std::mem::take(&mut self.in_delta);
        self.out.push(b'"');
        while let Some(byte) = self.take() {
            match byte {
                b'"' => {
                    self.out.push(b'"');
                    let is_key = self.depth == self.streamed.depth
                        && self.rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                    self.in_delta = is_key && self.out.get(start..) == Some(self.streamed.member);
                    return;
                }
                b'\\' => self.escape(is_delta, start),
                0..=0x1F => self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                other => self.out.push(other),
            }
        }
    }

    fn escape(&mut self, is_delta: bool, start: usize) {
        match self.take() {
            Some(b'u') => match self.unit() {
                Some(unit @ 0xD800..=0xDBFF) => self.first_half(unit, is_delta),
                Some(unit @ 0xDC00..=0xDFFF) if is_delta && self.out.len() == start + 1 => {
                    self.begins_with = Some(unit);
                }
                Some(0xDC00..=0xDFFF) | None => self.out.extend_from_slice(br"\ufffd"),
                Some(unit) => self.out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
            },
            Some(byte @ (b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {
                self.out.extend_from_slice(&[b'\\', byte]);
            }
            // No escape that JSON knows: the backslash stands for itself.
            Some(other) => {
                self.out.extend_from_slice(br"\\");
                self.out.push(other);
            }
            None => {}
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        let text = std::str::from_utf8(digits).ok()?;
        let unit = u16::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'))?;
        self.rest = rest;
        Some(unit)
    }

    fn first_half(&mut self, first: u16, is_delta: bool) {
        let rest = self.rest;
        if self.rest.starts_with(br"\u") {
            self.rest = &self.rest[2..];
            if let Some(second @ 0xDC00..=0xDFFF) = self.unit() {
                let pair = format!("\\u{first:04x}\\u{second:04x}");
                self.out.extend_from_slice(pair.as_bytes());
                return;
            }
            self.rest = rest;
        }
        if is_delta && self.rest.first() == Some(&b'"') {
            self.ends_with = Some(first);
        } else {
            self.out.extend_from_slice(br"\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(json: &str) -> Value {
        let repaired = repair(json.as_bytes(), Streamed::DELTA);
        serde_json::from_slice(&repaired.json).unwrap_or_else(|error| {
            panic!("{json}: {error}: {}", String::from_utf8_lossy(&repaired.json))
        })
    }

    #[test]
    fn what_is_nearly_json_is_read() {
        for (nearly, expected) in [
            (r#"{"a":"x\ud83d"}"#, json!({"a": "x\u{fffd}"})),
            (r#"{"a":"\ude00x"}"#, json!({"a": "\u{fffd}x"})),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, json!({"a": "\u{fffd}😀"})),
            (r#"{"a":"\ud83d\n"}"#, json!({"a": "\u{fffd}\n"})),
            (r#"{"\ud83d":1}"#, json!({"\u{fffd}": 1})),
            (r#"{"a":NaN,"b":-Infinity,"c":Infinity}"#, json!({"a": null, "b": null, "c": null})),
            (r#"{"a":1e999,"b":[1,],}"#, json!({"a": null, "b": [1]})),
            ("{\"a\":\"x\ny\"}", json!({"a": "x\ny"})),
            (r#"{"a":"\x41\'"}"#, json!({"a": "\\x41\\'"})),
            (r#"{"a":"\u12"}"#, json!({"a": "\u{fffd}12"})),
            (r#"{"a":undefined,"b":True}"#, json!({"a": null, "b": null})),
            (r#"{"a":"b,}","c":1}"#, json!({"a": "b,}", "c": 1})),
        ] {
            assert_eq!(read(nearly), expected, "{nearly}");
        }
    }

    #[test]
    fn what_is_too_deep_is_left_out_and_the_rest_is_read() {
        for levels in [200, 100_000] {
            let deep = format!("{}\"]\"{}", "[".repeat(levels), "]".repeat(levels));
            let value = read(&format!(r#"{{"a":{deep},"b":1}}"#));
            assert_eq!(value["b"], 1);
        }
    }

    #[test]
    fn a_pair_that_is_cut_between_two_deltas_is_kept_apart() {
        let repaired = repair(br#"{"delta":"Hi \ud83d"}"#, Streamed::DELTA);
        assert_eq!((repaired.begins_with, repaired.ends_with), (None, Some(0xD83D)));
        assert_eq!(repaired.json, br#"{"delta":"Hi "}"#);
        let repaired = repair(br#"{"delta" : "\ude00 there"}"#, Streamed::DELTA);
        assert_eq!((repaired.begins_with, repaired.ends_with), (Some(0xDE00), None));
        // Of another member, or further in, there is nothing to join.
        for other in
            [r#"{"text":"\ud83d"}"#, r#"{"a":{"delta":"\ud83d"}}"#, r#"["delta","\ud83d"]"#]
        {
            assert_eq!(repair(other.as_bytes(), Streamed::DELTA).ends_with, None, "{other}");
        }
    }

    #[test]
    fn valid_json_means_the_same_afterwards() {
        for valid in [
            r#"{"a":[1,-2.5e3,true,false,null,"\"\\\/\b\f\n\r\t\u00e9😀\ud83d\ude00"],"b":{}}"#,
            r"[ ]",
            r#""text""#,
            "0",
        ] {
            assert_eq!(read(valid), serde_json::from_str::<Value>(valid).unwrap());
        }
    }
}
