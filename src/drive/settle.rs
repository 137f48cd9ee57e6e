//! Settling: the end of a run in one transaction. Final texts, usage, statuses, what the provider holds.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::Span;

use super::content;
use super::flight::{Flight, Halt};
use super::outcome::Outcome;
use super::persist::{STORE_RETRY, persistently};
use super::step_end::StepEnd;
use super::stored::{self, Keep};
use crate::engine::core::Core;
use crate::error::{Error, Result, with_causes};
use crate::failpoint::Write;
use crate::follow::transcript::Seen;
use crate::model::{Message, Reason, Run, RunStatus, ToolCall};
use crate::store::messages;
use crate::store::responses;
use crate::store::runs::{self, Claim, End, Fence};
use crate::store::session::Session;
use crate::store::tool_calls;
use crate::store::verdict::{Verdict, verdict};

/// All that the end of a run writes: its last step, and the end itself.
#[derive(Debug)]
struct Settlement {
    claim: Claim,
    step: StepEnd,
    end: End,
}

/// Ends the run. The writer leaves it alone from here on.
pub(crate) async fn settle(
    core: &Core,
    flight: &Flight,
    outcome: Outcome,
) -> std::result::Result<(), Halt> {
    persistently(core, || core.writer().release(core, flight)).await?;
    let settlement = Arc::new(plan(flight, outcome)?);
    let most = core.options().trace_content;
    if most > 0 {
        let Settlement { step, end, .. } = &*settlement;
        let said = content::output(&step.messages, &step.items, end, most);
        Span::current().record("gen_ai.output.messages", said);
    }
    let (written, replaced) = written(core, settlement).await?;
    let Written { run, messages, calls } = written;
    flight.transcript.update(|seen| {
        seen.run = run;
        show(seen, messages, &replaced);
        seen.show_calls(calls);
        seen.ended = true;
    });
    Ok(())
}

/// Shows readers the messages of a step that were committed.
pub(super) fn show(seen: &mut Seen, rows: Vec<Message>, replaced: &HashSet<i64>) {
    let slots: HashSet<i64> = rows.iter().map(|row| row.position - 1).collect();
    // Those of earlier steps were settled with them.
    seen.keep_messages(|message| message.settled || slots.contains(&message.slot));
    for row in rows {
        seen.change(row.position - 1, |message| {
            // Also when less could be stored than was shown.
            message.replaced |=
                replaced.contains(&message.slot) || !row.content.starts_with(&message.text);
            message.text.clone_from(&row.content);
            message.settled = true;
            message.row = Some(row);
        });
    }
}

/// How often the database may refuse an end, for a reason that Diesel has no name for, until less of it is stored.
const REFUSALS: u32 = 3;

/// Writes the end, for as long as a lease holds; with less, when the database refuses the rest. Also returns the messages
/// whose final text is not the one that was streamed.
async fn written(
    core: &Core,
    settlement: Arc<Settlement>,
) -> std::result::Result<(Written, HashSet<i64>), Halt> {
    let deadline = Instant::now() + core.options().lease;
    let mut refusals = 0;
    loop {
        let plan = Arc::clone(&settlement);
        let error =
            match core.store().write(Write::Settle, move |session| write(session, &plan)).await {
                Ok(Err(Fence::Locked)) => {
                    // Not waiting with a connection in hand, for whoever of the host's has the row.
                    tokio::time::sleep(STORE_RETRY).await;
                    continue;
                }
                Ok(Ok(written)) => return Ok((written, settlement.step.replaced())),
                Ok(Err(fence)) => return Err(fence.into()),
                Err(error) => error,
            };
        refusals = match verdict(&error) {
            Verdict::Passing => refusals,
            Verdict::Unclear => refusals + 1,
            Verdict::OfTheRow => REFUSALS,
        };
        if refusals >= REFUSALS
            && let Some(written) = with_less(core, &settlement, &error).await?
        {
            tracing::error!(
                run = settlement.claim.run_id,
                error = with_causes(&error),
                "the database refuses the end of a run; it ends as failed"
            );
            return Ok((written?, HashSet::new()));
        }
        if !(error.may_pass() || refusals > 0) || Instant::now() >= deadline {
            return Err(error.into());
        }
        tracing::warn!(error = with_causes(&error), "the database refused; trying again");
        tokio::time::sleep(STORE_RETRY).await;
    }
}

