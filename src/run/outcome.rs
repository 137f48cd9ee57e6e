//! How the calls of a run ended, in the words that are stored.

use crate::error::{Error, with_causes};
use crate::model::{RemoteState, RunStatus};
use crate::openai;
use crate::protocol::Ended;

/// How the calls of a run ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: RunStatus,
    pub(super) reason: Option<String>,
    pub(super) error: Option<String>,
    /// The provider's word, if it had one.
    pub(super) ended: Option<Ended>,
    /// Whether the provider's conversation now holds what was sent.
    pub(super) sent: RemoteState,
}

impl Outcome {
    pub(super) fn of(ended: Ended) -> Self {
        let sent = if ended.status == RunStatus::Completed {
            RemoteState::Held
        } else {
            RemoteState::Unknown
        };
        Self {
            status: ended.status,
            reason: ended.reason.clone(),
            error: ended.error.clone(),
            ended: Some(ended),
            sent,
        }
    }

    /// The run broke off. What it had is kept, so it failed only if it had nothing.
    pub(super) fn broken(reason: &str, error: String, has_output: bool, sent: RemoteState) -> Self {
        let status = if has_output { RunStatus::Incomplete } else { RunStatus::Failed };
        Self { status, reason: Some(reason.to_owned()), error: Some(error), ended: None, sent }
    }

    pub(super) fn cancelled() -> Self {
        Self {
            status: RunStatus::Cancelled,
            reason: None,
            error: None,
            ended: None,
            sent: RemoteState::Unknown,
        }
    }
}

/// Why a call gave no end.
pub(super) enum Broken {
    /// Before the answer began: the client has retried what may be retried.
    Refused(openai::Error),
    /// In the middle of the stream.
    Stream(openai::Error),
    /// The answer is over a limit of ours.
    TooLong(usize),
    /// Our own database.
    Store(Error),
}

pub(super) fn refused(error: &openai::Error, has_output: bool) -> Outcome {
    // A status in the 400s says that the provider did nothing with it.
    let sent = if error.did_nothing() { RemoteState::Absent } else { RemoteState::Unknown };
    Outcome::broken(&reason_of(error), with_causes(error), has_output, sent)
}

/// A word for the run's `reason`.
fn reason_of(error: &openai::Error) -> String {
    match error {
        // What the body says, if anything, is about a page that was to be read by people.
        openai::Error::Api(api)
            if api.status.is_some_and(|status| (300..400).contains(&status)) =>
        {
            "redirected".to_owned()
        }
        openai::Error::Api(api) => api
            .code
            .clone()
            .or_else(|| api.kind.clone())
            .unwrap_or_else(|| "provider_error".to_owned()),
        openai::Error::Timeout { .. } => "timeout".to_owned(),
        openai::Error::Connect { .. } => "connection_failed".to_owned(),
        openai::Error::Disconnected { .. } => "disconnected".to_owned(),
        openai::Error::TooLarge { .. } => "too_large".to_owned(),
        openai::Error::Malformed { .. } => "malformed".to_owned(),
        _ => "provider_error".to_owned(),
    }
}
