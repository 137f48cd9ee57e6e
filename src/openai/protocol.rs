//! Which of OpenAI's protocols a client speaks.

use std::fmt;
use std::str::FromStr;

use super::{Error, Result};

/// The protocol that a server is spoken to in. Nothing else of a host's code depends on it.
///
/// Its text form, which [`FromStr`] reads and [`Display`](fmt::Display) writes, is `responses`, `chat_completions` or `assistants`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// The Responses API (`/responses`), and where a server has it the Conversations API, in which the provider keeps the history.
    #[default]
    Responses,
    /// The Chat Completions API (`/chat/completions`), which nearly every server speaks. It keeps no history, so each call sends it,
    /// and it knows no tools but functions.
    ChatCompletions,
    /// The Assistants API, version 2 (`/assistants`, `/threads`), which `OpenAI` has no longer and some servers still have. The provider
    /// keeps the history in a thread of its own.
    Assistants,
}

impl Protocol {
    /// Its name, which is stored beside remote ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::ChatCompletions => "chat_completions",
            Self::Assistants => "assistants",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Responses, Self::ChatCompletions, Self::Assistants]
            .into_iter()
            .find(|protocol| protocol.as_str() == text)
            .ok_or_else(|| {
                let message = format!(
                    "{text:?} is no protocol; it is `responses`, `chat_completions` or `assistants`"
                );
                Error::configuration("protocol", message)
            })
    }
}
