//! Which run is next, and which ones somebody must look after.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::any_of::status_of;
use super::constant::constant;
use super::first_row::First;
use super::news::{self, News};
use super::owed;
use super::session::{Session, of, on};
use super::update::update;
use super::workers;
use crate::error::Result;
use crate::model::{Messageable, Run, RunRow, RunStatus, utc_now};
use crate::schema::ai_engine_assistant_threads::dsl as threads;
use crate::schema::ai_engine_chats::dsl as chats;
use crate::schema::ai_engine_runs::dsl as runs;

constant! {
    /// Of the unended runs of its conversation the run is the first: earlier ones end before it begins, in every process.
    /// Which runs are earlier is settled at submit, under the conversation's lock, and an ended run stays ended; so what a
    /// statement sees as first is first.
    pub(super) FirstInLine: Bool = "NOT EXISTS (SELECT 1 FROM ai_engine_runs AS earlier \
        WHERE earlier.seq < ai_engine_runs.seq AND earlier.status IN ('queued', 'in_progress', 'requires_action') \
        AND (earlier.assistant_thread_id = ai_engine_runs.assistant_thread_id OR earlier.chat_id = ai_engine_runs.chat_id))"
}

/// The run of a conversation that stands first of those that have not ended.
pub(crate) fn first_unended(
    session: &mut dyn Session,
    of: Messageable,
) -> Result<Option<(i64, RunStatus)>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, of))
        .filter(status_of(&RunStatus::ACTIVE))
        .order(runs::seq)
        .select((runs::id, runs::status))
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// A run, told from its columns that every version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) of: Messageable,
}

/// Rows of a statement that looks for work: what is more is found by the next one.
pub(crate) const PAGE: i64 = 100;

/// The unannounced runs that a condition holds for, a page of them behind the run `after`: of owners of these types, or of
/// all. Only columns that every version can read: one strange row must not hide the others.
macro_rules! find {
    ($session:expr, $kinds:expr, $after:expr, $limit:expr, $condition:expr) => {{
        let kinds: Option<&[&str]> = $kinds;
        let rows: Vec<(i64, Option<i64>, Option<i64>)> = on!($session, |conn| {
            let mut found = runs::ai_engine_runs
                .left_join(threads::ai_engine_assistant_threads)
                .left_join(chats::ai_engine_chats)
                .filter(runs::announced_at.is_null())
                .filter(runs::id.gt($after))
                .filter($condition)
                .order(runs::id)
                .limit($limit)
                .select((runs::id, runs::assistant_thread_id, runs::chat_id))
                .into_boxed();
            if let Some(kinds) = kinds {
                let of_thread = threads::threadable_type.nullable().eq_any(kinds);
                found = found.filter(of_thread.or(chats::chattable_type.nullable().eq_any(kinds)));
            }
            found.load(conn)
        })?;
        rows.into_iter()
            .map(|(id, thread, chat)| Found { id, of: Messageable::of(thread, chat) })
            .collect()
    }};
}

/// Queued runs that nothing stands before: of owners of these types, and that ask one of these providers, or the default one.
pub(crate) fn waiting(
    session: &mut dyn Session,
    (kinds, providers): (&[&str], &[String]),
    after: i64,
    limit: i64,
) -> Result<Vec<Found>> {
    let waiting = || {
        let known = runs::provider.is_null().or(runs::provider.eq_any(providers));
        // Never NULL, as the condition of a page is not.
        runs::status.eq(RunStatus::Queued).and(FirstInLine).and(known.assume_not_null())
    };
    Ok(find!(session, Some(kinds), after, limit, waiting()))
}

