//! Calls of tools: noted when the model asks for them, changed only in ways that their status allows.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::any_of::any_of;
use super::constant::constant;
use super::first_row::First;
use super::items::{self, NewItem};
use super::session::{Session, of, on};
use super::update::update;
use super::{clock, news, queue};
use crate::error::{Error, Result};
use crate::model::{
    Messageable, RemoteState, Repeatable, RunRow, RunStatus, Service, ToolCall, ToolCallStatus,
    utc_now, without_nul,
};
use crate::schema::ai_engine_assistant_threads::dsl as threads;
use crate::schema::ai_engine_chats::dsl as chats;
use crate::schema::ai_engine_runs::dsl as runs;
use crate::schema::ai_engine_tool_calls::dsl as calls;

constant! {
    /// Whether a run called for tools, beside its row.
    pub(super) CalledForTools: Bool = "EXISTS (SELECT 1 FROM ai_engine_tool_calls AS called WHERE called.run_id = ai_engine_runs.id)"
}

/// A call that the model asked for.
#[derive(Debug, Clone)]
pub(crate) struct NewToolCall {
    pub(crate) position: i64,
    pub(crate) output_position: i64,
    pub(crate) call_id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) repeatable: Repeatable,
    pub(crate) idempotency_key: String,
}

/// `step`: which answer of the model in its run it is of, from 1.
pub(crate) fn insert(
    session: &mut dyn Session,
    run: i64,
    step: i64,
    new: &NewToolCall,
) -> Result<ToolCall> {
    let row = (
        calls::run_id.eq(run),
        calls::step.eq(step),
        calls::position.eq(new.position),
        calls::output_position.eq(new.output_position),
        calls::call_id.eq(&new.call_id),
        calls::kind.eq(&new.kind),
        calls::name.eq(&new.name),
        calls::arguments.eq(&new.arguments),
        calls::status.eq(ToolCallStatus::Pending),
        calls::repeatable.eq(new.repeatable),
        calls::idempotency_key.eq(&new.idempotency_key),
        calls::created_at.eq(utc_now()),
    );
    Ok(on!(session, |conn| diesel::insert_into(calls::ai_engine_tool_calls)
        .values(row)
        .returning(ToolCall::as_returning())
        .get_result(conn))?)
}

/// All of a run, in the order in which the model asked for them.
pub(crate) fn of_run(session: &mut dyn Session, run: i64) -> Result<Vec<ToolCall>> {
    of_runs(session, &[run])
}

pub(crate) fn of_runs(session: &mut dyn Session, of: &[i64]) -> Result<Vec<ToolCall>> {
    Ok(on!(session, |conn| calls::ai_engine_tool_calls
        .filter(any_of(calls::run_id, of))
        .order((calls::run_id, calls::position))
        .select(ToolCall::as_select())
        .load(conn))?)
}

/// The last step of a run in which there were any; 0: there was none.
pub(crate) fn last_step(session: &mut dyn Session, run: i64) -> Result<i64> {
    let last: Option<i64> = on!(session, |conn| calls::ai_engine_tool_calls
        .filter(calls::run_id.eq(run))
        .select(diesel::dsl::max(calls::step))
        .get_result(conn))?;
    Ok(last.unwrap_or_default())
}

/// Those of a run of which the model has not been told anything yet.
pub(crate) fn open_of_run(session: &mut dyn Session, run: i64) -> Result<Vec<ToolCall>> {
    Ok(on!(session, |conn| calls::ai_engine_tool_calls
        .filter(calls::run_id.eq(run))
        .filter(calls::finished_at.is_null())
        .order(calls::position)
        .select(ToolCall::as_select())
        .load(conn))?)
}

pub(crate) fn require(session: &mut dyn Session, id: i64) -> Result<ToolCall> {
    find(session, id)?.ok_or_else(|| Error::not_found("tool call", id))
}

