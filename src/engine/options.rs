use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::host::trace_context::TraceContext;
use crate::model::{AssistantDefinition, PartLimits, Recovery};
use crate::price::Prices;

/// Who keeps the history that the model sees. Your database always has all of it. This is for threads: chats are always
/// [`Local`](Self::Local).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum History {
    /// The provider keeps it, in one conversation for each thread; a call sends only what that conversation does not hold yet. The
    /// default at OpenAI's own address.
    ///
    /// On a server that has no conversations the run fails, with an error that says so. If a server creates conversations but does not
    /// keep what is in them, the engine notices it after the first answer: from then on it sends the history itself, and the run has
    /// the note `conversation_ignored`.
    Conversation,
    /// Only your database keeps it: each call sends the history, and asks the provider to store nothing. The default at every other
    /// address, since few other servers keep conversations. How much of it is sent is set by
    /// [`max_prompt_tokens`](crate::AssistantDefinition::max_prompt_tokens).
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

/// Which providers are told, by hashes, which end user and which conversation a call is for.
///
/// The end user is the record that owns the thread or chat. Sent are a `safety_identifier` of the end user and a
/// `prompt_cache_key` of the conversation, 64 characters each, in the Responses and Chat Completions protocols (the Assistants API has
/// neither). They are the same in every process and at every provider. With them OpenAI can tell a user who breaks its rules
/// from all others (<https://platform.openai.com/docs/guides/safety-best-practices>), keeps what a model thought from no later call
/// for a change of the end user, and finds the cached beginning of a conversation again
/// (<https://platform.openai.com/docs/guides/prompt-caching>).
///
/// What a definition's [`parameters`](crate::AssistantDefinition::parameter) say wins: of a member of the same name nothing else is sent, and
/// beside `user`, which the two replace, neither of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identify {
    /// Those at `OpenAI`'s own address. The default: many other servers do not know the names, and some refuse them.
    #[default]
    AtOpenAi,
    /// All. A server that refuses a name is sent the call again without, and later calls of this engine are without it from the
    /// beginning.
    Everywhere,
    /// None.
    Nowhere,
}

impl Identify {
    /// Whether a provider is told, by whether it is `OpenAI` itself.
    pub(super) const fn includes(self, is_openai: bool) -> bool {
        match self {
            Self::AtOpenAi => is_openai,
            Self::Everywhere => true,
            Self::Nowhere => false,
        }
    }
}

/// Longest time that text which arrived is not stored, which is what a crash may lose; and how often readers look for what
/// other processes stored.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Limits of an engine.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) recovery: Recovery,
    pub(crate) lease: Duration,
    pub(crate) hook_timeout: Duration,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_unflushed_bytes: usize,
    /// Further tries when a stream breaks before any output.
    pub(crate) stream_retries: u32,
    /// Runs driven at once; `None`: as many as there are.
    pub(crate) max_concurrent_runs: Option<usize>,
    /// Whether queued runs are driven that this engine was not told to drive.
    pub(crate) take_queued: bool,
    /// The host's door to its tracing system.
    pub(crate) trace_context: Option<Arc<dyn TraceContext>>,
    /// Most bytes of what was said that the span of a run may show, for each direction; 0: none.
    pub(crate) trace_content: usize,
    /// What parts of messages are held to.
    pub(crate) parts: PartLimits,
    /// Which providers are told for whom a call is.
    pub(crate) identify: Identify,
    /// What is hashed with it.
    pub(crate) identify_salt: Vec<u8>,
    /// Steps of a run in which the model may ask for tools.
    pub(crate) max_steps: u32,
    /// How long somebody may take to decide.
    pub(crate) approval_expiry: Option<Duration>,
    pub(crate) max_tool_output_bytes: usize,
    pub(crate) max_depth: u32,
    /// What calls cost.
    pub(crate) prices: Prices,
    /// Who is asked for titles.
    pub(crate) titles: Option<AssistantDefinition>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("recovery", &self.recovery)
            .field("lease", &self.lease)
            .field("hook_timeout", &self.hook_timeout)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("max_unflushed_bytes", &self.max_unflushed_bytes)
            .field("trace_content", &self.trace_content)
            .field("parts", &self.parts)
            .field("identify", &self.identify)
            .field("max_concurrent_runs", &self.max_concurrent_runs)
            .field("titles", &self.titles)
            .field("max_steps", &self.max_steps)
            .field("approval_expiry", &self.approval_expiry)
            .field("max_tool_output_bytes", &self.max_tool_output_bytes)
            .field("max_depth", &self.max_depth)
            .field("take_queued", &self.take_queued)
            .finish_non_exhaustive()
    }
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
            max_concurrent_runs: None,
            take_queued: true,
            trace_context: None,
            trace_content: 0,
            parts: PartLimits::default(),
            identify: Identify::default(),
            identify_salt: Vec::new(),
            max_steps: 8,
            approval_expiry: None,
            max_tool_output_bytes: 256 * 1024,
            max_depth: 4,
            prices: Prices::default(),
            titles: None,
        }
    }
}

/// When to look for remote deletions that a host's transaction notes: nobody tells us when it commits.
pub(super) const LOOKS_FOR_DELETIONS: [Duration; 2] =
    [Duration::from_millis(250), Duration::from_secs(2)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::OpenAi;

    #[test]
    fn end_users_are_told_to_openai_unless_the_host_says_otherwise() {
        let openai = OpenAi::new("key").unwrap().is_openai();
        let other =
            OpenAi::builder().base_url("http://127.0.0.1:1/v1").build().unwrap().is_openai();
        for (identify, expected) in [
            (Identify::default(), [true, false]),
            (Identify::Everywhere, [true, true]),
            (Identify::Nowhere, [false, false]),
        ] {
            assert_eq!([openai, other].map(|is| identify.includes(is)), expected, "{identify:?}");
        }
    }
}
