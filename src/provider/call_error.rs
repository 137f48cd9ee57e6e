//! Why a provider did not do what was asked, in the terms of a run: may it be asked again, is its conversation lost, and what is
//! it called.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::reasons;
use crate::error::{Error, ProviderError};
use crate::model::Reason;
use crate::openai::{self, ApiError};

/// Why a call, or another request of a run's, failed.
#[derive(Debug, Clone)]
pub(crate) struct CallError(Arc<openai::Error>);

impl CallError {
    /// The connection was lost, at this point.
    pub(crate) fn disconnected(message: &str) -> Self {
        openai::Error::Disconnected { message: message.to_owned(), source: None }.into()
    }

    /// The service has no such thing.
    pub(crate) fn not_offered(what: &str) -> Self {
        openai::Error::configuration("protocol", format!("this one has no {what}")).into()
    }

    /// One word for it, whichever server it is.
    pub(crate) fn reason(&self) -> Reason {
        reasons::of_error(&self.0)
    }

    /// The provider's own word.
    pub(crate) fn provider_word(&self) -> Option<String> {
        let api = self.0.api()?;
        api.code.clone().or_else(|| api.kind.clone())
    }

    /// For logs, where the provider's text does not belong.
    pub(crate) fn brief(&self) -> impl fmt::Display + '_ {
        self.0.brief()
    }

    /// Whether the provider surely did nothing with the request.
    pub(crate) fn did_nothing(&self) -> bool {
        self.0.did_nothing()
    }

    /// Whether the same request may be sent again as it is: the provider did nothing with it, and nobody else is adding to the
    /// conversation that it continues.
    pub(crate) fn may_be_repeated_as_it_is(&self) -> bool {
        self.0.may_be_repeated_as_it_is()
    }

    /// How long to wait before the next try, after so many that failed before this one, where the first wait is `first`; `None`: there
    /// must not be one.
    pub(crate) fn wait(&self, attempt: u32, first: Duration) -> Option<Duration> {
        openai::retry::backoff(attempt, &self.0, first)
    }

    /// Whether the provider does not know the object.
    pub(crate) fn is_not_found(&self) -> bool {
        self.0.is_not_found()
    }

    /// Whether the answer makes no sense.
    pub(crate) fn is_malformed(&self) -> bool {
        matches!(&*self.0, openai::Error::Malformed { .. })
    }

    /// Whether the server has no such thing, or no such verb, and another try would not change that.
    pub(crate) fn is_not_offered(&self) -> bool {
        matches!(self.status(), Some(404 | 405 | 501))
    }

    /// Whether a server answers that it does not list items, in a way that another try would not change.
    pub(crate) fn refuses_to_list(&self) -> bool {
        matches!(self.status(), Some(400 | 403 | 405 | 410 | 422 | 501))
    }

    /// Whether the error is about what the conversation holds, and not about the request: a call without an output, reasoning
    /// without what followed it, an item that is there twice.
    pub(crate) fn refuses_the_state(&self) -> bool {
        const WORDS: [&str; 8] = [
            "no tool output found",
            "no tool call found",
            "without its required",
            "required following item",
            "required preceding item",
            "duplicate item",
            "tool_call_id",
            "must be followed by tool",
        ];
        // In a stream an error may have no status, or that of a word which fits everything.
        let may_be = |status| matches!(status, 400 | 409 | 422 | 500);
        let Some(api) = self.0.api().filter(|api| api.status.is_none_or(may_be)) else {
            return false;
        };
        let message = api.message.to_ascii_lowercase();
        !api.is_conversation_locked() && WORDS.iter().any(|words| message.contains(words))
    }

    /// Whether the error may say that the conversation is not there, whatever its status: in a stream it has none of its own.
    pub(crate) fn may_mean_a_lost_conversation(&self) -> bool {
        const WORDS: [&str; 6] =
            ["not found", "not exist", "no such", "unknown", "expired", "deleted"];
        self.is_not_found()
            || self.0.api().is_some_and(|api| {
                let message = api.message.to_ascii_lowercase();
                message.contains("conversation")
                    && WORDS.iter().any(|words| message.contains(words))
            })
    }

    /// Whether another server may do what this one did not. Not what is wrong with the request, nor what a filter stopped; nor an
    /// answer that cannot be read, which was given and paid for.
    pub(crate) fn is_of_the_server(&self) -> bool {
        match self.reason() {
            Reason::InvalidRequest
            | Reason::ContentFilter
            | Reason::Refusal
            | Reason::Malformed
            | Reason::TooLarge => false,
            // A word that we do not know: the status says whether it is about the request.
            Reason::Other(_) => !matches!(self.status(), Some(400 | 422)),
            _ => true,
        }
    }

    fn status(&self) -> Option<u16> {
        self.0.api().and_then(|api| api.status)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<openai::Error> for CallError {
    fn from(error: openai::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl From<ApiError> for CallError {
    fn from(error: ApiError) -> Self {
        openai::Error::from(error).into()
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let (brief, reason) = (error.brief().to_string(), error.reason());
        Self::Provider(ProviderError::new(brief, reason, error.0))
    }
}

/// What a host's own call of the client failed with.
impl From<openai::Error> for Error {
    fn from(error: openai::Error) -> Self {
        CallError::from(error).into()
    }
}
