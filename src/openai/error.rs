//! Everything that can go wrong in a call, and whether trying again makes sense.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::ApiError;

/// A boxed cause; the concrete type belongs to the HTTP stack and is no part of this crate's
/// promise.
type Source = Box<dyn StdError + Send + Sync>;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. [`is_retryable`](Self::is_retryable) says whether the same call may succeed later.
///
/// No text in here contains the API key or the user name and password of a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting of the client cannot be used; nothing was sent. The message says what to write instead.
    #[error("the OpenAI client's setting `{field}` cannot be used: {message}")]
    #[non_exhaustive]
    Configuration {
        /// The builder's method that sets it.
        field: &'static str,
        /// What is wrong and what to write instead.
        message: String,
    },

    /// An argument of the call breaks a rule that is known beforehand; nothing was sent.
    #[error("{what} cannot be sent: {message}")]
    #[non_exhaustive]
    Invalid {
        /// The argument.
        what: &'static str,
        /// The rule it breaks.
        message: String,
    },

    /// No connection: name resolution, a refused connection, or TLS. The request did not reach the
    /// server, so it can be sent again without harm.
    #[error("cannot connect to {base_url}: check the address, the network and the proxy settings")]
    #[non_exhaustive]
    Connect {
        /// The client's base URL.
        base_url: String,
        /// The cause.
        source: Source,
    },

    /// A time limit passed. Whether the server acted on the request is unknown. If the server is only
    /// slow, raise the limit.
    #[error(
        "{what} took longer than {limit:?}; `{setting}` of the OpenAI client's builder raises the limit"
    )]
    #[non_exhaustive]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// The limit that passed.
        limit: Duration,
        /// The builder's method that sets the limit.
        setting: &'static str,
    },

    /// The connection broke off, or the answer ended too early. Whether the server acted is
    /// unknown, so a call that is sent again may be executed twice.
    #[error("the connection was lost: {message}")]
    #[non_exhaustive]
    Disconnected {
        /// At which point.
        message: String,
        /// The cause, unless the server closed the connection in good order.
        source: Option<Source>,
    },

    /// The provider refused the request (an HTTP error status), or reported an error in the stream.
    /// The [`ApiError`] has its words.
    #[error(transparent)]
    Api(Box<ApiError>),

    /// The answer is not what the protocol says. Most likely the base URL leads to another service;
    /// the excerpt shows which.
    #[error("{what} cannot be understood: {message}; it begins with {excerpt:?}")]
    #[non_exhaustive]
    Malformed {
        /// Which part of the answer.
        what: &'static str,
        /// What is wrong with it.
        message: String,
        /// Its first bytes, at most 200.
        excerpt: String,
    },

    /// The answer is larger than the client accepts.
    #[error(
        "{what} is larger than {limit} bytes; `{setting}` of the OpenAI client's builder raises the limit"
    )]
    #[non_exhaustive]
    TooLarge {
        /// Which part of the answer.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
        /// The builder's method that sets the limit.
        setting: &'static str,
    },
}

impl Error {
    /// Whether the same call may succeed when sent again.
    ///
    /// As OpenAI's own libraries decide: failed connections, timeouts, lost connections, HTTP 408,
    /// 409, 429 and 5xx; the header `x-should-retry` overrides the status. In addition a locked
    /// conversation (HTTP 400, code `conversation_locked`), and never an exhausted quota or
    /// spending limit.
    ///
    /// OpenAI has no idempotency key: a call repeated after a timeout or a lost connection may be
    /// executed twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Disconnected { .. } => true,
            Self::Api(error) => error.is_retryable(),
            Self::Configuration { .. }
            | Self::Invalid { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the provider surely did nothing with the request: it could not be reached, or refused it.
    pub(crate) fn did_nothing(&self) -> bool {
        let refused = |status: u16| (400..500).contains(&status);
        matches!(self, Self::Connect { .. })
            || self.api().and_then(|error| error.status).is_some_and(refused)
    }

    /// Whether the same request may be sent again: the provider did nothing with it, and nobody else is adding to the
    /// conversation that it continues.
    pub(crate) fn may_be_repeated_as_it_is(&self) -> bool {
        self.did_nothing() && !self.api().is_some_and(ApiError::is_conversation_locked)
    }

    /// How long the provider asks to wait before the next try (`retry-after-ms`, else `retry-after`
    /// in seconds).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.api().and_then(|error| error.retry_after)
    }

