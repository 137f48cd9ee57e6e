//! The end of a step that is not the last: its texts and items are stored together with the calls that it asks for.

use std::sync::Arc;

use super::asked::Asked;
use super::fenced::{Cancel, fenced, whole};
use super::flight::{Flight, Halt};
use super::outcome::Outcome;
use super::persist::persistently;
use super::settle::show;
use super::step_end::StepEnd;
use crate::engine::core::Core;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::ToolCall;
use crate::store::session::Session;
use crate::store::{messages, tool_calls};

/// How many steps of the run asked for tools.
pub(super) async fn done(core: &Core, flight: &Flight) -> Result<i64> {
    let run = flight.id();
    persistently(core, || core.store().read(move |session| tool_calls::last_step(session, run)))
        .await
}

/// Stores a step and what it asks for.
pub(super) async fn settle(
    core: &Core,
    flight: &Arc<Flight>,
    outcome: Outcome,
    asked: Asked,
) -> std::result::Result<(), Halt> {
    persistently(core, || core.writer().release(core, flight)).await?;
    let end = StepEnd::of(flight, outcome.ended.as_ref(), outcome.sent)?.with_open_calls();
    let storing = store(core.clone(), Arc::clone(flight), Arc::new((end, asked)));
    whole(flight, storing).await
}

async fn store(
    core: Core,
    flight: Arc<Flight>,
    plan: Arc<(StepEnd, Asked)>,
) -> std::result::Result<(), Halt> {
    let run = flight.id();
    let noted = Arc::clone(&plan);
    let (rows, calls) = fenced(&core, &flight, Write::Step, Cancel::IsLeft, move |session| {
        let (end, asked) = &*noted;
        // It may have been committed without our hearing of it.
        if tool_calls::last_step(session, run)? >= asked.step {
            return Ok((messages::of_run(session, run)?, tool_calls::of_run(session, run)?));
        }
        Ok((end.write(session)?, insert(session, run, asked)?))
    })
    .await?;
    let replaced = plan.0.replaced();
    let last = rows.iter().map(|row| row.position);
    let last = last.chain(calls.iter().map(|call| call.output_position)).max();
    // Before the writer may look at the run again: it leaves what is settled alone.
    flight.transcript.update(|seen| {
        show(seen, rows, &replaced);
        seen.show_calls(calls);
    });
    // A place is one more than a slot.
    flight.step_ended(last.unwrap_or_default());
    Ok(())
}

fn insert(session: &mut dyn Session, run: i64, asked: &Asked) -> Result<Vec<ToolCall>> {
    let calls = asked.calls.iter();
    calls.map(|call| tool_calls::insert(session, run, asked.step, call)).collect()
}
