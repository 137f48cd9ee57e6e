//! What a tool says, as the model is told it and each database can store it.

use serde_json::Value;

/// The longest text that says why a call was not carried out, in bytes.
pub(crate) const MOST_OF_A_REASON: usize = 8 * 1024;

/// An output: a text as it is, everything else as JSON.
pub(crate) fn output(output: Value) -> String {
    match output {
        Value::String(text) => storable(text),
        // JSON writes NUL as an escape.
        other => other.to_string(),
    }
}

/// Why a call failed or was refused: the beginning says it, whatever an error has in it.
pub(crate) fn reason(text: String) -> String {
    let mut text = storable(text);
    if text.len() > MOST_OF_A_REASON {
        text.truncate(text.floor_char_boundary(MOST_OF_A_REASON));
        text.push('…');
    }
    text
}

/// PostgreSQL stores no NUL.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_told_as_it_is() {
        assert_eq!(output("Sunny".into()), "Sunny");
        assert_eq!(output(json!({"sun": true})), r#"{"sun":true}"#);
        assert_eq!(output("a\0".into()), "a\u{fffd}");
        assert_eq!(output(json!(["a\0"])), r#"["a\u0000"]"#);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(reason("locked\0".to_owned()), "locked\u{fffd}");
        let long = reason(format!("x{}", "é".repeat(MOST_OF_A_REASON)));
        assert!(long.ends_with("é…") && long.len() <= MOST_OF_A_REASON + '…'.len_utf8());
    }
}