    /// Whether the provider does not know the object (HTTP 404).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.api().is_some_and(|error| error.status == Some(404))
    }

    /// The provider's own error, when it sent one.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// The error for logs, where the provider's text does not belong, since it may quote the request: its class, and of an
    /// error of the provider's the status, code and request id.
    #[must_use]
    pub fn brief(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            f.write_str(self.class())?;
            let Some(api) = self.api() else { return Ok(()) };
            if let Some(status) = api.status {
                write!(f, " {status}")?;
            }
            for (name, value) in [("code", &api.code), ("request id", &api.request_id)] {
                if let Some(value) = value {
                    write!(f, ", {name} {value}")?;
                }
            }
            Ok(())
        })
    }

    /// A word for logs.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "configuration",
            Self::Invalid { .. } => "invalid",
            Self::Connect { .. } => "connect",
            Self::Timeout { .. } => "timeout",
            Self::Disconnected { .. } => "disconnected",
            Self::Api(_) => "api",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too large",
        }
    }

    /// Of the creation of a conversation: says what to do when the server does not know of any.
    pub(crate) fn without_conversations(self, base_url: &str) -> Self {
        let status = self.api().and_then(|error| error.status);
        let (Some(404 | 405 | 501), Self::Api(error)) = (status, &self) else {
            return match self {
                Self::Malformed { message, excerpt, .. } => {
                    let message = format!(
                        "{message}; if the server at {base_url} keeps no conversations, use History::Local"
                    );
                    Self::Malformed { what: "the answer to a new conversation", message, excerpt }
                }
                other => other,
            };
        };
        let mut error = (**error).clone();
        error.message = format!(
            "this server keeps no conversations ({base_url}/conversations is not there); use History::Local"
        );
        (error.code, error.kind) = (None, None);
        error.into()
    }

    pub(crate) fn configuration(field: &'static str, message: impl Into<String>) -> Self {
        Self::Configuration { field, message: message.into() }
    }

    pub(super) fn disconnected(message: impl Into<String>) -> Self {
        Self::Disconnected { message: message.into(), source: None }
    }

    /// `text` must be free of the key already.
    pub(crate) fn malformed(what: &'static str, message: impl Into<String>, text: &str) -> Self {
        let excerpt = super::lenient::bounded(text, 200);
        Self::Malformed { what, message: message.into(), excerpt }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_threads() {
        fn assert<T: Send + Sync + 'static>() {}
        assert::<Error>();
    }

    #[test]
    fn limits_name_the_setting_that_raises_them() {
        let text = Error::Timeout {
            what: "the answer",
            limit: Duration::from_secs(3),
            setting: "idle_timeout",
        };
        assert_eq!(
            text.to_string(),
            "the answer took longer than 3s; `idle_timeout` of the OpenAI client's builder raises the limit"
        );
        let text =
            Error::TooLarge { what: "an event", limit: 10, setting: "max_event_bytes" }.to_string();
        assert!(text.contains("10 bytes") && text.contains("max_event_bytes"), "{text}");
    }

    #[test]
    fn only_failures_of_the_transport_are_worth_a_retry_without_an_api_error() {
        assert!(Error::disconnected("cut").is_retryable());
        assert!(!Error::configuration("base_url", "bad").is_retryable());
        assert!(!Error::malformed("an event", "no JSON", "x").is_retryable());
    }

    #[test]
    fn excerpts_are_short() {
        let Error::Malformed { excerpt, .. } =
            Error::malformed("the body", "no JSON", &"é".repeat(5000))
        else {
            panic!("another error");
        };
        assert!(excerpt.len() <= 203);
    }
}
