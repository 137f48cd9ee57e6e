//! A call that was begun and that nobody carries out any more: done again, given to a person, or told as unknown, as its tool says.

use std::time::Duration;

use crate::error::Result;
use crate::model::{NOT_KNOWN, Repeatable, ToolCall, ToolCallStatus};
use crate::store::session::Session;
use crate::store::tool_calls::{self, Move};

/// A call that was begun so often is not begun again: perhaps it is what kills the processes.
const MOST_BEGUN: i64 = 3;

/// Moves it on, of a locked run. `None`: it is not running any more. `expiry`: how long a person may take to decide.
pub(crate) fn leave(
    session: &mut dyn Session,
    call: &ToolCall,
    expiry: Option<Duration>,
) -> Result<Option<ToolCall>> {
    let none = Move::default();
    match call.repeatable {
        // Who agreed to it is not asked again.
        Repeatable::Yes if call.attempts < MOST_BEGUN => {
            tool_calls::become_(session, call.id, call.before_running(), &none)
        }
        Repeatable::Yes | Repeatable::No => {
            let told = Move { output: Some(NOT_KNOWN.to_owned()), ..none };
            tool_calls::end(session, call.id, ToolCallStatus::Unknown, &told)
        }
        Repeatable::Ask => {
            let decide_until = tool_calls::decide_until(session, expiry)?;
            let with = Move { decide_until, ..none };
            tool_calls::become_(session, call.id, ToolCallStatus::AwaitingApproval, &with)
        }
    }
}
