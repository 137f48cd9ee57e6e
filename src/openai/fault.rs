//! The words that servers have for an error, in one table: what they mean, and the HTTP status of such an answer.

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is refused as it is.
    Request,
    Key,
    Permission,
    Model,
    /// Something else that the request names is not there.
    Missing,
    /// Too many requests or tokens at once.
    Rate,
    /// The same, at a server that has too much to do.
    SlowDown,
    /// A quota, a credit balance or a spending limit is used up: waiting does not help.
    Quota,
    Server,
    /// The server has too much to do.
    Overload,
    Timeout,
    Context,
    Content,
}

/// Sources: OpenAI's guide to error codes, and what compatible servers and gateways send.
const WORDS: [(&str, Fault); 57] = [
    ("invalid_request_error", Fault::Request),
    ("invalid_request", Fault::Request),
    ("bad_request_error", Fault::Request),
    ("bad_request", Fault::Request),
    ("invalid_api_key", Fault::Key),
    ("incorrect_api_key", Fault::Key),
    ("authentication_error", Fault::Key),
    ("unauthorized", Fault::Key),
    ("permission_error", Fault::Permission),
    ("permission_denied", Fault::Permission),
    ("permission_denied_error", Fault::Permission),
    ("forbidden", Fault::Permission),
    ("model_not_found", Fault::Model),
    ("model_not_available", Fault::Model),
    ("unknown_model", Fault::Model),
    ("not_found_error", Fault::Missing),
    ("not_found", Fault::Missing),
    ("conversation_not_found", Fault::Missing),
    ("rate_limit_exceeded", Fault::Rate),
    ("rate_limit_error", Fault::Rate),
    ("rate_limited", Fault::Rate),
    ("too_many_requests", Fault::Rate),
    ("insufficient_quota", Fault::Quota),
    ("credit_balance_exhausted", Fault::Quota),
    ("billing_hard_limit_reached", Fault::Quota),
    ("organization_spend_limit_exceeded", Fault::Quota),
    ("project_spend_limit_exceeded", Fault::Quota),
    ("organization_usage_limit_exceeded", Fault::Quota),
    ("server_error", Fault::Server),
    ("internal_server_error", Fault::Server),
    ("internal_error", Fault::Server),
    ("internal", Fault::Server),
    ("api_error", Fault::Server),
    ("bad_gateway", Fault::Server),
    ("slow_down", Fault::SlowDown),
    ("server_is_overloaded", Fault::Overload),
    ("overloaded_error", Fault::Overload),
    ("overloaded", Fault::Overload),
    ("service_unavailable", Fault::Overload),
    ("service_unavailable_error", Fault::Overload),
    ("request_timeout", Fault::Timeout),
    ("timeout_error", Fault::Timeout),
    ("gateway_timeout", Fault::Timeout),
    ("context_length_exceeded", Fault::Context),
    ("exceed_context_size_error", Fault::Context),
    ("context_window_exceeded", Fault::Context),
    ("model_context_window_exceeded", Fault::Context),
    ("context_overflow", Fault::Context),
    ("prompt_too_long", Fault::Context),
    ("input_too_long", Fault::Context),
    ("max_context_length_exceeded", Fault::Context),
    ("content_filter", Fault::Content),
    ("content_policy_violation", Fault::Content),
    ("content_filtered", Fault::Content),
    ("safety", Fault::Content),
    ("moderation_blocked", Fault::Content),
    ("misalignment_policy_violation", Fault::Content),
];

impl Fault {
    /// What a word means, however it is written: `rate_limit_error`, `RATE_LIMIT_ERROR`, `RateLimitError`, `rate limit error`.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let plain = |text: &str| -> String {
            let letters = text.chars().filter(char::is_ascii_alphanumeric);
            letters.map(|letter| letter.to_ascii_lowercase()).collect()
        };
        let word = plain(word);
        WORDS.iter().find(|(known, _)| plain(known) == word).map(|(_, fault)| *fault)
    }

    /// The HTTP status of an answer that is such an error.
    pub(super) const fn status(self) -> Option<u16> {
        Some(match self {
            Self::Request | Self::Context => 400,
            Self::Key => 401,
            Self::Permission => 403,
            Self::Model | Self::Missing => 404,
            Self::Timeout => 408,
            Self::Rate | Self::Quota => 429,
            Self::Server => 500,
            Self::Overload | Self::SlowDown => 503,
            // The question or the answer is meant: whether anything was done with it is unknown.
            Self::Content => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_the_same_in_every_spelling() {
        for (word, fault, status) in [
            ("internal_error", Fault::Server, 500),
            ("InternalServerError", Fault::Server, 500),
            ("TOO_MANY_REQUESTS", Fault::Rate, 429),
            ("RateLimitError", Fault::Rate, 429),
            ("unauthorized", Fault::Key, 401),
            ("Forbidden", Fault::Permission, 403),
            ("not_found", Fault::Missing, 404),
            ("NotFoundError", Fault::Missing, 404),
            ("conversation_not_found", Fault::Missing, 404),
            ("BadRequestError", Fault::Request, 400),
            ("slow_down", Fault::SlowDown, 503),
            ("Service Unavailable", Fault::Overload, 503),
        ] {
            let found = Fault::of_word(word);
            assert_eq!(
                (found, found.and_then(Fault::status)),
                (Some(fault), Some(status)),
                "{word}"
            );
        }
        for word in ["", "_", "strange", "error", "invalid_prompt"] {
            assert_eq!(Fault::of_word(word), None, "{word}");
        }
    }
}
