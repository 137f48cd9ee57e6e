//! Why a run did not end with a whole answer: one word for one fact, whatever the provider calls it.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};

macro_rules! reasons {
    ($($(#[$meta:meta])* $variant:ident => $word:literal),+ $(,)?) => {
        /// Why a run is incomplete or failed, in one word that is the same on every server. The provider's own word is in
        /// [`Run::provider_reason`](crate::Run).
        ///
        /// It is stored and serialised as that word, and can be used and compared like a `str`. A word of the provider's that is not
        /// known here is kept as [`Other`](Self::Other); a later version may have a variant for it.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$meta])* $variant,)+
            /// A word of the provider's, or of a later version.
            Other(String),
        }

        impl Reason {
            /// The word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for Reason {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

reasons! {
    /// Cut at the definition's `max_output_tokens`, or at the model's own limit.
    MaxOutputTokens => "max_output_tokens",
    /// The history and the question are too long for the model, also when the history was shortened.
    ContextLengthExceeded => "context_length_exceeded",
    /// The provider's filter stopped the answer.
    ContentFilter => "content_filter",
    /// The model declined to answer, and said nothing else: the run is completed, and what it said is the message.
    Refusal => "refusal",
    /// The model asked for tools in as many steps as a run may have ([`EngineBuilder::max_steps`](crate::EngineBuilder::max_steps)).
    MaxSteps => "max_steps",
    /// The run took as many tokens, or cost as much, as it may ([`AssistantDefinition::max_cost`](crate::AssistantDefinition::max_cost)),
    /// or what it cost is not known.
    Budget => "budget",
    /// The run ended in calls of tools that nobody carries out, such as one of a computer.
    ToolCalls => "tool_calls",
    /// The key is wrong, or there is none.
    InvalidApiKey => "invalid_api_key",
    /// The key, project or country may not use this.
    PermissionDenied => "permission_denied",
    /// The provider does not know the model.
    ModelNotFound => "model_not_found",
    /// The server does not have what was asked for at this address: it speaks another protocol, or the address is wrong.
    UnknownPath => "unknown_path",
    /// Too many requests or tokens at once.
    RateLimitExceeded => "rate_limit_exceeded",
    /// A quota, a credit balance or a spending limit is used up.
    InsufficientQuota => "insufficient_quota",
    /// The provider refuses the request as it is.
    InvalidRequest => "invalid_request_error",
    /// The provider failed.
    ServerError => "server_error",
    /// The server redirects, which is not followed.
    Redirected => "redirected",
    /// No connection could be made.
    ConnectionFailed => "connection_failed",
    /// The connection broke off.
    Disconnected => "disconnected",
    /// A time limit of the client passed ([`OpenAiBuilder`](crate::openai::OpenAiBuilder) sets them).
    Timeout => "timeout",
    /// The answer cannot be read. It was paid for all the same, so the question is not asked again.
    Malformed => "malformed",
    /// The answer is larger than the client accepts.
    TooLarge => "too_large",
    /// The answer is longer than [`max_message_bytes`](crate::EngineBuilder::max_message_bytes).
    MessageTooLong => "message_too_long",
    /// The process that drove the run ended.
    Interrupted => "interrupted",
    /// The database could not store it: an index, trigger or constraint of the host's refuses it, or it was away for too long.
    Database => "database",
    /// A setting of the engine or of the client is missing or cannot be used.
    Configuration => "configuration",
    /// The definition asks for what the provider's protocol cannot do.
    Unsupported => "unsupported",
    /// A file that the run would send is at another provider or endpoint ([`Content::file_id`](crate::Content::file_id)).
    FileElsewhere => "file_elsewhere",
    /// The stored definition cannot be read.
    Definition => "definition",
    /// The provider gave an error without saying which.
    ProviderError => "provider_error",
}

impl From<String> for Reason {
    fn from(word: String) -> Self {
        Self::from(word.as_str())
    }
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Reason {
    fn eq(&self, word: &str) -> bool {
        self.as_str() == word
    }
}

impl PartialEq<&str> for Reason {
    fn eq(&self, word: &&str) -> bool {
        self.as_str() == *word
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_after_a_trip_through_text() {
        for word in ["max_output_tokens", "interrupted", "a word of tomorrow", ""] {
            let reason = Reason::from(word);
            assert_eq!(reason, word);
            assert_eq!(serde_json::to_value(&reason).unwrap(), word);
        }
        assert_eq!(Reason::from("length"), Reason::Other("length".to_owned()), "stored is stored");
    }
}
