//! What is to be done about the open calls of a step: begun, left to somebody, ended; and what of it at once.

use std::panic::AssertUnwindSafe;

use super::flight::Flight;
use super::tool_run::{Called, panicked};
use crate::engine::core::Core;
use crate::model::{APPROVAL, AssistantDefinition, Repeatable, ToolCall, ToolCallStatus};
use crate::store::tool_calls::Move;
use crate::tool::{Approval, Bad, text};

/// What is to be done about one call.
#[derive(Debug, Clone)]
pub(super) enum Next {
    /// It is carried out.
    Begin(Repeatable),
    /// Somebody has to agree, or to carry it out.
    Wait(ToolCallStatus, Repeatable),
    /// It ends like this.
    End(ToolCallStatus, Move),
    /// It was begun, and nobody carries it out any more.
    Leave,
}

/// Whether these calls of one answer may run at once.
pub(super) fn run_side_by_side(core: &Core, calls: &[ToolCall]) -> bool {
    calls.iter().all(|call| core.tools().find(&call.name).is_none_or(|tool| tool.side_by_side()))
}

/// What to do about those that do not wait for somebody else: all at once where they run side by side, else none that has to be carried
/// out while an earlier one is open.
pub(super) fn plan(
    core: &Core,
    flight: &Flight,
    definition: &AssistantDefinition,
    open: &[ToolCall],
    side_by_side: bool,
) -> Vec<(ToolCall, Next)> {
    let called = Called::by(core, flight);
    let mut plan: Vec<(ToolCall, Next)> = Vec::new();
    let mut follows_an_open_one = false;
    for call in open {
        let next = match call.status {
            ToolCallStatus::Pending => Some(asked_for(core, &called, definition, call)),
            ToolCallStatus::Approved => Some(agreed_to(core, call)),
            ToolCallStatus::Running => Some(Next::Leave),
            _ => None,
        };
        let is_held_up = !side_by_side && follows_an_open_one;
        let next = next.filter(|next| !(is_held_up && matches!(next, Next::Begin(_))));
        follows_an_open_one |= !matches!(next, Some(Next::End(..)));
        plan.extend(next.map(|next| (call.clone(), next)));
    }
    plan
}

/// Whether nothing of these is to be done until somebody has decided.
pub(super) fn all_wait(open: &[ToolCall], side_by_side: bool) -> bool {
    let waits = |call: &ToolCall| ToolCallStatus::WAITING.contains(&call.status);
    // Where they keep their order, the first one holds up the others.
    let counted = if side_by_side { open } else { open.get(..1).unwrap_or_default() };
    !counted.is_empty() && counted.iter().all(waits)
}

/// Of one that the model asks for.
fn asked_for(
    core: &Core,
    called: &Called,
    definition: &AssistantDefinition,
    call: &ToolCall,
) -> Next {
    if call.kind == APPROVAL {
        return Next::Wait(ToolCallStatus::AwaitingApproval, Repeatable::Ask);
    }
    // A tool of the engine that this assistant does not use is none to it, whatever the model says.
    let is_used = definition
        .tools
        .iter()
        .any(|tool| tool["name"] == *call.name || tool["function"]["name"] == *call.name);
    if !is_used {
        let names: Vec<&str> =
            definition.tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
        let told = format!("there is no tool {:?}; there are: {}", call.name, names.join(", "));
        return ended(ToolCallStatus::Failed, told);
    }
    let Some(tool) = core.tools().find(&call.name) else {
        return Next::Wait(ToolCallStatus::AwaitingOutput, Repeatable::Ask);
    };
    // A panic of it is the call's, not the run's.
    let asked =
        AssertUnwindSafe(|| tool.approval(call.effective_arguments(), &called.context(call)));
    match std::panic::catch_unwind(asked).unwrap_or_else(|_| Err(panicked(call))) {
        Ok(Approval::NotNeeded) => Next::Begin(tool.repeatable()),
        Ok(Approval::Needed) => Next::Wait(ToolCallStatus::AwaitingApproval, tool.repeatable()),
        Ok(Approval::Refused(why)) => ended(ToolCallStatus::Rejected, why),
        Err(Bad(told)) => ended(ToolCallStatus::Failed, told),
    }
}

/// Of one that a person agreed to.
fn agreed_to(core: &Core, call: &ToolCall) -> Next {
    if call.kind == APPROVAL {
        // The provider carries it out.
        return Next::End(ToolCallStatus::Completed, Move::default());
    }
    match core.tools().find(&call.name) {
        Some(tool) => Next::Begin(tool.repeatable()),
        // Another process has it, in a rolling deploy; or the host carries it out.
        None => Next::Wait(ToolCallStatus::AwaitingOutput, call.repeatable),
    }
}

fn ended(status: ToolCallStatus, told: String) -> Next {
    let told = Some(text::reason(told));
    Next::End(status, Move { output: told.clone(), error: told, ..Move::default() })
}
