//! What servers call the same thing. OpenAI and its kind know `max_completion_tokens` and refuse `max_tokens` for newer models;
//! many others know only `max_tokens`, and some of those (Ollama) do not refuse the other name but ignore it, so that nothing
//! would limit an answer. Both at once are taken by most and refused by OpenAI. So: the new name at OpenAI, both elsewhere, and
//! after a refusal that names the parameter the one that is left. The same with `stream_options`, which old servers refuse.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::openai::optional::{is_about_a_name, names};
use crate::openai::{ApiError, Error, Result};

/// By which names the limit of an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitName {
    Both,
    /// `max_completion_tokens`
    New,
    /// `max_tokens`
    Old,
}

/// How one request is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) limit: LimitName,
    /// Whether the tokens are asked for.
    pub(super) usage: bool,
    /// Whether the server is asked, by a parameter that others may not know, to keep nothing.
    pub(super) store: bool,
}

/// What a client remembers of its server.
#[derive(Debug, Default)]
pub(in crate::openai) struct Dialect(AtomicU8);

const NEW: u8 = 1;
const OLD: u8 = 2;
const WITHOUT_USAGE: u8 = 4;

/// The ways to put one request: none is tried twice.
#[derive(Debug)]
pub(super) struct Dialects<'d> {
    remembered: &'d Dialect,
    now: Words,
    /// Why the first was refused.
    first: Option<Error>,
}

impl<'d> Dialects<'d> {
    pub(super) fn of(remembered: &'d Dialect, is_openai: bool) -> Self {
        let known = remembered.0.load(Ordering::Relaxed);
        let limit = match known & (NEW | OLD) {
            NEW => LimitName::New,
            OLD => LimitName::Old,
            _ if is_openai => LimitName::New,
            _ => LimitName::Both,
        };
        let now = Words { limit, usage: known & WITHOUT_USAGE == 0, store: is_openai };
        Self { remembered, now, first: None }
    }

    pub(super) const fn now(&self) -> Words {
        self.now
    }

    /// The server took what it was sent last.
    pub(super) fn remember(&self) {
        if self.first.is_none() {
            return;
        }
        let limit = match self.now.limit {
            LimitName::Both => 0,
            LimitName::New => NEW,
            LimitName::Old => OLD,
        };
        let usage = if self.now.usage { 0 } else { WITHOUT_USAGE };
        self.remembered.0.store(limit | usage, Ordering::Relaxed);
    }

    /// Chooses the next way. An error when there is none: what the first was refused for, unless something else came of the last.
    pub(super) fn go_on_after(&mut self, error: Error) -> Result<()> {
        let refusal = error.api().filter(|api| matches!(api.status, Some(400 | 422)));
        let Some(refusal) = refusal else { return Err(error) };
        match after(self.now, refusal) {
            Some(next) => {
                self.now = next;
                self.first.get_or_insert(error);
                Ok(())
            }
            // The first is no news when another parameter is refused now.
            None if !NAMES.iter().any(|name| names(refusal, name)) => Err(error),
            None => Err(self.first.take().unwrap_or(error)),
        }
    }
}

/// The parameters that have another way.
const NAMES: [&str; 3] = ["max_tokens", "max_completion_tokens", "stream_options"];

/// What is left to try.
fn after(words: Words, refusal: &ApiError) -> Option<Words> {
    if !is_about_a_name(refusal) {
        return None;
    }
    let names = |name| names(refusal, name);
    if words.usage && names("stream_options") {
        return Some(Words { usage: false, ..words });
    }
    let limit = match (words.limit, names("max_tokens"), names("max_completion_tokens")) {
        (LimitName::Both, true, _) => LimitName::New,
        (LimitName::Both | LimitName::New, _, true) => LimitName::Old,
        _ => return None,
    };
    Some(Words { limit, ..words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(param: &str, message: &str) -> Error {
        let mut api = ApiError { status: Some(400), ..ApiError::default() };
        api.param = Some(param.to_owned()).filter(|param| !param.is_empty());
        message.clone_into(&mut api.message);
        api.into()
    }

    const OPENAI_OLD: &str = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    const BOTH: &str =
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
    const MISTRAL: &str = r#"{"detail":[{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted"}]}"#;

    #[test]
    fn the_name_that_a_server_refuses_gives_way_to_the_other() {
        for (is_openai, refusals, expected) in [
            (true, vec![], LimitName::New),
            (false, vec![], LimitName::Both),
            (true, vec![("max_completion_tokens", "Unknown parameter")], LimitName::Old),
            (false, vec![("max_tokens", OPENAI_OLD)], LimitName::New),
            (false, vec![("", BOTH)], LimitName::New),
            (false, vec![("", MISTRAL)], LimitName::Old),
            (false, vec![("", BOTH), ("", "unknown field max_completion_tokens")], LimitName::Old),
        ] {
            let remembered = Dialect::default();
            let mut dialects = Dialects::of(&remembered, is_openai);
            let changes = !refusals.is_empty();
            for (param, message) in refusals {
                dialects.go_on_after(refusal(param, message)).unwrap();
            }
            assert_eq!(dialects.now().limit, expected);
            dialects.remember();
            let later = Dialects::of(&remembered, is_openai);
            assert_eq!(later.now(), dialects.now(), "it is remembered");
            assert_eq!(remembered.0.load(Ordering::Relaxed) != 0, changes);
        }
    }

    #[test]
    fn what_cannot_be_put_otherwise_stays_refused_with_the_first_error() {
        let remembered = Dialect::default();
        let mut dialects = Dialects::of(&remembered, true);
        dialects.go_on_after(refusal("", "max_completion_tokens is unknown")).unwrap();
        let error = dialects.go_on_after(refusal("", "max_tokens is unsupported")).unwrap_err();
        assert!(error.to_string().contains("max_completion_tokens is unknown"), "{error}");
        // It was put otherwise, and something else is refused then.
        let mut dialects = Dialects::of(&remembered, false);
        dialects.go_on_after(refusal("max_tokens", OPENAI_OLD)).unwrap();
        let other = refusal("temperature", "Unsupported parameter: temperature");
        let error = dialects.go_on_after(other).unwrap_err();
        assert!(error.to_string().contains("temperature"), "{error}");
        for error in [
            // The value is wrong, by whatever name.
            refusal("max_tokens", "max_tokens is too large: 5000. At most 4096 are possible"),
            refusal("temperature", "Unsupported parameter: temperature"),
            ApiError { status: Some(500), message: OPENAI_OLD.to_owned(), ..ApiError::default() }
                .into(),
            Error::disconnected("cut"),
        ] {
            let text = error.to_string();
            let refused = Dialects::of(&remembered, false).go_on_after(error).unwrap_err();
            assert_eq!(refused.to_string(), text);
        }
        assert_eq!(remembered.0.load(Ordering::Relaxed), 0, "nothing is remembered of refusals");
    }

    #[test]
    fn usage_is_not_asked_for_where_that_is_refused() {
        let remembered = Dialect::default();
        let mut dialects = Dialects::of(&remembered, false);
        dialects.go_on_after(refusal("", "Unrecognized request argument: stream_options")).unwrap();
        assert_eq!((dialects.now().usage, dialects.now().limit), (false, LimitName::Both));
        dialects.remember();
        assert!(!Dialects::of(&remembered, false).now().usage);
        assert!(dialects.go_on_after(refusal("", "unknown: stream_options")).is_err());
    }
}
