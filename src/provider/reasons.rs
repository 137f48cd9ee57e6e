//! One fact, one word: what providers say of an answer's end, and of an error, in the words of [`Reason`].

use crate::model::Reason;
use crate::openai::{ApiError, Error, Fault};

/// The word for what a provider calls the reason of an incomplete or failed response. A response that was cut short for no
/// reason given reached its length: that is what servers mean that give none.
pub(crate) fn of_response(
    word: Option<&str>,
    message: Option<&str>,
    incomplete: bool,
) -> Option<Reason> {
    match word.map(str::trim).filter(|word| !word.is_empty()) {
        Some(word) => Some(of_word(word, message.unwrap_or_default())),
        None if incomplete => Some(Reason::MaxOutputTokens),
        None if is_context_overflow(message.unwrap_or_default()) => {
            Some(Reason::ContextLengthExceeded)
        }
        None => None,
    }
}

fn of_word(word: &str, message: &str) -> Reason {
    match word.to_ascii_lowercase().as_str() {
        "max_output_tokens"
        | "length"
        | "max_tokens"
        | "max_length"
        | "max_completion_tokens"
        | "token_limit" => Reason::MaxOutputTokens,
        "refusal" => Reason::Refusal,
        "cancelled" | "canceled" => Reason::Other("cancelled".to_owned()),
        _ => match Fault::of_word(word).and_then(of_fault) {
            Some(reason) => reason,
            None if is_context_overflow(message) => Reason::ContextLengthExceeded,
            None => Reason::from(word),
        },
    }
}

/// The word for what the words of providers mean; `None`: their own says more.
const fn of_fault(fault: Fault) -> Option<Reason> {
    Some(match fault {
        Fault::Context => Reason::ContextLengthExceeded,
        Fault::Content => Reason::ContentFilter,
        Fault::Key => Reason::InvalidApiKey,
        Fault::Permission => Reason::PermissionDenied,
        Fault::Model => Reason::ModelNotFound,
        Fault::Rate | Fault::SlowDown => Reason::RateLimitExceeded,
        Fault::Quota => Reason::InsufficientQuota,
        Fault::Server | Fault::Overload => Reason::ServerError,
        Fault::Timeout => Reason::Timeout,
        Fault::Request => Reason::InvalidRequest,
        Fault::Missing => return None,
    })
}

/// The word for why a call gave no response.
pub(crate) fn of_error(error: &Error) -> Reason {
    match error {
        Error::Api(api) => of_api_error(api),
        Error::Timeout { .. } => Reason::Timeout,
        Error::Connect { .. } => Reason::ConnectionFailed,
        Error::Disconnected { .. } => Reason::Disconnected,
        Error::TooLarge { .. } => Reason::TooLarge,
        Error::Malformed { .. } => Reason::Malformed,
        Error::Configuration { .. } => Reason::Configuration,
        Error::Invalid { .. } => Reason::InvalidRequest,
    }
}

pub(crate) fn of_api_error(api: &ApiError) -> Reason {
    let status = api.status.unwrap_or_default();
    // What the body says, if anything, is about a page that was to be read by people.
    if (300..400).contains(&status) {
        return Reason::Redirected;
    }
    if is_context_overflow(&api.message) {
        return Reason::ContextLengthExceeded;
    }
    // The code says more than the type, and the status more than a type that fits everything.
    let words = [&api.code, &api.kind];
    for word in words.into_iter().flatten() {
        match of_word(word, &api.message) {
            Reason::Other(_) | Reason::InvalidRequest | Reason::ServerError => {}
            known => return known,
        }
    }
    if names_a_missing_model(&api.message) && matches!(status, 400 | 404) {
        return Reason::ModelNotFound;
    }
    match status {
        401 => Reason::InvalidApiKey,
        403 => Reason::PermissionDenied,
        404 | 405 if api.is_about_the_path() => Reason::UnknownPath,
        408 => Reason::Timeout,
        429 => Reason::RateLimitExceeded,
        500.. => Reason::ServerError,
        _ => match words.into_iter().flatten().next() {
            Some(word) => of_word(word, &api.message),
            None if status >= 400 => Reason::InvalidRequest,
            None => Reason::ProviderError,
        },
    }
}

