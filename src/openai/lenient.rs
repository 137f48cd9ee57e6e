//! Reading JSON members without ever failing: what is missing or has another type counts as absent.
//!
//! Servers that speak this protocol differ in the details, and providers add fields without notice.
//! Only what the caller cannot do without may be an error, and that is decided where it is needed.

use serde_json::{Map, Value};

use super::repair::{Repaired, repair};

pub(super) use super::repair::Streamed;

pub(super) type Object = Map<String, Value>;

/// Reads JSON, also what is nearly JSON. NUL becomes U+FFFD: nobody can read it, and not every database can store it.
pub(super) fn parse(json: &[u8]) -> serde_json::Result<Value> {
    parse_in_halves(json, Streamed::DELTA).map(|(value, _)| value)
}

/// Halves of a surrogate pair with which the streamed text begins and ends: another event has the rest.
pub(super) type Halves = (Option<u16>, Option<u16>);

/// [`parse`], and what a server that cuts its text by UTF-16 units cut.
pub(super) fn parse_in_halves(
    json: &[u8],
    streamed: Streamed,
) -> serde_json::Result<(Value, Halves)> {
    let (value, halves) = match serde_json::from_slice(json) {
        Ok(value) => (value, (None, None)),
        Err(strict) => {
            // What is no UTF-8, such as half a surrogate pair that was encoded by itself, is no JSON either.
            let text = String::from_utf8_lossy(json);
            let Repaired { json, begins_with, ends_with } = repair(text.as_bytes(), streamed);
            // The error tells of the bytes as they came.
            let value = serde_json::from_slice(&json).map_err(|_| strict)?;
            (value, (begins_with, ends_with))
        }
    };
    let mut value: Value = value;
    // JSON has no other form of it; a raw one was repaired to this form.
    if json.contains(&0) || json.windows(6).any(|bytes| bytes == br"\u0000") {
        replace_nul(&mut value);
    }
    Ok((value, halves))
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = without_nul(text),
        Value::Array(values) => values.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            fields.values_mut().for_each(replace_nul);
            if fields.keys().any(|key| key.contains('\0')) {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(key, value)| (without_nul(&key), value))
                    .collect();
            }
        }
        _ => {}
    }
}

pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) fn text<'v>(object: &'v Object, key: &str) -> Option<&'v str> {
    object.get(key).and_then(Value::as_str)
}

pub(super) fn owned_text(object: &Object, key: &str) -> Option<String> {
    text(object, key).map(str::to_owned)
}

/// Moves a text out, which spares the copy of every streamed delta.
pub(super) fn take_text(object: &mut Object, key: &str) -> Option<String> {
    match object.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn take_object(object: &mut Object, key: &str) -> Option<Object> {
    match object.remove(key) {
        Some(Value::Object(inner)) => Some(inner),
        _ => None,
    }
}

pub(super) fn object<'v>(object: &'v Object, key: &str) -> Option<&'v Object> {
    object.get(key).and_then(Value::as_object)
}

pub(super) fn index(object: &Object, key: &str) -> Option<u64> {
    object.get(key).and_then(Value::as_u64)
}

pub(super) fn integer(object: &Object, key: &str) -> Option<i64> {
    object.get(key).and_then(Value::as_i64)
}

/// The first `max` bytes of `text` at most, cut at a character and marked as cut.
pub(super) fn bounded(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wrong_type_counts_as_absent() {
        let mut value = json!({"n": "1", "s": 1, "o": []});
        let map = value.as_object_mut().unwrap();
        assert_eq!(integer(map, "n"), None);
        assert_eq!(index(map, "missing"), None);
        assert_eq!(text(map, "s"), None);
        assert_eq!(take_object(map, "o"), None);
    }

    #[test]
    fn nul_is_replaced_in_every_depth_and_in_names() {
        let value = parse(br#"{"a\u0000": [{"b": "\u0000c"}], "d": "\\u0000"}"#).unwrap();
        assert_eq!(value, json!({"a\u{fffd}": [{"b": "\u{fffd}c"}], "d": "\\u0000"}));
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_replaced() {
        for (bytes, expected) in [
            (b"x\xED\xA0\xBDy".as_slice(), "x\u{fffd}\u{fffd}\u{fffd}y"),
            (b"x\xED\xA0\xBD\xED\xB8\x80", "x\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"ol\xE9", "ol\u{fffd}"),
            (b"cut \xF0\x9F", "cut \u{fffd}"),
            (b"\xFF\xFE", "\u{fffd}\u{fffd}"),
        ] {
            let json = [b"{\"a\":\"", bytes, b"\",\"b\":1}"].concat();
            assert_eq!(parse(&json).unwrap(), json!({"a": expected, "b": 1}), "{bytes:?}");
        }
    }

    #[test]
    fn bounded_never_splits_a_character() {
        assert_eq!(bounded("aé", 2), "a…");
        assert_eq!(bounded("aé", 3), "aé");
    }
}
