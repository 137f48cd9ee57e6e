//! Which run is next, and which ones somebody must look after.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::session::{Session, of, on};
use super::workers;
use crate::error::Result;
use crate::model::{Messageable, RunRow, RunStatus, utc_now};
use crate::schema::ai_engine_runs::dsl as runs;

/// Of the unended runs of its conversation the run is the first: earlier ones end before it begins, in every process.
/// Which runs are earlier is settled at submit, under the conversation's lock, and an ended run stays ended; so what a
/// statement sees as first is first.
pub(super) const FIRST_IN_LINE: &str = "NOT EXISTS (SELECT 1 FROM ai_engine_runs AS earlier \
     WHERE earlier.seq < ai_engine_runs.seq AND earlier.status IN ('queued', 'in_progress', 'requires_action') \
     AND (earlier.assistant_thread_id = ai_engine_runs.assistant_thread_id OR earlier.chat_id = ai_engine_runs.chat_id))";

/// Queued runs that nothing stands before: of one conversation, or of all.
pub(crate) fn first_in_line(
    session: &mut dyn Session,
    of: Option<Messageable>,
) -> Result<Vec<RunRow>> {
    Ok(on!(session, |conn| {
        let mut waiting = runs::ai_engine_runs
            .filter(runs::status.eq(RunStatus::Queued))
            .filter(runs::announced_at.is_null())
            .filter(sql::<Bool>(FIRST_IN_LINE))
            .order(runs::id)
            .select(RunRow::as_select())
            .into_boxed();
        if let Some(parent) = of {
            waiting = waiting.filter(of!(runs, parent));
        }
        waiting.load(conn)
    })?)
}

/// Queues a run again whose process died; whoever held it holds it no more.
pub(crate) fn queue_again(session: &mut dyn Session, id: i64) -> Result<Option<RunRow>> {
    let before = RunStatus::before(RunStatus::Queued);
    let open = runs::ai_engine_runs.find(id).filter(runs::status.eq_any(before));
    Ok(on!(session, |conn| diesel::update(open)
        .set((
            runs::status.eq(RunStatus::Queued),
            runs::lease_owner.eq(None::<String>),
            runs::fencing_token.eq(runs::fencing_token + 1),
            runs::started_at.eq(None::<chrono::NaiveDateTime>),
            runs::updated_at.eq(utc_now()),
        ))
        .returning(RunRow::as_returning())
        .get_result(conn)
        .optional())?)
}

/// The unended runs of a conversation, in order.
pub(crate) fn unended(
    session: &mut dyn Session,
    parent: Messageable,
) -> Result<Vec<(i64, RunStatus)>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(runs::status.eq_any(RunStatus::ACTIVE))
        .order(runs::seq)
        .select((runs::id, runs::status))
        .load(conn))?)
}

/// Runs of this worker that somebody asked to be cancelled.
pub(crate) fn cancel_requests(session: &mut dyn Session, worker: &str) -> Result<Vec<i64>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(runs::status.eq(RunStatus::InProgress))
        .filter(runs::announced_at.is_null())
        .filter(runs::cancel_requested_at.is_not_null())
        .filter(runs::lease_owner.eq(worker))
        .select(runs::id)
        .load(conn))?)
}

/// Runs nobody looks after: unfinished or unannounced, and their worker's lease ended.
///
/// The runs of `worker` itself count too: it knows which of them it still drives.
pub(crate) fn abandoned(
    session: &mut dyn Session,
    statuses: &[RunStatus],
    worker: &str,
) -> Result<Vec<RunRow>> {
    let alive: Vec<String> =
        workers::alive(session)?.into_iter().filter(|alive| alive != worker).collect();
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(runs::announced_at.is_null())
        .filter(runs::status.eq_any(statuses))
        .filter(runs::lease_owner.is_null().or(runs::lease_owner.ne_all(alive)))
        .order(runs::id)
        .select(RunRow::as_select())
        .load(conn))?)
}

/// The runs that somebody drives, or drove until it died.
pub(crate) fn in_progress(session: &mut dyn Session) -> Result<Vec<RunRow>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(runs::announced_at.is_null())
        .filter(runs::status.eq_any([RunStatus::InProgress, RunStatus::RequiresAction]))
        .select(RunRow::as_select())
        .load(conn))?)
}
