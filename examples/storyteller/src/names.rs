//! Names and titles: what people call themselves, their storytellers, their conversations and their stories. They are read beside
//! other words, so none may be blank, or turn the words around it.

/// Longest title of a conversation or a story, in characters.
pub(crate) const MOST_TITLE_CHARS: usize = 120;

/// The name without the spaces around it, or what is wrong with it. `what` it is: "name", "title".
pub(crate) fn checked(text: &str, what: &str, most: usize) -> Result<String, String> {
    let name = text.trim();
    if name.chars().any(|c| c.is_control() || is_format(c)) {
        return Err(format!("A {what} is one line, without invisible characters."));
    }
    if !name.chars().any(is_seen) {
        return Err(format!("Please write a {what}."));
    }
    let long = name.chars().count();
    if long > most {
        return Err(format!("Too long for a {what}: {long} characters; at most {most}."));
    }
    Ok(name.to_owned())
}

pub(crate) fn title(text: &str) -> Result<String, String> {
    checked(text, "title", MOST_TITLE_CHARS)
}

/// Whether a reader sees anything of a text.
pub(crate) fn is_visible(text: &str) -> bool {
    text.chars().any(|c| is_seen(c) && !c.is_control() && !is_format(c))
}

/// A name that nobody checked, such as a model gives: on one line, without invisible characters, and not too long. `None`: nothing
/// is left of it.
pub(crate) fn cleaned(text: &str, most: usize) -> Option<String> {
    let kept = text.chars().filter(|c| c.is_whitespace() || !(c.is_control() || is_format(*c)));
    let kept: String = kept.collect();
    let line = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(most).collect();
    is_visible(&short).then(|| short.trim_end().to_owned())
}

pub(crate) fn cleaned_title(text: &str) -> Option<String> {
    cleaned(text, MOST_TITLE_CHARS)
}

/// Unicode's format characters and separators of lines. The two joiners are none of them here: Persian names, names in Indic
/// scripts and many an emoji are written with them.
const fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Not a space, a joiner, a selector of variants, or one of the letters that are drawn as nothing.
fn is_seen(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            '\u{34f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{200c}'
                | '\u{200d}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_names() {
        for name in ["Ada", "  Ada  Lovelace ", "عائشة", "نیما\u{200c}زاده", "👩\u{200d}🚀", "李"]
        {
            assert_eq!(checked(name, "name", 40).as_deref(), Ok(name.trim()));
        }
    }

    #[test]
    fn what_is_blank_invisible_or_turns_the_line_around_is_refused() {
        for name in ["", " ", "\u{a0}", "\u{3164}", "\u{200d}", "\u{2800}\u{fe0f}"] {
            assert_eq!(checked(name, "name", 40), Err("Please write a name.".to_owned()));
        }
        for name in ["\u{200b}", "a\u{202e}b", "a\0b", "a\nb", "\u{feff}a", "a\u{2066}", "\u{7f}x"]
        {
            let said = checked(name, "title", 40).unwrap_err();
            assert!(said.contains("without invisible characters"), "{name:?}: {said}");
        }
        assert!(checked(&"x".repeat(41), "name", 40).unwrap_err().contains("at most 40"));
    }

    #[test]
    fn a_name_that_nobody_checked_is_one_line_that_can_be_read() {
        let cases = [
            ("The\u{202e}\0 Light\nhouse\u{2028}tale", Some("The Light house tale")),
            ("نیما\u{200c}زاده", Some("نیما\u{200c}زاده")),
            ("\u{200b}\0", None),
            ("\u{2066} \u{3164}", None),
            ("123456789 0123", Some("123456789")),
        ];
        for (text, shown) in cases {
            let cleaned = cleaned(text, if text.starts_with('1') { 10 } else { 120 });
            assert_eq!(cleaned.as_deref(), shown, "{text:?}");
        }
        assert!(is_visible("a\u{200b}") && !is_visible("\u{200b}\0 \u{feff}"));
    }
}