/// Queues a run again that waited, or whose process died; whoever held it holds it no more. It asks whom it asked first.
pub(crate) fn queue_again(session: &mut dyn Session, row: &RunRow) -> Result<Option<RunRow>> {
    let before = RunStatus::before(RunStatus::Queued);
    let open = runs::ai_engine_runs.find(row.id).filter(status_of(&before));
    // One that waited is still owned by who owes its hooks something. Before its first call there was nothing to hear of.
    let owner =
        (row.status == RunStatus::InProgress).then(|| (row.attempts > 0).then_some(owed::UNHEARD));
    let submission = row.submission.as_ref();
    let provider = submission.and_then(|known| known.provider.as_ref());
    let model = submission.and_then(|known| known.model.as_ref());
    let queued: Option<RunRow> = on!(session, |conn| update(open)
        .set((
            runs::status.eq(RunStatus::Queued),
            owner.map(|owner| runs::lease_owner.eq(owner)),
            runs::fencing_token.eq(runs::fencing_token + 1),
            runs::started_at.eq(None::<chrono::NaiveDateTime>),
            runs::provider.eq(provider),
            model.map(|model| runs::model.eq(model)),
            runs::updated_at.eq(utc_now()),
        ))
        .returning(RunRow::as_returning())
        .get_result(conn)
        .optional())?;
    if let Some(row) = &queued {
        news::tell_of_run(session, row)?;
        // Wherever it is to be driven.
        news::tell(session, &[News::Waiting])?;
    }
    Ok(queued)
}

/// Leaves a run to nobody until somebody has decided. `None`: it may not wait any more. `died`: the process that had it, so that nobody
/// knows what its hooks heard; else that process still owes them something.
pub(crate) fn wait_for_action(
    session: &mut dyn Session,
    id: i64,
    died: bool,
) -> Result<Option<Run>> {
    let before = RunStatus::before(RunStatus::RequiresAction);
    let open = runs::ai_engine_runs.find(id).filter(status_of(&before));
    let waits: Option<RunRow> = on!(session, |conn| update(open)
        .set((
            runs::status.eq(RunStatus::RequiresAction),
            died.then(|| runs::lease_owner.eq(owed::UNHEARD)),
            runs::fencing_token.eq(runs::fencing_token + 1),
            runs::updated_at.eq(utc_now()),
        ))
        .returning(RunRow::as_returning())
        .get_result(conn)
        .optional())?;
    if let Some(row) = &waits {
        news::tell_of_run(session, row)?;
    }
    Ok(waits.map(Run::from))
}

/// The unended runs of a conversation, in order.
pub(crate) fn unended(
    session: &mut dyn Session,
    parent: Messageable,
) -> Result<Vec<(i64, RunStatus)>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(status_of(&RunStatus::ACTIVE))
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

/// Runs that nobody looks after: their worker's lease has ended, and they have not, or their last hooks were not
/// delivered.
///
/// The runs of `worker` itself count too: it knows which of them it still drives.
pub(crate) fn abandoned(
    session: &mut dyn Session,
    kinds: Option<&[&str]>,
    statuses: &[RunStatus],
    worker: &str,
    after: i64,
) -> Result<Vec<Found>> {
    let alive: Vec<String> =
        workers::alive(session)?.into_iter().filter(|alive| alive != worker).collect();
    let left = || runs::lease_owner.is_null().or(runs::lease_owner.ne_all(&alive));
    Ok(find!(session, kinds, after, PAGE, status_of(statuses).and(left())))
}

/// Whether the lease of whoever drives or announces the run has ended. That of `worker` counts as ended: it knows which of
/// its runs it still drives.
pub(crate) fn is_abandoned(session: &mut dyn Session, run: &RunRow, worker: &str) -> Result<bool> {
    match run.lease_owner.as_deref() {
        Some(owner) if owner != worker => Ok(!workers::is_alive(session, owner)?),
        _ => Ok(true),
    }
}

/// Whether anybody drives a run, or drove one until it died.
pub(crate) fn any_in_progress(session: &mut dyn Session, others_than: &str) -> Result<bool> {
    let in_progress = runs::ai_engine_runs
        .filter(runs::announced_at.is_null())
        .filter(runs::status.eq(RunStatus::InProgress))
        .filter(runs::lease_owner.ne(others_than));
    Ok(on!(session, |conn| diesel::select(diesel::dsl::exists(in_progress)).get_result(conn))?)
}
