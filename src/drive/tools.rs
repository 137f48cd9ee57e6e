//! Carrying out what the model asked for: begun once it is noted, told the model once its output is stored.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::fenced::{Cancel, fenced};
use super::flight::{Flight, Halt};
use super::persist::persistently;
use crate::engine::AiEngine;
use crate::engine::core::Core;
use crate::error::Result;
use crate::failpoint::{self, Write};
use crate::host::record::Owner;
use crate::model::{APPROVAL, AssistantDefinition, Repeatable, ToolCall, ToolCallStatus};
use crate::store::clock;
use crate::store::runs;
use crate::store::session::Session;
use crate::store::tool_calls::{self, Move};
use crate::tool::{self, Approval, Bad, ErasedTool, ToolContext};

/// What became of the calls that were open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Each has an output.
    All,
    /// Somebody has to decide, and nobody drives the run meanwhile.
    Waits,
}

/// What is to be done about one call.
#[derive(Debug, Clone)]
enum Next {
    /// It is carried out.
    Begin(Repeatable),
    /// Somebody has to agree, or to carry it out.
    Wait(ToolCallStatus, Repeatable),
    /// It ends like this.
    End(ToolCallStatus, Move),
}

/// Carries out what is open of the run.
pub(super) async fn carry_out(
    core: &Core,
    flight: &Flight,
    definition: &AssistantDefinition,
) -> std::result::Result<Done, Halt> {
    loop {
        let run = flight.id();
        let open = persistently(core, || {
            core.store().read(move |session| tool_calls::open_of_run(session, run))
        });
        let open = open.await?;
        if open.is_empty() {
            return Ok(Done::All);
        }
        let plan = plan(core, flight, definition, &open);
        if plan.is_empty() {
            if pause(core, flight).await? {
                return Ok(Done::Waits);
            }
            // A decision came meanwhile.
            continue;
        }
        let begun = note(core, flight, plan).await?;
        run_all(core, flight, begun).await?;
    }
}

/// What to do about those that do not wait for somebody else: all at once, if all of them may run side by side.
fn plan(
    core: &Core,
    flight: &Flight,
    definition: &AssistantDefinition,
    open: &[ToolCall],
) -> Vec<(ToolCall, Next)> {
    let mut plan: Vec<(ToolCall, Next)> = Vec::new();
    let side_by_side = open
        .iter()
        .all(|call| core.tools().find(&call.name).is_none_or(|tool| tool.side_by_side()));
    for call in open {
        let next = match call.status {
            ToolCallStatus::Pending => asked_for(core, flight, definition, call),
            ToolCallStatus::Approved => agreed_to(core, call),
            _ => continue,
        };
        let begins = matches!(next, Next::Begin(_));
        let one_begins = plan.iter().any(|(_, next)| matches!(next, Next::Begin(_)));
        if begins && one_begins && !side_by_side {
            continue;
        }
        plan.push((call.clone(), next));
    }
    plan
}

