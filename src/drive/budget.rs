//! What a run may take, looked at between its steps: before what the model asks for is carried out, and the model is asked again.

use super::flight::{Flight, Halt};
use super::outcome::Outcome;
use super::persist::persistently;
use super::step_end::StepEnd;
use crate::engine::core::Core;
use crate::model::{AssistantDefinition, Reason, RemoteState, RunStatus, Spent};
use crate::store::responses;

/// Why a run is to end here, if it is. `outcome`: of the call that was made last, which is not stored yet.
pub(super) async fn exhausted(
    core: &Core,
    flight: &Flight,
    definition: &AssistantDefinition,
    outcome: Option<&Outcome>,
) -> Result<Option<String>, Halt> {
    if definition.max_cost.is_none() && definition.max_tokens.is_none() {
        return Ok(None);
    }
    let (call, now) = match outcome {
        Some(outcome) => {
            let step = StepEnd::of(flight, outcome.ended.as_ref(), outcome.sent)?;
            (flight.log(|log| log.call.as_ref().map(|call| call.id)), step.spent)
        }
        None => (None, Spent::NOTHING),
    };
    let run = flight.id();
    // No call has the number 0.
    let call = call.unwrap_or_default();
    let before = persistently(core, || {
        core.store().read(move |session| responses::spent_beside(session, run, call))
    });
    Ok(beyond(definition, before.await? + now))
}

/// The sentence for whoever asks why.
fn beyond(definition: &AssistantDefinition, spent: Spent) -> Option<String> {
    let tokens = spent.usage.total_tokens();
    if let Some(most) = definition.max_tokens.filter(|most| tokens >= *most) {
        return Some(format!("the run took {tokens} tokens, and may take {most} (max_tokens)"));
    }
    let most = definition.max_cost?;
    match spent.costs.cost() {
        None => Some(format!(
            "what the run cost is not known, so that it cannot be held to {most} (max_cost)"
        )),
        Some(cost) if cost >= most => {
            Some(format!("the run cost {cost}, and may cost {most} (max_cost)"))
        }
        Some(_) => None,
    }
}

/// The end of a run between two of its steps.
pub(super) fn end(error: String) -> Outcome {
    let broken = Outcome::broken(Reason::Budget, error, true, RemoteState::Absent);
    Outcome { status: RunStatus::Incomplete, ..broken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Costs, Money, Usage};

    #[test]
    fn a_run_ends_when_it_has_reached_what_it_may_take() {
        let spent = |cost: i64| Spent {
            usage: Usage { input_tokens: 60, output_tokens: 40, ..Usage::default() },
            costs: Costs { input_cost: Some(Money::from_nanos(cost)), ..Costs::NOTHING },
            priced_on: None,
        };
        let limits = AssistantDefinition::new("m");
        let tokens = |most| beyond(&limits.clone().max_tokens(most), spent(0));
        assert_eq!(tokens(101), None);
        assert_eq!(tokens(100).unwrap(), "the run took 100 tokens, and may take 100 (max_tokens)");
        let limits = limits.max_cost(Money::from_nanos(5_000_000));
        assert_eq!(beyond(&limits, spent(4_999_999)), None);
        let said = beyond(&limits, spent(5_000_000)).unwrap();
        assert_eq!(said, "the run cost $0.005, and may cost $0.005 (max_cost)");
        let unknown = Spent { costs: Costs::default(), ..spent(0) };
        assert!(beyond(&limits, unknown).unwrap().contains("not known"));
    }
}
