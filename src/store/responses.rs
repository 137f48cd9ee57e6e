//! Remote calls of a run: where each went and what it cost.

use diesel::prelude::*;

use super::session::{Session, on};
use super::update::update;
use crate::error::Result;
use crate::model::{RunStatus, Service, Usage, usage_columns, usage_set, utc_now};
use crate::schema::ai_engine_responses::dsl as responses;

/// Notes a call before it is made: the model that it asks, and what it will have cost at least if nothing is heard of it again.
pub(crate) fn begin(
    session: &mut dyn Session,
    run: i64,
    model: &str,
    at: &Service,
    stored: bool,
    sent: Usage,
) -> Result<i64> {
    let row = (
        responses::run_id.eq(run),
        responses::model.eq(model),
        responses::endpoint.eq(&*at.endpoint),
        responses::protocol.eq(&*at.protocol),
        responses::stored.eq(stored),
        responses::status.eq(RunStatus::InProgress),
        responses::created_at.eq(utc_now()),
        usage_set!(responses, sent),
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
    pub(crate) usage: Usage,
}

pub(crate) fn end(session: &mut dyn Session, call: &EndedCall) -> Result<()> {
    let change = (
        responses::remote_id.eq(&call.remote_id),
        responses::sequence_number.eq(call.sequence_number),
        // What was asked for is there.
        call.model.as_ref().map(|model| responses::model.eq(model)),
        responses::status.eq(call.status),
        usage_set!(responses, call.usage),
        responses::finished_at.eq(utc_now()),
    );
    on!(session, |conn| update(responses::ai_engine_responses.find(call.id))
        .set(change)
        .execute(conn))?;
    Ok(())
}

/// What all calls of a run cost together.
pub(crate) fn usage_of_run(session: &mut dyn Session, run: i64) -> Result<Usage> {
    let calls: Vec<Usage> = on!(session, |conn| responses::ai_engine_responses
        .filter(responses::run_id.eq(run))
        .select(usage_columns!(responses))
        .load(conn))?;
    Ok(calls.into_iter().fold(Usage::default(), |sum, one| sum + one))
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

/// The same where so many tokens of an answer were stored: it is that of the last call. Returns what that one cost.
pub(crate) fn end_last(session: &mut dyn Session, run: i64, answered: i64) -> Result<Usage> {
    type Last = (i64, Option<chrono::NaiveDateTime>, Usage);
    let last: Option<Last> = on!(session, |conn| responses::ai_engine_responses
        .filter(responses::run_id.eq(run))
        .order(responses::id.desc())
        .select((responses::id, responses::finished_at, usage_columns!(responses)))
        .first(conn)
        .optional())?;
    let Some((id, finished_at, noted)) = last else { return Ok(Usage::default()) };
    let cost = match finished_at {
        Some(_) => noted,
        None => Usage::estimate(noted.input_tokens, answered),
    };
    on!(session, |conn| update(responses::ai_engine_responses.find(id))
        .set(usage_set!(responses, cost))
        .execute(conn))?;
    end_open(session, run)?;
    Ok(cost)
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
    pub(crate) cost: Option<Usage>,
}

/// Notes how far a call has come, in the transaction that stores its texts.
pub(crate) fn reached(session: &mut dyn Session, call: &Reached) -> Result<()> {
    let known = call.remote_id.as_ref().map(|remote_id| responses::remote_id.eq(remote_id));
    let position = call.position.map(|position| responses::sequence_number.eq(position));
    let cost = call.cost.map(|cost| usage_set!(responses, cost));
    if known.is_none() && position.is_none() && cost.is_none() {
        return Ok(());
    }
    on!(session, |conn| update(responses::ai_engine_responses.find(call.id))
        .set((known, position, cost))
        .execute(conn))?;
    Ok(())
}
