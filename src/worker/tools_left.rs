//! What a dead process left of the calls of tools, and how its run goes on.

use std::time::Duration;

use crate::drive::left;
use crate::error::Result;
use crate::model::{RunRow, ToolCall, ToolCallStatus};
use crate::store::session::Session;
use crate::store::{queue, responses, tool_calls};

/// How its run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolsLeft {
    /// Whoever takes it carries out what is open, or calls the model with what came of it.
    GoesOn,
    /// Somebody has to decide.
    Waits,
}

/// Of a locked run that nobody drives any more. `None`: it died in a call of the model, or before it had made any. `expiry`: how long
/// a person may take to decide.
pub(super) fn take_up(
    session: &mut dyn Session,
    row: &RunRow,
    expiry: Option<Duration>,
) -> Result<Option<ToolsLeft>> {
    // As a rule there are none, and nothing is asked for then.
    if tool_calls::last_step(session, row.id)? == 0 {
        return Ok(None);
    }
    let open = tool_calls::open_of_run(session, row.id)?;
    if open.is_empty() && responses::any_open(session, row.id)? {
        return Ok(None);
    }
    for call in open.iter().filter(|call| call.status == ToolCallStatus::Running) {
        left::leave(session, call, expiry)?;
    }
    // What is to be carried out comes first.
    let open = tool_calls::open_of_run(session, row.id)?;
    let waits = |call: &ToolCall| ToolCallStatus::WAITING.contains(&call.status);
    if !open.is_empty() && open.iter().all(waits) {
        return Ok(queue::wait_for_action(session, row.id, true)?.map(|_| ToolsLeft::Waits));
    }
    Ok(queue::queue_again(session, row)?.map(|_| ToolsLeft::GoesOn))
}