/// Ends a run as failed, with what is stored of it. `None`: the database refuses that, too, so it is not the run's fault.
async fn with_less(
    core: &Core,
    settlement: &Arc<Settlement>,
    refusal: &Error,
) -> Result<Option<std::result::Result<Written, Fence>>> {
    for keep in [Keep::InPlace, Keep::RunOnly] {
        let end = End::failed_in_the_database(with_causes(refusal));
        let (plan, claim) = (Arc::clone(settlement), settlement.claim);
        let ended = core.store().write(Write::SettleWithLess, move |session| {
            match runs::fence(session, &[claim])?.first() {
                Some(Fence::Held { .. }) => {}
                Some(fence) => return Ok(Err(*fence)),
                None => return Ok(Err(Fence::Gone)),
            }
            plan.step.write_cost(session)?;
            let Some(run) = stored::end(session, claim.run_id, &end, keep, &plan.step.tariff())?
            else {
                return Ok(Err(Fence::Lost));
            };
            Written::of(session, run).map(Ok)
        });
        match ended.await {
            Ok(Err(Fence::Locked)) => return Ok(None),
            Ok(ended) => return Ok(Some(ended)),
            Err(error) if error.lost_connection() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

fn plan(flight: &Flight, outcome: Outcome) -> Result<Settlement> {
    let mut end = End::new(outcome.status, outcome.reason, outcome.error);
    end.provider_reason = outcome.provider_reason;
    (end.notes, end.further_attempts) = flight.log(|log| (log.notes.clone(), log.further_attempts));
    let mut step = StepEnd::of(flight, outcome.ended.as_ref(), outcome.sent)?;
    if step.closes_calls && end.status == RunStatus::Completed {
        end.status = RunStatus::Incomplete;
        end.reason = Some(Reason::ToolCalls);
    }
    // What the database refused is not only cut short: some of it may be nowhere.
    let refused = end.reason == Some(Reason::Database);
    if end.status == RunStatus::Failed && !step.messages.is_empty() && !refused {
        end.status = RunStatus::Incomplete;
    }
    step.status = end.status;
    Ok(Settlement { claim: flight.claim()?, step, end })
}

/// An ended run as it is stored.
struct Written {
    run: Run,
    messages: Vec<Message>,
    /// Those of its calls that its end may have changed.
    calls: Vec<ToolCall>,
}

impl Written {
    /// What is stored of it.
    fn of(session: &mut dyn Session, run: Run) -> Result<Self> {
        let said = messages::of_run(session, run.id)?;
        let messages = said.into_iter().filter(Message::is_assistant).collect();
        let calls = tool_calls::of_run(session, run.id)?;
        Ok(Self { run, messages, calls })
    }
}

fn write(
    session: &mut dyn Session,
    plan: &Settlement,
) -> Result<std::result::Result<Written, Fence>> {
    match runs::fence(session, &[plan.claim])?.first() {
        Some(Fence::Held { .. }) => {}
        Some(Fence::Lost) if let Some(written) = written_already(session, plan)? => {
            return Ok(Ok(written));
        }
        Some(fence) => return Ok(Err(*fence)),
        None => return Ok(Err(Fence::Gone)),
    }
    let messages = plan.step.write(session)?;
    let calls = tool_calls::close_open(session, plan.claim.run_id)?;
    let spent = responses::spent_on_run(session, plan.claim.run_id)?;
    let ended = runs::end(session, plan.claim.run_id, &plan.end, spent)?;
    Ok(ended.map(|run| Written { run, messages, calls }).ok_or(Fence::Lost))
}

/// What an earlier try wrote, if it was committed without our hearing of it. A run that somebody else ended ended otherwise.
fn written_already(session: &mut dyn Session, plan: &Settlement) -> Result<Option<Written>> {
    let ours = runs::find(session, plan.claim.run_id)?.filter(|row| {
        row.fencing_token == plan.claim.token
            && (row.status, row.reason.as_deref()) == (plan.end.status, plan.end.reason.as_deref())
    });
    ours.map(|row| Written::of(session, row.into())).transpose()
}
