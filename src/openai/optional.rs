//! Members of a request that help where they are known, and that strict servers refuse by name: they are left out there, from
//! then on. Azure does so for models of other makers: "Unrecognized request argument supplied: `prompt_cache_key`".

use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;

use super::lenient::Object;
use super::{ApiError, Error, Result};

/// All that there are. A bit of [`Refused`] stands for each.
const NAMES: [&str; 4] = [
    OptionalMembers::SAFETY_IDENTIFIER,
    OptionalMembers::PROMPT_CACHE_KEY,
    OptionalMembers::TEXT,
    OptionalMembers::RESPONSE_FORMAT,
];

/// For whom a call is, and which form its answer is to have. Source: OpenAI's API description, schemas `CreateResponse` and `CreateChatCompletionRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OptionalMembers {
    /// The end user, at most 64 characters.
    pub(crate) safety_identifier: Option<String>,
    /// What is asked with the same beginning, at most 64 characters.
    pub(crate) prompt_cache_key: Option<String>,
    /// The form of the answer, in the Responses API.
    pub(crate) text: Option<Value>,
    /// The same elsewhere.
    pub(crate) response_format: Option<Value>,
}

impl OptionalMembers {
    pub(crate) const SAFETY_IDENTIFIER: &str = "safety_identifier";
    pub(crate) const PROMPT_CACHE_KEY: &str = "prompt_cache_key";
    pub(crate) const TEXT: &str = "text";
    pub(crate) const RESPONSE_FORMAT: &str = "response_format";

    fn values(&self) -> [Option<Value>; NAMES.len()] {
        let text = |text: &Option<String>| text.clone().map(Value::String);
        [
            text(&self.safety_identifier),
            text(&self.prompt_cache_key),
            self.text.clone(),
            self.response_format.clone(),
        ]
    }
}

/// Which of them a client's server was found to refuse.
#[derive(Debug, Default)]
pub(super) struct Refused(AtomicU8);

/// One request with what of them is sent.
#[derive(Debug)]
pub(super) struct Optional<'r> {
    members: &'r OptionalMembers,
    remembered: &'r Refused,
    left_out: u8,
}

impl<'r> Optional<'r> {
    pub(super) fn of(members: &'r OptionalMembers, remembered: &'r Refused) -> Self {
        Self { members, remembered, left_out: remembered.0.load(Ordering::Relaxed) }
    }

    /// Those that are sent now, with their bits.
    fn sent(&self) -> impl Iterator<Item = (u8, &'static str, Value)> {
        let all = NAMES.into_iter().zip(self.members.values()).enumerate();
        let all = all.filter_map(|(at, (name, value))| Some((1 << at, name, value?)));
        all.filter(|(bit, ..)| self.left_out & bit == 0)
    }

    /// Adds them to a body, which wins where it has one itself.
    pub(super) fn add_to(&self, body: &mut Object) {
        for (_, name, value) in self.sent() {
            body.entry(name).or_insert(value);
        }
    }

    /// The server took what it was sent last.
    pub(super) fn remember(&self) {
        self.remembered.0.fetch_or(self.left_out, Ordering::Relaxed);
    }

    /// Leaves out what the server refuses by its name; the error, when it is about something else.
    pub(super) fn go_on_after(&mut self, error: Error) -> Result<()> {
        let refusal = error.api().filter(|api| matches!(api.status, Some(400 | 422)));
        let refused = refusal.filter(|refusal| is_about_a_name(refusal)).map_or(0, |refusal| {
            let named = self.sent().filter(|(_, name, _)| names(refusal, name));
            named.fold(0, |bits, (bit, ..)| bits | bit)
        });
        if refused == 0 {
            return Err(error);
        }
        self.left_out |= refused;
        Ok(())
    }
}

/// Whether a refusal names this parameter.
pub(super) fn names(refusal: &ApiError, name: &str) -> bool {
    refusal.param.as_deref().is_some_and(|param| param.contains(name))
        || refusal.message.contains(name)
}

/// Whether a parameter is refused for its name, and not for its value.
pub(super) fn is_about_a_name(refusal: &ApiError) -> bool {
    const CODES: [&str; 5] = [
        "unsupported_parameter",
        "unknown_parameter",
        "extra_forbidden",
        "unrecognized_parameter",
        "unrecognized_request_argument",
    ];
    const WORDS: [&str; 12] = [
        "unsupported",
        "not supported",
        "unknown",
        "unrecognized",
        "unexpected",
        "not permitted",
        "not allowed",
        "extra_forbidden",
        "extra fields",
        "additional properties",
        "at the same time",
        "instead",
    ];
    let message = refusal.message.to_ascii_lowercase();
    refusal.code.as_deref().is_some_and(|code| CODES.contains(&code))
        || WORDS.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members() -> OptionalMembers {
        OptionalMembers {
            safety_identifier: Some("user".to_owned()),
            prompt_cache_key: Some("key".to_owned()),
            ..OptionalMembers::default()
        }
    }

    fn body(optional: &Optional<'_>) -> Value {
        let mut body = Object::new();
        optional.add_to(&mut body);
        Value::Object(body)
    }

    fn refusal(message: &str) -> Error {
        let mut api = ApiError { status: Some(400), ..ApiError::default() };
        message.clone_into(&mut api.message);
        api.into()
    }

    #[test]
    fn what_a_server_refuses_by_name_is_left_out_from_then_on() {
        let (members, remembered) = (members(), Refused::default());
        let mut optional = Optional::of(&members, &remembered);
        assert_eq!(
            body(&optional),
            json!({"safety_identifier": "user", "prompt_cache_key": "key"})
        );
        let azure = "Unrecognized request argument supplied: prompt_cache_key";
        optional.go_on_after(refusal(azure)).unwrap();
        assert_eq!(body(&optional), json!({"safety_identifier": "user"}));
        assert_eq!(body(&Optional::of(&members, &remembered)).as_object().unwrap().len(), 2);
        optional.remember();
        assert_eq!(
            body(&Optional::of(&members, &remembered)),
            json!({"safety_identifier": "user"})
        );
        assert!(optional.go_on_after(refusal(azure)).is_err(), "it is not sent any more");
        let strict = "body.safety_identifier: Extra inputs are not permitted";
        optional.go_on_after(refusal(strict)).unwrap();
        assert_eq!(body(&optional), json!({}));
    }

    #[test]
    fn what_is_refused_for_another_reason_stays_refused() {
        let (members, remembered) = (members(), Refused::default());
        let mut optional = Optional::of(&members, &remembered);
        let mut overloaded =
            ApiError { status: Some(503), message: "unknown".to_owned(), ..ApiError::default() };
        overloaded.param = Some("prompt_cache_key".to_owned());
        for error in [
            refusal("prompt_cache_key is too long"),
            refusal("Unknown parameter: temperature"),
            Error::disconnected("prompt_cache_key is unknown"),
            overloaded.into(),
        ] {
            let text = error.to_string();
            assert_eq!(optional.go_on_after(error).unwrap_err().to_string(), text);
        }
        assert_eq!(body(&optional).as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_body_that_has_one_itself_wins() {
        let (members, remembered) = (members(), Refused::default());
        let mut body = Object::new();
        body.insert("prompt_cache_key".to_owned(), Value::Null);
        Optional::of(&members, &remembered).add_to(&mut body);
        let expected = json!({"safety_identifier": "user", "prompt_cache_key": null});
        assert_eq!(Value::Object(body), expected);
    }
}
