//! Remote calls of a run: where each went and what it cost.

use chrono::NaiveDate;
use diesel::prelude::*;

use super::session::{Session, on};
use super::update::update;
use crate::error::Result;
use crate::model::{
    Costs, RunStatus, Service, Spent, Usage, costs_columns, usage_columns, usage_set, utc_now,
};
use crate::schema::ai_engine_responses::dsl as responses;

/// What is read of a [`Spent`].
type Taken = (Usage, Costs, Option<NaiveDate>);

fn spent((usage, costs, priced_on): Taken) -> Spent {
    Spent { usage, costs, priced_on }
}

/// The columns of that.
macro_rules! spent_columns {
    () => {
        (usage_columns!(responses), costs_columns!(responses), responses::priced_on)
    };
}

/// What a statement sets them to.
macro_rules! spent_set {
    ($spent:expr) => {{
        let Spent { usage, costs, priced_on } = $spent;
        (
            usage_set!(responses, usage),
            responses::input_cost.eq(costs.input_cost),
            responses::output_cost.eq(costs.output_cost),
            responses::tool_cost.eq(costs.tool_cost),
            responses::priced_on.eq(priced_on),
        )
    }};
}

/// Notes a call before it is made: the model that it asks, and what it will have cost at least if nothing is heard of it again.
pub(crate) fn begin(
    session: &mut dyn Session,
    run: i64,
    model: &str,
    at: &Service,
    stored: bool,
    sent: Spent,
) -> Result<i64> {
    let row = (
        responses::run_id.eq(run),
        responses::model.eq(model),
        responses::endpoint.eq(&*at.endpoint),
        responses::protocol.eq(&*at.protocol),
        responses::stored.eq(stored),
        responses::status.eq(RunStatus::InProgress),
        responses::created_at.eq(utc_now()),
        spent_set!(sent),
    );
    Ok(on!(session, |conn| diesel::insert_into(responses::ai_engine_responses)
        .values(row)
        .returning(responses::id)
        .get_result(conn))?)
}

/// How a call ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedCall {
    pub(crate) id: i64,
    pub(crate) remote_id: Option<String>,
    pub(crate) sequence_number: Option<i64>,
    pub(crate) model: Option<String>,
    pub(crate) status: RunStatus,
    pub(crate) spent: Spent,
}

pub(crate) fn end(session: &mut dyn Session, call: &EndedCall) -> Result<()> {
    let change = (
        responses::remote_id.eq(&call.remote_id),
        responses::sequence_number.eq(call.sequence_number),
        // What was asked for is there.
        call.model.as_ref().map(|model| responses::model.eq(model)),
        responses::status.eq(call.status),
        spent_set!(call.spent),
        responses::finished_at.eq(utc_now()),
    );
    on!(session, |conn| update(responses::ai_engine_responses.find(call.id))
        .set(change)
        .execute(conn))?;
    Ok(())
}

/// What the calls of a run took that ended well and were not its last.
pub(crate) fn spent_on_steps_before(session: &mut dyn Session, run: i64) -> Result<Spent> {
    let newest_first: Vec<(RunStatus, Taken)> =
        on!(session, |conn| responses::ai_engine_responses
            .filter(responses::run_id.eq(run))
            .order(responses::id.desc())
            .select((responses::status, spent_columns!()))
            .load(conn))?;
    let before = newest_first.into_iter().skip(1);
    let whole = before.filter(|(status, _)| *status == RunStatus::Completed);
    Ok(whole.map(|(_, taken)| spent(taken)).sum())
}

/// What all calls of a run took together.
pub(crate) fn spent_on_run(session: &mut dyn Session, run: i64) -> Result<Spent> {
    let calls: Vec<Taken> = on!(session, |conn| responses::ai_engine_responses
        .filter(responses::run_id.eq(run))
        .select(spent_columns!())
        .load(conn))?;
    Ok(calls.into_iter().map(spent).sum())
}

/// What all calls of a run took but this one.
pub(crate) fn spent_beside(session: &mut dyn Session, run: i64, call: i64) -> Result<Spent> {
    let calls: Vec<Taken> = on!(session, |conn| responses::ai_engine_responses
        .filter(responses::run_id.eq(run))
        .filter(responses::id.ne(call))
        .select(spent_columns!())
        .load(conn))?;
    Ok(calls.into_iter().map(spent).sum())
}

/// Whether a call of a run was under way when its process died.
pub(crate) fn any_open(session: &mut dyn Session, run: i64) -> Result<bool> {
    let open = responses::ai_engine_responses
        .filter(responses::run_id.eq(run))
        .filter(responses::finished_at.is_null());
    Ok(on!(session, |conn| diesel::select(diesel::dsl::exists(open)).get_result(conn))?)
}

/// Ends the calls that a dead process left open, or that were made again. Each has cost what was noted when it was made.
pub(crate) fn end_open(session: &mut dyn Session, run: i64) -> Result<()> {
    let open = responses::ai_engine_responses
        .filter(responses::run_id.eq(run))
        .filter(responses::finished_at.is_null());
    on!(session, |conn| update(open)
        .set((responses::status.eq(RunStatus::Incomplete), responses::finished_at.eq(utc_now())))
        .execute(conn))?;
    Ok(())
}

/// The same where so many tokens of an answer were stored: it is that of the last call. Returns what that one took; `price` says it
/// of a call of this model.
pub(crate) fn end_last(
    session: &mut dyn Session,
    run: i64,
    answered: i64,
    price: &dyn Fn(Option<&str>, Usage) -> Spent,
) -> Result<Spent> {
    type Last = (i64, Option<chrono::NaiveDateTime>, Option<String>, Taken);
    let last: Option<Last> = on!(session, |conn| responses::ai_engine_responses
        .filter(responses::run_id.eq(run))
        .order(responses::id.desc())
        .select((responses::id, responses::finished_at, responses::model, spent_columns!()))
        .first(conn)
        .optional())?;
    let Some((id, finished_at, model, noted)) = last else { return Ok(Spent::NOTHING) };
    let noted = spent(noted);
    if finished_at.is_some() {
        end_open(session, run)?;
        return Ok(noted);
    }
    let all = price(model.as_deref(), Usage::estimate(noted.usage.input_tokens, answered));
    on!(session, |conn| update(responses::ai_engine_responses.find(id))
        .set(spent_set!(all))
        .execute(conn))?;
    end_open(session, run)?;
    Ok(all)
}

/// How far a call has come.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    pub(crate) id: i64,
    /// The provider's id, once it is known: so that the response can be deleted after a crash.
    pub(crate) remote_id: Option<String>,
    /// The place in the stream up to which the texts are stored. Those of a message's first words have no delta to hold it.
    pub(crate) position: Option<i64>,
    /// What it cost, of a call that is over and made again; `None`: what was noted when it was made.
    pub(crate) cost: Option<Spent>,
}

/// Notes how far a call has come, in the transaction that stores its texts.
pub(crate) fn reached(session: &mut dyn Session, call: &Reached) -> Result<()> {
    let known = call.remote_id.as_ref().map(|remote_id| responses::remote_id.eq(remote_id));
    let position = call.position.map(|position| responses::sequence_number.eq(position));
    let cost = call.cost.map(|cost| spent_set!(cost));
    if known.is_none() && position.is_none() && cost.is_none() {
        return Ok(());
    }
    on!(session, |conn| update(responses::ai_engine_responses.find(call.id))
        .set((known, position, cost))
        .execute(conn))?;
    Ok(())
}