/// Of one that the model asks for.
fn asked_for(
    core: &Core,
    flight: &Flight,
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
        return failed(&told);
    }
    let Some(tool) = core.tools().find(&call.name) else {
        return Next::Wait(ToolCallStatus::AwaitingOutput, Repeatable::Ask);
    };
    let approval = with_context(core, flight, call, |cx| {
        // A panic of it is the call's, not the run's.
        let asked = AssertUnwindSafe(|| tool.approval(call.effective_arguments(), cx));
        std::panic::catch_unwind(asked).unwrap_or_else(|_| Err(panicked(cx.run.id, call)))
    });
    match approval {
        Ok(Approval::NotNeeded) => Next::Begin(tool.repeatable()),
        Ok(Approval::Needed) => Next::Wait(ToolCallStatus::AwaitingApproval, tool.repeatable()),
        Ok(Approval::Refused(why)) => Next::End(
            ToolCallStatus::Rejected,
            Move { output: Some(why.clone()), error: Some(why), ..Move::default() },
        ),
        Err(Bad(told)) => failed(&told),
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

fn failed(told: &str) -> Next {
    let with =
        Move { output: Some(told.to_owned()), error: Some(told.to_owned()), ..Move::default() };
    Next::End(ToolCallStatus::Failed, with)
}

fn with_context<T>(
    core: &Core,
    flight: &Flight,
    call: &ToolCall,
    work: impl FnOnce(&ToolContext<'_>) -> T,
) -> T {
    let engine = AiEngine::from(core.clone());
    let run = flight.transcript.look(|seen| seen.run.clone());
    let owner = flight.owner();
    work(&ToolContext { engine: &engine, run: &run, call, owner: &owner })
}

/// Notes it all before anything begins. Returns what begins.
async fn note(
    core: &Core,
    flight: &Flight,
    plan: Vec<(ToolCall, Next)>,
) -> std::result::Result<Vec<ToolCall>, Halt> {
    let expiry = core
        .options()
        .approval_expiry
        .map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let moved = fenced(core, flight, Write::ToolsBegin, Cancel::Stops, move |session| {
        let mut moved = Vec::new();
        for (call, next) in &plan {
            moved.extend(make(session, call, next, expiry)?);
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
    expiry: Option<i64>,
) -> Result<Option<ToolCall>> {
    let (status, repeatable) = match next {
        Next::Begin(repeatable) => (ToolCallStatus::Running, *repeatable),
        Next::Wait(status, repeatable) => (*status, *repeatable),
        Next::End(status, with) => return tool_calls::end(session, call.id, *status, with),
    };
    let decide_until = match expiry.filter(|_| status != ToolCallStatus::Running) {
        Some(expiry) => Some(clock::now_ms(session)?.saturating_add(expiry)),
        None => None,
    };
    let with = Move { decide_until, repeatable: Some(repeatable), ..Move::default() };
    tool_calls::become_(session, call.id, status, &with)
}

/// Carries them out side by side; each output is stored when it is there.
async fn run_all(
    core: &Core,
    flight: &Flight,
    begun: Vec<ToolCall>,
) -> std::result::Result<(), Halt> {
    let mut running: FuturesUnordered<_> =
        begun.into_iter().map(|call| run_one(core, flight, call)).collect();
    while let Some((call, status, with)) = running.next().await {
        failpoint::point!("tool.returned");
        store(core, flight, &call, status, with).await?;
    }
    Ok(())
}

async fn run_one(core: &Core, flight: &Flight, call: ToolCall) -> (ToolCall, ToolCallStatus, Move) {
    let told = match core.tools().find(&call.name).cloned() {
        Some(tool) => guarded(core, flight, &call, tool).await,
        None => Err("this process has no such tool".to_owned()),
    };
    let most = core.options().max_tool_output_bytes;
    let told = told.and_then(|output| {
        if output.len() > most {
            return Err(format!("the output is longer than max_tool_output_bytes ({most} bytes)"));
        }
        Ok(output)
    });
    match told {
        Ok(output) => {
            (call, ToolCallStatus::Completed, Move { output: Some(output), ..Move::default() })
        }
        Err(error) => (
            call,
            ToolCallStatus::Failed,
            Move { output: Some(format!("Error: {error}")), error: Some(error), ..Move::default() },
        ),
    }
}

/// Its output, or why there is none: an error, a panic, or too long a time.
async fn guarded(
    core: &Core,
    flight: &Flight,
    call: &ToolCall,
    tool: Arc<dyn ErasedTool>,
) -> std::result::Result<String, String> {
    let engine = AiEngine::from(core.clone());
    let run = flight.transcript.look(|seen| seen.run.clone());
    let owner: Owner = flight.owner();
    let cx = ToolContext { engine: &engine, run: &run, call, owner: &owner };
    let limit = tool.timeout();
    let depth = run.submission.as_ref().map_or(0, |known| known.depth);
    let calling = tool::within_depth(depth, tool.call(call.effective_arguments(), &cx));
    let calling = AssertUnwindSafe(calling).catch_unwind();
    match tokio::time::timeout(limit, calling).await {
        Ok(Ok(Ok(Ok(output)))) => Ok(output),
        Ok(Ok(Ok(Err(error)))) => Err(error.message().to_owned()),
        Ok(Ok(Err(Bad(told)))) => Err(told),
        Ok(Err(_)) => {
            let Bad(told) = panicked(run.id, call);
            Err(told)
        }
        Err(_) => Err(format!("the tool took longer than {limit:?}")),
    }
}

/// What the model is told of a panic; its text is for the log, where the panic hook put it.
fn panicked(run: i64, call: &ToolCall) -> Bad {
    tracing::error!(run, tool = call.name, "a tool panicked");
    Bad("the tool failed".to_owned())
}

/// Stores an output, behind the fence: a process that lost the run tells nobody anything.
async fn store(
    core: &Core,
    flight: &Flight,
    call: &ToolCall,
    status: ToolCallStatus,
    with: Move,
) -> std::result::Result<(), Halt> {
    let id = call.id;
    // Also when the run is to stop: it was done.
    let ended = fenced(core, flight, Write::ToolOutput, Cancel::IsLeft, move |session| {
        tool_calls::end(session, id, status, &with)
    })
    .await?;
    flight.transcript.update(|seen| seen.show_calls(ended));
    Ok(())
}

/// Leaves the run to nobody until somebody has decided. `false`: that has happened already.
async fn pause(core: &Core, flight: &Flight) -> std::result::Result<bool, Halt> {
    let run = flight.id();
    let paused = fenced(core, flight, Write::Pause, Cancel::Stops, move |session| {
        let open = tool_calls::open_of_run(session, run)?;
        let waits = |call: &ToolCall| ToolCallStatus::WAITING.contains(&call.status);
        if open.is_empty() || !open.iter().all(waits) {
            return Ok(None);
        }
        runs::wait_for_action(session, run)
    })
    .await?;
    let Some(run) = paused else { return Ok(false) };
    flight.transcript.update(|seen| seen.run = run);
    Ok(true)
}
