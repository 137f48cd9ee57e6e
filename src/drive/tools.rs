//! Carrying out what the model asked for: begun once it is noted, told the model once its output is stored.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::fenced::{Cancel, fenced, whole};
use super::flight::{Flight, Halt};
use super::left;
use super::persist::persistently;
use super::tool_plan::{self, Next};
use super::tool_run;
use crate::engine::core::Core;
use crate::error::Result;
use crate::failpoint::{self, Write};
use crate::model::{AssistantDefinition, ToolCall, ToolCallStatus};
use crate::store::queue;
use crate::store::session::Session;
use crate::store::tool_calls::{self, Move};

/// What became of the calls that were open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Each has an output.
    All,
    /// Somebody has to decide, and nobody drives the run meanwhile.
    Waits,
}

/// Carries out what is open of the run.
pub(super) async fn carry_out(
    core: &Core,
    flight: &Arc<Flight>,
    definition: &AssistantDefinition,
) -> std::result::Result<Done, Halt> {
    loop {
        let run = flight.id();
        let calls = persistently(core, || {
            core.store().read(move |session| tool_calls::of_run(session, run))
        });
        let calls = calls.await?;
        // What others decided meanwhile is seen with it.
        flight.transcript.update(|seen| seen.show_calls(calls.clone()));
        let step = calls.iter().map(|call| call.step).max();
        let of_step: Vec<ToolCall> =
            calls.into_iter().filter(|call| Some(call.step) == step).collect();
        let side_by_side = tool_plan::run_side_by_side(core, &of_step);
        let open: Vec<ToolCall> =
            of_step.into_iter().filter(|call| !call.status.is_terminal()).collect();
        if open.is_empty() {
            return Ok(Done::All);
        }
        let plan = tool_plan::plan(core, flight, definition, &open, side_by_side);
        if plan.is_empty() {
            if pause(core, flight, side_by_side).await? {
                return Ok(Done::Waits);
            }
            // A decision came meanwhile.
            continue;
        }
        let begun = note(core, flight, plan).await?;
        run_all(core, flight, begun).await?;
    }
}

/// Notes it all before anything begins. Returns what begins.
async fn note(
    core: &Core,
    flight: &Flight,
    plan: Vec<(ToolCall, Next)>,
) -> std::result::Result<Vec<ToolCall>, Halt> {
    let expiry = core.options().approval_expiry;
    let moved = fenced(core, flight, Write::ToolsBegin, Cancel::Stops, move |session| {
        let mut moved = Vec::new();
        for (call, next) in &plan {
            moved.extend(match make(session, call, next, expiry)? {
                Some(made) => Some(made),
                None => made_already(session, call)?,
            });
        }
        Ok(moved)
    })
    .await?;
    flight.transcript.update(|seen| seen.show_calls(moved.clone()));
    Ok(moved.into_iter().filter(|call| call.status == ToolCallStatus::Running).collect())
}

fn make(
    session: &mut dyn Session,
    call: &ToolCall,
    next: &Next,
    expiry: Option<Duration>,
) -> Result<Option<ToolCall>> {
    let (status, repeatable, expiry) = match next {
        Next::Begin(repeatable) => (ToolCallStatus::Running, *repeatable, None),
        Next::Wait(status, repeatable) => (*status, *repeatable, expiry),
        Next::End(status, with) => return tool_calls::end(session, call.id, *status, with),
        Next::Leave => return left::leave(session, call, expiry),
    };
    let decide_until = tool_calls::decide_until(session, expiry)?;
    let with = Move { decide_until, repeatable: Some(repeatable), ..Move::default() };
    tool_calls::become_(session, call.id, status, &with)
}

/// The call as an earlier try moved it, if that was committed without our hearing of it: behind the fence nobody else moves a call that
/// waits for nobody.
fn made_already(session: &mut dyn Session, call: &ToolCall) -> Result<Option<ToolCall>> {
    Ok(tool_calls::find(session, call.id)?.filter(|now| now.version == call.version + 1))
}

/// Carries them out side by side; each output is stored when it is there.
async fn run_all(
    core: &Core,
    flight: &Arc<Flight>,
    begun: Vec<ToolCall>,
) -> std::result::Result<(), Halt> {
    let mut running: FuturesUnordered<_> =
        begun.into_iter().map(|call| tool_run::run(core, flight, call)).collect();
    while let Some((call, status, with)) = running.next().await {
        failpoint::point!("tool.returned");
        let storing = store(core.clone(), Arc::clone(flight), call.id, (status, with));
        whole(flight, storing).await?;
    }
    Ok(())
}

/// Stores an output, behind the fence: a process that lost the run tells nobody anything.
async fn store(
    core: Core,
    flight: Arc<Flight>,
    id: i64,
    (status, with): (ToolCallStatus, Move),
) -> std::result::Result<(), Halt> {
    // Also when the run is to stop: it was done.
    let ended = fenced(&core, &flight, Write::ToolOutput, Cancel::IsLeft, move |session| {
        tool_calls::end(session, id, status, &with)
    })
    .await?;
    flight.transcript.update(|seen| seen.show_calls(ended));
    Ok(())
}

/// Leaves the run to nobody until somebody has decided. `false`: that has happened already.
async fn pause(
    core: &Core,
    flight: &Flight,
    side_by_side: bool,
) -> std::result::Result<bool, Halt> {
    let run = flight.id();
    let paused = fenced(core, flight, Write::Pause, Cancel::Stops, move |session| {
        let open = tool_calls::open_of_run(session, run)?;
        if !tool_plan::all_wait(&open, side_by_side) {
            return Ok(None);
        }
        queue::wait_for_action(session, run, false)
    })
    .await?;
    let Some(run) = paused else { return Ok(false) };
    flight.transcript.update(|seen| seen.run = run);
    Ok(true)
}
