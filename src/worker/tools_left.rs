//! What a dead process left of the calls of tools: done again, given to a person, or told as unknown, as each tool says.

use crate::error::Result;
use crate::model::{Repeatable, RunRow, ToolCall, ToolCallStatus};
use crate::store::session::Session;
use crate::store::tool_calls::{self, Move};
use crate::store::{queue, responses, runs};

/// How its run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolsLeft {
    /// Whoever takes it carries out what is open, or calls the model with what came of it.
    GoesOn,
    /// Somebody has to decide.
    Waits,
}

/// A call that took so many processes with it is not begun again: perhaps it is what kills them.
const MOST_ATTEMPTS: i64 = 3;

const NOT_KNOWN: &str = "It is not known whether this call was carried out: the process that did it ended in the middle of it.";

/// Of a locked run that nobody drives any more. `None`: it died in a call of the model, or before it had made any.
pub(super) fn take_up(session: &mut dyn Session, row: &RunRow) -> Result<Option<ToolsLeft>> {
    // As a rule there are none, and nothing is asked for then.
    if tool_calls::last_step(session, row.id)? == 0 {
        return Ok(None);
    }
    let open = tool_calls::open_of_run(session, row.id)?;
    if open.is_empty() && responses::any_open(session, row.id)? {
        return Ok(None);
    }
    let mut waits = 0;
    for call in &open {
        if leave(session, call)? {
            waits += 1;
        }
    }
    // What is to be carried out comes first.
    if waits > 0 && waits == tool_calls::open_of_run(session, row.id)?.len() {
        return Ok(runs::wait_for_action(session, row.id)?.map(|_| ToolsLeft::Waits));
    }
    Ok(queue::queue_again(session, row)?.map(|_| ToolsLeft::GoesOn))
}

/// Whether it waits for somebody now.
fn leave(session: &mut dyn Session, call: &ToolCall) -> Result<bool> {
    if call.status != ToolCallStatus::Running {
        return Ok(ToolCallStatus::WAITING.contains(&call.status));
    }
    let none = Move::default();
    match call.repeatable {
        Repeatable::Yes if call.attempts < MOST_ATTEMPTS => {
            // Who agreed to it is not asked again.
            tool_calls::become_(session, call.id, call.before_running(), &none)?;
            Ok(false)
        }
        Repeatable::Yes | Repeatable::No => {
            let told = Move { output: Some(NOT_KNOWN.to_owned()), ..none };
            tool_calls::end(session, call.id, ToolCallStatus::Unknown, &told)?;
            Ok(false)
        }
        Repeatable::Ask => {
            tool_calls::become_(session, call.id, ToolCallStatus::AwaitingApproval, &none)?;
            Ok(true)
        }
    }
}
