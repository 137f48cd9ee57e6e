//! Words of the pages for times, reasons and long texts.

use ai_engine::{Reason, RunStatus, ToolCallStatus};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// A time for `<time>`: for machines, and for people without a script that knows their time zone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct When {
    iso: String,
    words: String,
}

impl From<DateTime<Utc>> for When {
    fn from(at: DateTime<Utc>) -> Self {
        Self {
            iso: at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            words: at.format("%-d %b %Y, %H:%M UTC").to_string(),
        }
    }
}

/// A text as people wrote it: browsers send two characters for the end of a line, which are one here, and are counted as one.
pub(crate) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").trim().to_owned()
}

/// Whether a text has the one character that not every database can store.
pub(crate) fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// What is said about it.
pub(crate) const NUL: &str = "There is an invisible character in this text that cannot be stored (NUL). Write it again without.";

/// At most so many characters, on one line.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let mut words = text.split_whitespace();
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        if line.chars().count() > most {
            break;
        }
        line = format!("{line} {word}");
    }
    if line.chars().count() <= most {
        return line;
    }
    let kept: String = line.chars().take(most).collect();
    format!("{}…", kept.trim_end())
}

/// The state of a run in one word: what pages are styled by, and the script looks at.
pub(crate) const fn state(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "queued",
        RunStatus::InProgress => "typing",
        RunStatus::RequiresAction => "waiting",
        RunStatus::Completed => "done",
        RunStatus::Cancelled => "stopped",
        RunStatus::Incomplete => "broken",
        _ => "failed",
    }
}

/// The same for people; nothing for what speaks for itself.
pub(crate) fn status_line(status: RunStatus, reason: Option<&Reason>) -> Option<String> {
    let line = match status {
        RunStatus::Queued => "Will be answered after the current one.",
        RunStatus::InProgress => "Is writing…",
        RunStatus::RequiresAction => "Waits for your decision.",
        RunStatus::Completed => return None,
        RunStatus::Cancelled => "Stopped.",
        _ => return Some(reason.map_or("It did not work.", why).to_owned()),
    };
    Some(line.to_owned())
}

/// A reason in the app's words, and never in the provider's.
fn why(reason: &Reason) -> &'static str {
    match reason {
        Reason::Interrupted => "The answer broke off: the server was restarted.",
        Reason::Disconnected => "The answer broke off: the connection to the model was lost.",
        Reason::Timeout => "The model took too long.",
        Reason::ConnectionFailed => "The model cannot be reached.",
        Reason::RateLimitExceeded => "The model has too much to do. Try again in a minute.",
        Reason::InsufficientQuota => "The model's quota is used up.",
        Reason::InvalidApiKey | Reason::PermissionDenied => {
            "The model does not accept this app's key."
        }
        Reason::ModelNotFound => "There is no such model. Choose another one.",
        Reason::ContextLengthExceeded => "The conversation is too long for this model.",
        Reason::MaxOutputTokens | Reason::MessageTooLong => "The answer reached its length limit.",
        Reason::ContentFilter => "The model's filter stopped the answer.",
        Reason::Budget => "The answer reached its budget.",
        Reason::MaxSteps => "The model wanted too many steps.",
        _ => "The model failed.",
    }
}

/// What became of a call of a tool.
pub(crate) const fn call_line(status: ToolCallStatus) -> &'static str {
    match status {
        ToolCallStatus::AwaitingApproval => "wants to publish",
        ToolCallStatus::Pending | ToolCallStatus::Approved | ToolCallStatus::Running => {
            "is publishing…"
        }
        ToolCallStatus::Completed => "published a story",
        ToolCallStatus::Rejected => "was asked not to publish",
        ToolCallStatus::Cancelled => "did not publish: it was stopped",
        _ => "could not publish",
    }
}
