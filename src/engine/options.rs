use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;
use crate::model::Recovery;

/// Who keeps the history that the model sees. The local database always has all of it. Holds for threads; chats are always local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum History {
    /// The provider, in a conversation of its own per thread; each call sends what it does not hold yet. The default
    /// at OpenAI's own address.
    ///
    /// A server that knows no conversations fails the run with an error that says so. One that takes them and keeps nothing is found
    /// out at the first answer: from then on the engine sends the history itself, and the run notes `conversation_ignored`.
    Conversation,
    /// Nobody else: each call sends the history, and asks the provider to keep nothing. The default everywhere else,
    /// since few other servers keep conversations. See
    /// [`max_prompt_tokens`](crate::AssistantDefinition::max_prompt_tokens) for how much of it.
    Local,
}

impl FromStr for History {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "conversation" => Ok(Self::Conversation),
            "local" => Ok(Self::Local),
            other => Err(Error::Configuration(format!(
                "history {other:?} is unknown; it is \"conversation\" or \"local\""
            ))),
        }
    }
}

/// Longest time that text which arrived is not stored, which is what a crash may lose; and how often readers look for what
/// other processes stored.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Limits of an engine.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) recovery: Recovery,
    pub(crate) lease: Duration,
    pub(crate) hook_timeout: Duration,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_unflushed_bytes: usize,
    /// Further tries when a stream breaks before any output.
    pub(crate) stream_retries: u32,
}

impl Options {
    /// How often a process extends its lease.
    pub(crate) fn beat(&self) -> Duration {
        self.lease / 6
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            recovery: Recovery::Settle,
            lease: Duration::from_secs(30),
            hook_timeout: Duration::from_secs(10),
            max_message_bytes: 16 * 1024 * 1024,
            max_unflushed_bytes: 1024 * 1024,
            stream_retries: 2,
        }
    }
}

/// When to look for remote deletions that a host's transaction notes: nobody tells us when it commits.
pub(super) const LOOKS_FOR_DELETIONS: [Duration; 2] =
    [Duration::from_millis(250), Duration::from_secs(2)];