pub(crate) fn find(session: &mut dyn Session, id: i64) -> Result<Option<ToolCall>> {
    Ok(on!(session, |conn| calls::ai_engine_tool_calls
        .find(id)
        .select(ToolCall::as_select())
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// What changes when a call moves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Move {
    /// What the model is told of it.
    pub(crate) output: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) changed_arguments: Option<String>,
    pub(crate) decided_by: Option<String>,
    /// Of one that waits from now on; `None`: for ever.
    pub(crate) decide_until: Option<i64>,
    /// What the tool says of itself.
    pub(crate) repeatable: Option<Repeatable>,
    /// Somebody decided.
    pub(crate) decides: bool,
}

/// Until when a call that waits from now on can be decided on.
pub(crate) fn decide_until(
    session: &mut dyn Session,
    expiry: Option<Duration>,
) -> Result<Option<i64>> {
    let Some(expiry) = expiry else { return Ok(None) };
    let expiry = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
    Ok(Some(clock::now_ms(session)?.saturating_add(expiry)))
}

/// Moves a call to another status. `None`: it may not become that, or is not there any more.
pub(crate) fn become_(
    session: &mut dyn Session,
    id: i64,
    next: ToolCallStatus,
    with: &Move,
) -> Result<Option<ToolCall>> {
    let now = utc_now();
    let before: Vec<&str> =
        ToolCallStatus::before(next).into_iter().map(ToolCallStatus::as_str).collect();
    let open = calls::ai_engine_tool_calls.find(id).filter(calls::status.eq_any(before));
    let begins = next == ToolCallStatus::Running;
    let change = (
        calls::status.eq(next),
        calls::version.eq(calls::version + 1),
        with.output.as_ref().map(|output| calls::output.eq(output)),
        with.error.as_ref().map(|error| calls::error.eq(error)),
        with.changed_arguments.as_ref().map(|changed| calls::changed_arguments.eq(changed)),
        with.decided_by.as_ref().map(|who| calls::decided_by.eq(who)),
        // Each wait has a time of its own.
        (!next.is_terminal()).then(|| calls::decide_until.eq(with.decide_until)),
        with.repeatable.map(|repeatable| calls::repeatable.eq(repeatable)),
        calls::attempts.eq(calls::attempts + i64::from(begins)),
        begins.then(|| calls::started_at.eq(now)),
        with.decides.then(|| calls::decided_at.eq(now)),
        next.is_terminal().then(|| calls::finished_at.eq(now)),
    );
    Ok(on!(session, |conn| update(open)
        .set(change)
        .returning(ToolCall::as_returning())
        .get_result(conn)
        .optional())?)
}

/// Ends a call, and stores what tells the provider its output.
pub(crate) fn end(
    session: &mut dyn Session,
    id: i64,
    status: ToolCallStatus,
    with: &Move,
) -> Result<Option<ToolCall>> {
    debug_assert!(status.is_terminal(), "{status} is no end");
    let Some(ended) = become_(session, id, status, with)? else { return Ok(None) };
    let item = ended.output_item();
    let new = NewItem {
        position: ended.output_position,
        kind: item.type_name().to_owned(),
        call_id: Some(ended.call_id.clone()),
        phase: None,
        item: item.into_value(),
        remote_id: None,
        remote_state: RemoteState::Absent,
    };
    items::insert(session, ended.run_id, &new, &Service::default())?;
    Ok(Some(ended))
}

/// Ends what is open of a run that ends, so that the next turn can go on. Returns what it ended.
pub(crate) fn close_open(session: &mut dyn Session, run: i64) -> Result<Vec<ToolCall>> {
    let mut closed = Vec::new();
    for open in open_of_run(session, run)? {
        let told = Move { output: Some(open.broken_off().to_owned()), ..Move::default() };
        let status = match open.status {
            // It was under way.
            ToolCallStatus::Running => ToolCallStatus::Unknown,
            _ => ToolCallStatus::Cancelled,
        };
        closed.extend(end(session, open.id, status, &told)?);
    }
    Ok(closed)
}

/// Those that wait for somebody.
macro_rules! waiting {
    () => {
        calls::ai_engine_tool_calls
            .inner_join(runs::ai_engine_runs)
            .filter(calls::finished_at.is_null())
            .filter(calls::status.eq_any(ToolCallStatus::WAITING.map(ToolCallStatus::as_str)))
            .filter(runs::finished_at.is_null())
            .order(calls::id)
            .select(ToolCall::as_select())
    };
}

pub(crate) fn waiting(session: &mut dyn Session) -> Result<Vec<ToolCall>> {
    Ok(on!(session, |conn| waiting!().load(conn))?)
}

pub(crate) fn waiting_of(session: &mut dyn Session, of: Messageable) -> Result<Vec<ToolCall>> {
    Ok(on!(session, |conn| waiting!().filter(of!(runs, of)).load(conn))?)
}

/// Those of all threads and chats of an owner.
pub(crate) fn waiting_of_owner(
    session: &mut dyn Session,
    owner_type: &str,
    owner_id: &str,
) -> Result<Vec<ToolCall>> {
    without_nul("owner id", owner_id)?;
    let of_threads = || {
        threads::ai_engine_assistant_threads
            .filter(threads::threadable_type.eq(owner_type))
            .filter(threads::threadable_id.eq(owner_id))
            .select(threads::id.nullable())
    };
    let of_chats = || {
        chats::ai_engine_chats
            .filter(chats::chattable_type.eq(owner_type))
            .filter(chats::chattable_id.eq(owner_id))
            .select(chats::id.nullable())
    };
    Ok(on!(session, |conn| waiting!()
        .filter(runs::assistant_thread_id.eq_any(of_threads()).or(runs::chat_id.eq_any(of_chats())))
        .load(conn))?)
}

/// Has a run that waits go on, if there is nothing more to decide. Returns where it is then.
pub(crate) fn go_on(session: &mut dyn Session, run: &RunRow) -> Result<Option<Messageable>> {
    news::tell_of_run(session, run)?;
    if run.status != RunStatus::RequiresAction {
        return Ok(None);
    }
    let open = open_of_run(session, run.id)?;
    if open.iter().any(|call| ToolCallStatus::WAITING.contains(&call.status)) {
        return Ok(None);
    }
    let of = Messageable::of(run.assistant_thread_id, run.chat_id);
    Ok(queue::queue_again(session, run)?.map(|_| of))
}

/// Those on which somebody should have decided by now.
macro_rules! overdue {
    ($session:expr) => {{
        let now = clock::now_ms($session)?;
        calls::ai_engine_tool_calls
            .inner_join(runs::ai_engine_runs)
            .filter(calls::finished_at.is_null())
            .filter(calls::status.eq_any(ToolCallStatus::WAITING.map(ToolCallStatus::as_str)))
            .filter(calls::decide_until.lt(now))
            .filter(runs::finished_at.is_null())
    }};
}

/// The runs of some that are overdue; what is more is found by the next look.
pub(crate) fn overdue(session: &mut dyn Session) -> Result<Vec<i64>> {
    let overdue = overdue!(session).select(calls::run_id).distinct().limit(queue::PAGE);
    Ok(on!(session, |conn| overdue.load(conn))?)
}

/// Runs of these providers that wait for an output of the host's by these names; what is more is found by the next look.
pub(crate) fn awaiting_output_of(
    session: &mut dyn Session,
    names: &[&str],
    providers: &[String],
) -> Result<Vec<i64>> {
    Ok(on!(session, |conn| calls::ai_engine_tool_calls
        .inner_join(runs::ai_engine_runs)
        .filter(calls::finished_at.is_null())
        .filter(calls::status.eq(ToolCallStatus::AwaitingOutput))
        .filter(calls::name.eq_any(names))
        // Whoever drives one still looks at its calls.
        .filter(runs::status.eq(RunStatus::RequiresAction))
        // What is not for this process must not hide what is.
        .filter(runs::provider.is_null().or(runs::provider.eq_any(providers).assume_not_null()))
        .select(calls::run_id)
        .distinct()
        .order(calls::run_id)
        .limit(queue::PAGE)
        .load(conn))?)
}

pub(crate) fn overdue_of_run(session: &mut dyn Session, run: i64) -> Result<Vec<ToolCall>> {
    let overdue = overdue!(session).filter(calls::run_id.eq(run)).order(calls::position);
    Ok(on!(session, |conn| overdue.select(ToolCall::as_select()).load(conn))?)
}
