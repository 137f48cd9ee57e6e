//! Reading JSON members without ever failing: what is missing or has another type counts as absent.
//!
//! Servers that speak this protocol differ in the details, and providers add fields without notice.
//! Only what the caller cannot do without may be an error, and that is decided where it is needed.

use serde_json::{Map, Value};

pub(super) type Object = Map<String, Value>;

/// Reads JSON. NUL becomes U+FFFD in every text: models and gateways do send it, PostgreSQL stores
/// it nowhere.
pub(super) fn parse(json: &str) -> serde_json::Result<Value> {
    let value = serde_json::from_str(json)?;
    Ok(if json.contains("\\u0000") { without_nul(value) } else { value })
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => values.into_iter().map(without_nul).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, without_nul(value))).collect()
        }
        other => other,
    }
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
    fn nul_is_replaced_in_every_text() {
        let value = parse(r#"{"a": ["x\u0000", {"b": "\u0000y"}], "c": "\\u0000"}"#).unwrap();
        assert_eq!(value, json!({"a": ["x\u{fffd}", {"b": "\u{fffd}y"}], "c": "\\u0000"}));
    }

    #[test]
    fn bounded_never_splits_a_character() {
        assert_eq!(bounded("aé", 2), "a…");
        assert_eq!(bounded("aé", 3), "aé");
    }
}
