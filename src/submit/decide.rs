//! Deciding on calls of tools: who agrees, who refuses, what came of those that the host carries out itself.

use serde_json::Value;

use crate::drive::flight::Flight;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::host::record::Owner;
use crate::model::{
    APPROVAL, Messageable, ToolCall, ToolCallStatus, json_without_nul, without_nul,
};
use crate::store::session::Session;
use crate::store::tool_calls::{self, Move};
use crate::store::{clock, refuse_within, runs};
use crate::tool::text;
use crate::worker::lanes;

use super::enqueue::LOOKS;

/// What somebody decides about a call of a tool.
///
/// The first decision stands: whoever decides later is told so ([`Error::Decided`]). A page whose request was answered into the void sends
/// it again: one that [names its question](Self::asked_after), or an output that is stored already, is given the call as it is.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "nothing is decided until it is given to the engine"]
pub struct Decision {
    kind: Kind,
    by: Option<String>,
    asked_after: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Approve,
    ApproveWith(Value),
    Reject(String),
    Output(Value),
}

impl Decision {
    const fn of(kind: Kind) -> Self {
        Self { kind, by: None, asked_after: None }
    }

    /// The call is carried out.
    pub const fn approve() -> Self {
        Self::of(Kind::Approve)
    }

    /// The call is carried out with other arguments than the model's, a JSON object. The model is told what came of it, and not that
    /// they are others. Where this process has the tool, arguments that do not fit are [`Error::Invalid`]; so are any for a tool of the
    /// provider's own, which carries out what it asked for.
    pub fn approve_with(arguments: impl Into<Value>) -> Self {
        Self::of(Kind::ApproveWith(arguments.into()))
    }

    /// The call is not carried out, and the model is told why, in at most 8 KiB.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::of(Kind::Reject(reason.into()))
    }

    /// What came of a call that the host carries out itself: told the model as JSON, a text as it is.
    pub fn output(output: impl Into<Value>) -> Self {
        Self::of(Kind::Output(output.into()))
    }

    /// Who decides, in your words, at most 8 KiB: kept with the call ([`ToolCall::decided_by`]), and not told the model.
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }

    /// Names the question that is answered: the one that was asked when the call had been begun so often ([`ToolCall::attempts`]). A
    /// call whose process died is asked about again, where its tool wants that; what somebody said before does not answer that. A page
    /// sends by itself what was decided there, perhaps late: so its decisions ([`ui`](crate::ui)) are named, and one that refuses what
    /// is over meanwhile changes nothing instead of failing.
    pub const fn asked_after(mut self, attempts: i64) -> Self {
        self.asked_after = Some(attempts);
        self
    }

    /// Whether a page's decision says what was decided on this call already, or an output is the one that is stored, so that nothing is
    /// left to do.
    fn is_made(&self, call: &ToolCall) -> bool {
        if let Kind::Output(output) = &self.kind {
            let same = call.output.as_deref() == Some(&*text::output(output.clone()));
            return call.status == ToolCallStatus::Completed && same;
        }
        let Some(asked_after) = self.asked_after else { return false };
        let was_refused = match call.status {
            ToolCallStatus::Rejected | ToolCallStatus::Cancelled => true,
            ToolCallStatus::Failed => call.attempts == 0,
            _ => false,
        };
        // To be asked about again it was begun, and to be begun it was agreed to.
        let was_agreed = asked_after < call.attempts
            || call.decided_at.is_some()
                && call.status != ToolCallStatus::AwaitingApproval
                && !was_refused;
        match &self.kind {
            Kind::Approve => was_agreed && call.changed_arguments.is_none(),
            Kind::ApproveWith(arguments) => {
                was_agreed && call.changed_arguments.as_deref() == Some(&*arguments.to_string())
            }
            Kind::Reject(_) => was_refused || call.status.is_terminal(),
            Kind::Output(_) => false,
        }
    }

    /// Whether it can be stored.
    fn check(&self) -> Result<()> {
        self.by.iter().try_for_each(|who| short("by", who))?;
        match &self.kind {
            Kind::Approve => Ok(()),
            Kind::ApproveWith(arguments) => json_without_nul("arguments", arguments),
            Kind::Reject(reason) => short("reason", reason),
            Kind::Output(output) => json_without_nul("output", output),
        }
    }
}

/// What a person says of a decision.
fn short(field: &'static str, text: &str) -> Result<()> {
    without_nul(field, text)?;
    let most = text::MOST_OF_A_REASON;
    if text.len() > most {
        return Err(Error::invalid(field, text, format!("must have at most {most} bytes")));
    }
    Ok(())
}

/// Decided calls, and the conversations that go on.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) calls: Vec<ToolCall>,
    going_on: Vec<Messageable>,
}

impl Decided {
    /// After the commit: readers of this process see it, and the runs go on.
    pub(crate) fn tell(&self, core: &Core) {
        for call in &self.calls {
            if let Some(flight) = core.registry().get(call.run_id) {
                show(&flight, call);
            }
        }
        for of in &self.going_on {
            lanes::wake(core, *of);
        }
        core.hubs().nudge();
    }

    /// In a host's transaction: nobody tells us when it commits, so we look, as after a submit. A started engine finds it, too.
    pub(crate) fn tell_later(&self, core: &Core) {
        core.keep_up();
        let (Some(runtime), false) = (core.runtime(), self.going_on.is_empty()) else { return };
        let (core, going_on) = (core.clone(), self.going_on.clone());
        runtime.spawn(async move {
            for wait in LOOKS {
                tokio::time::sleep(wait).await;
                for of in &going_on {
                    lanes::wake(&core, *of);
                }
            }
        });
    }
}

