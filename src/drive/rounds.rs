//! A run is a loop of steps: the model is called; what it asked for is carried out, and it is called again with what came of that.

use std::sync::Arc;

use super::asked;
use super::budget;
use super::fallback;
use super::flight::{Flight, Halt, Stop};
use super::outcome::Outcome;
use super::step;
use super::tools::{self, Done};
use crate::engine::core::Core;
use crate::error::with_causes;
use crate::model::{AssistantDefinition, Reason, RemoteState, RunRow, RunStatus};

/// How a run goes on.
#[derive(Debug)]
pub(crate) enum Answered {
    /// It ends like this.
    Ended(Box<Outcome>),
    /// It waits for somebody's decision, and belongs to no process.
    Waits,
}

/// Makes steps until there is an answer, or somebody has to decide.
pub(crate) async fn answer(
    core: &Core,
    flight: &Arc<Flight>,
    definition: &AssistantDefinition,
    row: &RunRow,
) -> Result<Answered, Stop> {
    match rounds(core, flight, definition, row).await {
        Ok(answered) => Ok(answered),
        Err(Halt::Stopped(stop)) => Err(stop),
        Err(Halt::Store(error)) => {
            let (error, sent) = (with_causes(&error), RemoteState::Unknown);
            let broken = Outcome::broken(Reason::Database, error, flight.has_output(), sent);
            Ok(Answered::Ended(Box::new(broken)))
        }
    }
}

async fn rounds(
    core: &Core,
    flight: &Arc<Flight>,
    definition: &AssistantDefinition,
    row: &RunRow,
) -> Result<Answered, Halt> {
    // Of one that nobody has called for yet there is nothing to carry out.
    let mut done = if row.attempts > 0 { step::done(core, flight).await? } else { 0 };
    if done > 0
        && let Some(error) = budget::exhausted(core, flight, definition, None).await?
    {
        return Ok(Answered::Ended(Box::new(budget::end(error))));
    }
    if done > 0 && tools::carry_out(core, flight, definition).await? == Done::Waits {
        return Ok(Answered::Waits);
    }
    loop {
        let outcome = fallback::call(core, flight, definition).await.map_err(Halt::Stopped)?;
        let Some(asked) = asked::of(&outcome, flight, definition, done + 1) else {
            return Ok(Answered::Ended(Box::new(outcome)));
        };
        done += 1;
        let most = core.options().max_steps;
        if done >= i64::from(most) {
            let error = format!("the model asked for tools in each of {most} steps (max_steps)");
            return Ok(Answered::Ended(Box::new(Outcome {
                status: RunStatus::Incomplete,
                reason: Some(Reason::MaxSteps),
                error: Some(error),
                ..outcome
            })));
        }
        if let Some(error) = budget::exhausted(core, flight, definition, Some(&outcome)).await? {
            let (status, reason) = (RunStatus::Incomplete, Some(Reason::Budget));
            let ended = Outcome { status, reason, error: Some(error), ..outcome };
            return Ok(Answered::Ended(Box::new(ended)));
        }
        step::settle(core, flight, outcome, asked).await?;
        if tools::carry_out(core, flight, definition).await? == Done::Waits {
            return Ok(Answered::Waits);
        }
    }
}
