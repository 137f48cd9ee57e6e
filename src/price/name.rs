//! By which names a list may know a model.

use chrono::NaiveDate;

/// The name without the date of a snapshot: `gpt-6-luna` of `gpt-6-luna-2026-10-01`, also written `…-20261001` and `…@20261001`.
pub(super) fn undated(name: &str) -> Option<&str> {
    dated(name, 10, "-", "%Y-%m-%d")
        .or_else(|| dated(name, 8, "-", "%Y%m%d"))
        .or_else(|| dated(name, 8, "@", "%Y%m%d"))
}

fn dated<'n>(name: &'n str, length: usize, mark: &str, form: &str) -> Option<&'n str> {
    let (start, date) = name.split_at_checked(name.len().checked_sub(length)?)?;
    let base = start.strip_suffix(mark).filter(|base| !base.is_empty())?;
    let digits = date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    (digits && NaiveDate::parse_from_str(date, form).is_ok()).then_some(base)
}

/// The provider that a name begins with, and the rest: `openai` and `gpt-6-luna` of `openai/gpt-6-luna`.
pub(super) fn prefixed(name: &str) -> Option<(&str, &str)> {
    name.split_once('/').filter(|(provider, rest)| !provider.is_empty() && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_snapshot_is_left_out() {
        for (name, base) in [
            ("gpt-6-luna-2026-10-01", "gpt-6-luna"),
            ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
            ("openai/gpt-6-luna-2026-10-01", "openai/gpt-6-luna"),
        ] {
            assert_eq!(undated(name), Some(base), "{name}");
        }
    }

    #[test]
    fn no_other_end_of_a_name_is_a_date() {
        for name in [
            "gpt-6-luna",
            "gpt-4-0613",
            "gpt-5.4-mini",
            "m-2026-13-01",
            "m-2026-02-30",
            "m-20261301",
            "2026-10-01",
            "-2026-10-01",
            "gpt-6-luna2026-10-01",
            "model-12345678",
            "modèle-é",
            "",
        ] {
            assert_eq!(undated(name), None, "{name}");
        }
    }

    #[test]
    fn a_prefix_is_what_stands_before_the_first_slash() {
        assert_eq!(prefixed("openai/gpt-6-luna"), Some(("openai", "gpt-6-luna")));
        assert_eq!(prefixed("openrouter/openai/gpt-5"), Some(("openrouter", "openai/gpt-5")));
        for name in ["gpt-6-luna", "/x", "x/", "/"] {
            assert_eq!(prefixed(name), None);
        }
    }
}