fn show(flight: &Flight, call: &ToolCall) {
    flight.transcript.update(|seen| seen.show_calls([call.clone()]));
}

/// Decides in a transaction of ours.
pub(crate) async fn decide(
    core: &Core,
    owner: Option<Owner>,
    decisions: Vec<(i64, Decision)>,
) -> Result<Vec<ToolCall>> {
    refuse_within()?;
    core.keep_up();
    let core = core.clone();
    // A task of its own: a caller that goes away must not leave a run that waits for nobody.
    let deciding = tokio::spawn(async move {
        let writing = core.clone();
        let decided = core.store().write(Write::Decide, move |session| {
            decide_in(session, &writing, owner.as_ref(), &decisions)
        });
        let decided = decided.await?;
        decided.tell(&core);
        Ok(decided.calls)
    });
    deciding.await.map_err(|error| Error::Panicked(error.to_string()))?
}

/// All of them, or none.
pub(crate) fn decide_in(
    session: &mut dyn Session,
    core: &Core,
    owner: Option<&Owner>,
    decisions: &[(i64, Decision)],
) -> Result<Decided> {
    decisions.iter().try_for_each(|(_, decision)| decision.check())?;
    let mut decided = Decided { calls: Vec::new(), going_on: Vec::new() };
    for (id, decision) in decisions {
        let (call, goes_on) = one(session, core, owner, *id, decision)?;
        decided.calls.push(call);
        decided.going_on.extend(goes_on);
    }
    Ok(decided)
}

fn one(
    session: &mut dyn Session,
    core: &Core,
    owner: Option<&Owner>,
    id: i64,
    decision: &Decision,
) -> Result<(ToolCall, Option<Messageable>)> {
    let call = tool_calls::require(session, id)?;
    if let Some(owner) = owner {
        let found = runs::find_of(session, &owner.kind, &owner.id, call.run_id);
        found.map_err(|error| match error {
            Error::NotFound { .. } => Error::not_found("tool call", id),
            other => other,
        })?;
    }
    // The run first, as whoever drives it does.
    let Some(run) = runs::lock(session, call.run_id)? else {
        return Err(Error::not_found("tool call", id));
    };
    let call = tool_calls::require(session, id)?;
    let is_late = match call.decide_until {
        // What nobody decides on in time is refused.
        Some(until) => !matches!(decision.kind, Kind::Reject(_)) && clock::now_ms(session)? > until,
        None => false,
    };
    let is_of_another = decision.asked_after.is_some_and(|attempts| attempts != call.attempts);
    let moved = if is_late || is_of_another { None } else { make(session, core, &call, decision)? };
    match moved {
        Some(moved) => Ok((moved, tool_calls::go_on(session, &run)?)),
        None if decision.is_made(&call) => Ok((call, None)),
        None => Err(Error::Decided { tool_call_id: id, status: call.status }),
    }
}

/// `None`: it is not waiting for such a decision any more.
fn make(
    session: &mut dyn Session,
    core: &Core,
    call: &ToolCall,
    decision: &Decision,
) -> Result<Option<ToolCall>> {
    let by = Move { decided_by: decision.by.clone(), decides: true, ..Move::default() };
    match (&decision.kind, call.status) {
        (Kind::Approve, ToolCallStatus::AwaitingApproval) => {
            tool_calls::become_(session, call.id, ToolCallStatus::Approved, &by)
        }
        (Kind::ApproveWith(arguments), ToolCallStatus::AwaitingApproval) => {
            let text = checked(core, call, arguments)?;
            let with = Move { changed_arguments: Some(text), ..by };
            tool_calls::become_(session, call.id, ToolCallStatus::Approved, &with)
        }
        (Kind::Reject(reason), status) if ToolCallStatus::WAITING.contains(&status) => {
            let told = call.refusal(&format!("This call was refused: {reason}"));
            let with = Move { output: Some(told), error: Some(reason.clone()), ..by };
            let refused = match status {
                ToolCallStatus::AwaitingApproval => ToolCallStatus::Rejected,
                _ => ToolCallStatus::Failed,
            };
            tool_calls::end(session, call.id, refused, &with)
        }
        (Kind::Output(output), ToolCallStatus::AwaitingOutput) => {
            let text = text::output(output.clone());
            let most = core.options().max_tool_output_bytes;
            if text.len() > most {
                let reason = format!("must have at most max_tool_output_bytes ({most} bytes)");
                return Err(Error::invalid("output", text, reason));
            }
            let with = Move { output: Some(text), ..by };
            tool_calls::end(session, call.id, ToolCallStatus::Completed, &with)
        }
        _ => Ok(None),
    }
}

/// Changed arguments as text.
fn checked(core: &Core, call: &ToolCall, arguments: &Value) -> Result<String> {
    let text = arguments.to_string();
    if !arguments.is_object() {
        return Err(Error::invalid("arguments", text, "must be a JSON object".to_owned()));
    }
    if call.kind == APPROVAL {
        let reason = "cannot be changed: the provider carries out what it asked for and takes no other arguments; reject it";
        return Err(Error::invalid("arguments", text, reason));
    }
    if let Some(tool) = core.tools().find(&call.name) {
        tool.check(&text).map_err(|bad| Error::invalid("arguments", text.clone(), bad.0))?;
    }
    Ok(text)
}
