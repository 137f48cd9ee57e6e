//! Ending a run with what is stored of it: after its process died, or when the database refuses the rest.

use super::estimate;
use super::step_end::uncounted;
use super::tariff::Tariff;
use crate::error::Result;
use crate::model::{Costs, Message, MessageBody, MessageStatus, Role, Run, Spent};
use crate::store::messages;
use crate::store::runs::{self, End};
use crate::store::session::Session;
use crate::store::{deltas, responses, tool_calls};

/// How much of a run's rows its end touches. The database of a host may refuse a row for good: an index that cannot take a
/// long text, a trigger. The run ends all the same, and no stored text is lost: a message and its deltas are read as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The deltas of each message become part of its content.
    Folded,
    /// Contents stay as they are, beside their deltas; only their status changes.
    InPlace,
    /// Nothing but the run's own row.
    RunOnly,
}

impl Keep {
    pub(crate) const LESS_AND_LESS: [Self; 3] = [Self::Folded, Self::InPlace, Self::RunOnly];
}

/// Ends a locked run. `None`: it has ended already. `tariff`: of its last call.
pub(crate) fn end(
    session: &mut dyn Session,
    run: i64,
    end: &End,
    keep: Keep,
    tariff: &Tariff,
) -> Result<Option<Run>> {
    let said = messages::of_run(session, run)?;
    let growing: Vec<&Message> = said
        .iter()
        .filter(|message| {
            message.role == Role::Assistant && message.status == MessageStatus::Streaming
        })
        .collect();
    let answered = estimate::stored(&growing);
    // What earlier steps cost that said nothing is counted at the next message, as the end of a step does.
    let before = if growing.is_empty() { Spent::NOTHING } else { uncounted(session, run)? };
    let last = responses::end_last(session, run, answered, &|model, usage| {
        tariff.spent(model.unwrap_or_default(), None, usage, None)
    })?;
    let cost = last + before;
    match keep {
        Keep::Folded => fold(session, &growing, cost)?,
        Keep::InPlace => messages::break_off(session, &growing, cost)?,
        Keep::RunOnly => {}
    }
    if keep != Keep::RunOnly {
        tool_calls::close_open(session, run)?;
    }
    let spent = responses::spent_on_run(session, run)?;
    runs::end(session, run, end, spent)
}

/// `cost` is that of the last one, as the end of a call counts it.
fn fold(session: &mut dyn Session, growing: &[&Message], cost: Spent) -> Result<()> {
    let last = growing.last().map(|message| message.id);
    for message in growing {
        let is_last = Some(message.id) == last;
        let settled = MessageBody {
            status: MessageStatus::Incomplete,
            content: message.content.clone(),
            model: message.model.clone(),
            usage: if is_last { cost.usage } else { message.usage },
            costs: if is_last { cost.costs } else { Costs::NOTHING },
            remote_id: message.remote_id.clone(),
            remote_state: message.remote_state,
            endpoint: None,
            protocol: None,
            part_count: message.part_count,
        };
        messages::settle(session, message.id, &settled)?;
    }
    deltas::fold(session, &growing.iter().map(|message| message.id).collect::<Vec<_>>())
}
