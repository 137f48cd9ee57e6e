//! The W3C trace context as text: `00-<trace id>-<parent id>-<flags>`.

/// The form of version 00: 2, 32, 16 and 2 lower-case hexadecimal digits, with `-` between.
const LENGTHS: [usize; 4] = [2, 32, 16, 2];

/// Whether a text is a `traceparent` that names a span. Of a version after 00 the same four parts are looked at, and nothing may
/// come behind them: what is stored has a bound.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    parts.len() == LENGTHS.len()
        && parts.iter().zip(LENGTHS).all(|(part, length)| part.len() == length && digits(part))
        && parts[0] != "ff"
        && !is_zero(parts[1])
        && !is_zero(parts[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_traceparent_is_one() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        for (text, expected) in [
            (format!("00-{id}-b7ad6b7169203331-01"), true),
            (format!("01-{id}-b7ad6b7169203331-00"), true),
            (format!("ff-{id}-b7ad6b7169203331-01"), false),
            (format!("00-{id}-b7ad6b7169203331-01-more"), false),
            (format!("00-{id}-b7ad6b7169203331"), false),
            (format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()), false),
            (format!("00-{id}-0000000000000000-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (format!("00-{id}-b7ad6b716920333é-01"), false),
            (String::new(), false),
        ] {
            assert_eq!(is_traceparent(&text), expected, "{text}");
        }
    }
}
