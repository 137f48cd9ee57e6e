//! How the calls of a run ended, in the words that are stored.

use super::conversation::NotReady;
use super::flight::{Halt, Stop};
use crate::error::{Error, with_causes};
use crate::model::{Reason, RemoteState, RunStatus};
use crate::provider::{CallError, Ended};

/// How the calls of a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: RunStatus,
    pub(crate) reason: Option<Reason>,
    pub(crate) provider_reason: Option<String>,
    pub(crate) error: Option<String>,
    /// The provider's word, if it had one.
    pub(crate) ended: Option<Ended>,
    /// Whether the provider's conversation now holds what was sent.
    pub(crate) sent: RemoteState,
    /// It failed in a way that another server may not.
    pub(crate) is_of_the_server: bool,
}

impl Outcome {
    /// `most_tokens`: what the answer was limited to. Some servers call complete what they cut there.
    pub(crate) fn of(ended: Ended, most_tokens: Option<i64>) -> Self {
        let sent = if ended.status == RunStatus::Completed {
            RemoteState::Held
        } else {
            RemoteState::Unknown
        };
        let cut = ended.status == RunStatus::Completed
            && most_tokens
                .zip(ended.usage)
                .is_some_and(|(most, usage)| usage.output_tokens >= most);
        let status = if cut { RunStatus::Incomplete } else { ended.status };
        let reason = ended.word(status);
        Self {
            status,
            reason,
            provider_reason: ended.reason.clone(),
            error: ended.error.clone(),
            is_of_the_server: ended.failure.as_ref().is_some_and(CallError::is_of_the_server),
            ended: Some(ended),
            sent,
        }
    }

    /// The run broke off. What it had is kept, so it failed only if it had nothing.
    pub(crate) fn broken(
        reason: Reason,
        error: String,
        has_output: bool,
        sent: RemoteState,
    ) -> Self {
        let status = if has_output { RunStatus::Incomplete } else { RunStatus::Failed };
        Self {
            status,
            reason: Some(reason),
            provider_reason: None,
            error: Some(error),
            ended: None,
            sent,
            is_of_the_server: false,
        }
    }

    pub(crate) fn cancelled() -> Self {
        Self {
            status: RunStatus::Cancelled,
            reason: None,
            provider_reason: None,
            error: None,
            ended: None,
            sent: RemoteState::Unknown,
            is_of_the_server: false,
        }
    }
}

/// Why a call gave no end.
pub(crate) enum Broken {
    /// Before the answer began: the client has retried what may be retried.
    Refused(CallError),
    /// In the middle of the stream.
    Stream(CallError),
    /// The answer is over a limit of ours.
    TooLong(String),
    /// A file of another endpoint was to be sent.
    Elsewhere(String),
    /// Our own database.
    Store(Error),
    /// The run is to stop.
    Stopped(Stop),
}

impl From<Halt> for Broken {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Stopped(stop) => Self::Stopped(stop),
            Halt::Store(error) => Self::Store(error),
        }
    }
}

impl From<NotReady> for Broken {
    fn from(error: NotReady) -> Self {
        match error {
            NotReady::Provider(error) => Self::Refused(error),
            NotReady::Store(error) => Self::Store(error),
        }
    }
}

pub(crate) fn refused(error: &CallError, has_output: bool) -> Outcome {
    // A status in the 400s says that the provider did nothing with it.
    let sent = if error.did_nothing() { RemoteState::Absent } else { RemoteState::Unknown };
    let reason = error.reason();
    let outcome = Outcome::broken(reason, with_causes(error), has_output, sent);
    let is_of_the_server = error.is_of_the_server();
    Outcome { provider_reason: error.provider_word(), is_of_the_server, ..outcome }
}