/// Whether an error says that the model's context is too small: as OpenAI, llama.cpp, vLLM, Ollama, LM Studio and gateways
/// put it.
pub(crate) fn is_context_overflow(message: &str) -> bool {
    const WORDS: [&str; 12] = [
        "context length",
        "context window",
        "context size",
        "maximum context",
        "context_length",
        "exceeds the available context",
        "prompt is too long",
        "input is too long",
        "prompt too long",
        "too many input tokens",
        "input length exceeds",
        "exceed the model's maximum",
    ];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

fn names_a_missing_model(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("model")
        && ["not found", "does not exist", "not exist", "unknown model", "no such model"]
            .iter()
            .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, code: Option<&str>, kind: Option<&str>, message: &str) -> Reason {
        let error = ApiError {
            status: Some(status),
            code: code.map(str::to_owned),
            kind: kind.map(str::to_owned),
            message: message.to_owned(),
            ..ApiError::default()
        };
        of_error(&error.into())
    }

    #[test]
    fn a_cut_at_the_length_has_one_word() {
        for word in [Some("max_output_tokens"), Some("length"), Some("max_tokens"), Some(""), None]
        {
            assert_eq!(of_response(word, None, true), Some(Reason::MaxOutputTokens), "{word:?}");
        }
        assert_eq!(of_response(None, None, false), None);
        let other = of_response(Some("steered"), None, true);
        assert_eq!(other, Some(Reason::Other("steered".to_owned())));
    }

    #[test]
    fn a_context_that_is_too_small_has_one_word() {
        let invalid = Some("invalid_request_error");
        for (status, code, kind, message) in [
            (400, Some("context_length_exceeded"), invalid, "too long"),
            (
                400,
                None,
                Some("exceed_context_size_error"),
                "the request exceeds the available context size",
            ),
            (400, None, invalid, "This model's maximum context length is 8192 tokens."),
            (
                400,
                None,
                Some("BadRequestError"),
                "The prompt is longer than the maximum context length of 512",
            ),
            (413, None, None, "prompt is too long: 210000 tokens > 200000 maximum"),
            (500, None, None, "input length exceeds the context length"),
        ] {
            let reason = api(status, code, kind, message);
            assert_eq!(reason, Reason::ContextLengthExceeded, "{message}");
        }
        assert_eq!(
            of_response(Some("context_length_exceeded"), None, false),
            Some(Reason::ContextLengthExceeded)
        );
    }

    #[test]
    fn each_kind_of_refusal_has_one_word() {
        let invalid = Some("invalid_request_error");
        for (status, code, kind, message, expected) in [
            (401, None, None, "Unauthorized", Reason::InvalidApiKey),
            (401, Some("invalid_api_key"), invalid, "Incorrect API key", Reason::InvalidApiKey),
            (403, None, None, "no", Reason::PermissionDenied),
            (404, Some("model_not_found"), invalid, "no", Reason::ModelNotFound),
            (404, None, Some("not_found_error"), "model 'x' not found", Reason::ModelNotFound),
            (400, None, None, "The model `x` does not exist", Reason::ModelNotFound),
            (429, None, None, "slow", Reason::RateLimitExceeded),
            (429, Some("insufficient_quota"), None, "no", Reason::InsufficientQuota),
            (429, None, Some("insufficient_quota"), "no", Reason::InsufficientQuota),
            (500, None, None, "no", Reason::ServerError),
            (503, None, Some("overloaded_error"), "no", Reason::ServerError),
            (400, None, None, "no", Reason::InvalidRequest),
            (400, None, invalid, "no", Reason::InvalidRequest),
            (400, Some("content_policy_violation"), invalid, "no", Reason::ContentFilter),
            (302, Some("x"), None, "no", Reason::Redirected),
            (400, Some("strange"), invalid, "no", Reason::Other("strange".to_owned())),
        ] {
            assert_eq!(api(status, code, kind, message), expected, "{status} {code:?} {message}");
        }
    }
}
