//! Runs: submitted, claimed, settled. Every change of a claimed run goes through its fence.

use std::collections::HashMap;

use diesel::prelude::*;

use super::any_of::{any_of, status_of};
use super::first_row::First;
use super::news::{self, News};
use super::queue::FirstInLine;
use super::session::{Conn, Session, on};
use super::update::update;
use super::{clock, queue};
use crate::error::{Error, Result};
use crate::model::{
    Messageable, Reason, Recovery, Run, RunCosts, RunRow, RunStatus, Spent, StoredDefinition,
    Submission, usage_set, utc_now, without_nul,
};
use crate::schema::ai_engine_assistant_threads::dsl as threads;
use crate::schema::ai_engine_chats::dsl as chats;
use crate::schema::ai_engine_runs::dsl as runs;

/// A run to queue.
#[derive(Debug)]
pub(crate) struct NewRun {
    pub(crate) parent: Messageable,
    pub(crate) assistant_id: Option<i64>,
    pub(crate) assistant_name: Option<String>,
    pub(crate) model: String,
    pub(crate) provider: Option<String>,
    pub(crate) definition: StoredDefinition,
    pub(crate) seq: i64,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) submission: Submission,
}

pub(crate) fn insert(session: &mut dyn Session, new: &NewRun) -> Result<Run> {
    let now = utc_now();
    let row = (
        runs::assistant_thread_id.eq(new.parent.thread_id()),
        runs::chat_id.eq(new.parent.chat_id()),
        runs::assistant_id.eq(new.assistant_id),
        runs::assistant_name.eq(&new.assistant_name),
        runs::model.eq(&new.model),
        runs::provider.eq(&new.provider),
        runs::definition.eq(&new.definition),
        runs::seq.eq(new.seq),
        runs::status.eq(RunStatus::Queued),
        runs::idempotency_key.eq(&new.idempotency_key),
        runs::recovery.eq(new.recovery),
        runs::submission.eq(new.submission.stored()?),
        runs::created_at.eq(now),
        runs::updated_at.eq(now),
    );
    let inserted: RunRow = on!(session, |conn| diesel::insert_into(runs::ai_engine_runs)
        .values(row)
        .returning(RunRow::as_returning())
        .get_result(conn))?;
    Ok(inserted.into())
}

pub(crate) fn find(session: &mut dyn Session, id: i64) -> Result<Option<RunRow>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .find(id)
        .select(RunRow::as_select())
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// The run, and the type and id of whoever owns its thread or chat.
pub(crate) fn find_with_owner(
    session: &mut dyn Session,
    id: i64,
) -> Result<Option<(RunRow, (String, String))>> {
    type Owner = Option<(String, String)>;
    let of_thread = (threads::threadable_type, threads::threadable_id).nullable();
    let of_chat = (chats::chattable_type, chats::chattable_id).nullable();
    let found: Option<(RunRow, Owner, Owner)> = on!(session, |conn| runs::ai_engine_runs
        .left_join(threads::ai_engine_assistant_threads)
        .left_join(chats::ai_engine_chats)
        .filter(runs::id.eq(id))
        .select((RunRow::as_select(), of_thread, of_chat))
        .first_row()
        .get_result(conn)
        .optional())?;
    Ok(found.and_then(|(row, thread, chat)| Some((row, thread.or(chat)?))))
}

/// The run with this id, if it is on a thread or chat of this owner.
pub(crate) fn find_of(
    session: &mut dyn Session,
    owner_type: &str,
    owner_id: &str,
    id: i64,
) -> Result<Run> {
    without_nul("owner id", owner_id)?;
    let of_thread =
        || threads::threadable_type.eq(owner_type).and(threads::threadable_id.eq(owner_id));
    let of_chat = || chats::chattable_type.eq(owner_type).and(chats::chattable_id.eq(owner_id));
    let found: Option<RunRow> = on!(session, |conn| runs::ai_engine_runs
        .left_join(threads::ai_engine_assistant_threads)
        .left_join(chats::ai_engine_chats)
        .filter(runs::id.eq(id))
        .filter(of_thread().nullable().or(of_chat().nullable()))
        .select(RunRow::as_select())
        .first_row()
        .get_result(conn)
        .optional())?;
    found.map(Run::from).ok_or_else(|| Error::not_found("run", id))
}

/// A row that was asked for, without waiting for whoever has it locked.
#[derive(Debug)]
pub(crate) enum Locking<T> {
    /// It is ours until this transaction ends.
    Got(T),
    /// Somebody else, such as a transaction of the host, has it locked.
    Locked,
    /// There is none, or not in the state asked for.
    Nothing,
}

/// Locks a run, unless somebody else has it locked: whoever works for many runs must not wait for one of them.
pub(crate) fn try_lock(session: &mut dyn Session, id: i64) -> Result<Locking<RunRow>> {
    if is_locked_elsewhere(session, id)? {
        return Ok(Locking::Locked);
    }
    Ok(find(session, id)?.map_or(Locking::Nothing, Locking::Got))
}

/// Locks the row of a run, if there is one. `true`: it could not be had without waiting.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, clippy::unnecessary_wraps, reason = "no row locks on SQLite")
)]
fn is_locked_elsewhere(session: &mut dyn Session, id: i64) -> Result<bool> {
    match session.conn() {
        // Writers are alone on SQLite.
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(_) => Ok(false),
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => {
            let row = || runs::ai_engine_runs.find(id).select(runs::id);
            let locked = row().for_no_key_update().skip_locked().first::<i64>(conn).optional()?;
            Ok(locked.is_none() && row().first::<i64>(conn).optional()?.is_some())
        }
    }
}

/// Takes a queued run for `worker`: status, lease and a new fencing token. `Nothing`: somebody else did, an earlier run
/// has not ended, it was cancelled, or it was deleted. Taking it again is allowed: the first time may have been committed
/// without our knowing.
pub(crate) fn claim(session: &mut dyn Session, id: i64, worker: &str) -> Result<Locking<RunRow>> {
    if is_locked_elsewhere(session, id)? {
        return Ok(Locking::Locked);
    }
    let ours = runs::status.eq(RunStatus::InProgress).and(runs::lease_owner.eq(worker));
    let claimable = runs::ai_engine_runs
        .find(id)
        .filter(runs::status.eq(RunStatus::Queued).or(ours))
        .filter(FirstInLine);
    let now = utc_now();
    let claimed = on!(session, |conn| update(claimable)
        .set((
            runs::status.eq(RunStatus::InProgress),
            runs::lease_owner.eq(worker),
            runs::fencing_token.eq(runs::fencing_token + 1),
            runs::started_at.eq(now),
            runs::updated_at.eq(now),
        ))
        .returning(RunRow::as_returning())
        .get_result(conn)
        .optional())?;
    if let Some(row) = &claimed {
        news::tell_of_run(session, row)?;
    }
    Ok(claimed.map_or(Locking::Nothing, Locking::Got))
}

/// Takes it upon `worker` to deliver the last hooks of an ended run. `Nothing`: they were delivered, or somebody else, whose
/// lease has not ended, does it.
pub(crate) fn claim_announcement(
    session: &mut dyn Session,
    id: i64,
    worker: &str,
) -> Result<Locking<RunRow>> {
    let row = match try_lock(session, id)? {
        Locking::Got(row) => row,
        other => return Ok(other),
    };
    if !row.status.is_terminal() || !queue::is_abandoned(session, &row, worker)? {
        return Ok(Locking::Nothing);
    }
    let unannounced = runs::ai_engine_runs.find(id).filter(runs::announced_at.is_null());
    let claimed = on!(session, |conn| update(unannounced)
        .set((runs::lease_owner.eq(worker), runs::updated_at.eq(utc_now())))
        .returning(RunRow::as_returning())
        .get_result(conn)
        .optional())?;
    Ok(claimed.map_or(Locking::Nothing, Locking::Got))
}

/// Who claimed a run, and the token of that claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) run_id: i64,
    pub(crate) token: i64,
}

/// What a claim is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    /// The run is ours until this transaction ends.
    Held {
        /// Somebody asked for the run to be cancelled.
        cancel: bool,
    },
    /// The run ended or was taken by another process.
    Lost,
    /// The run was deleted.
    Gone,
    /// Somebody else has the row locked.
    Locked,
}

/// Locks the rows of these claims until the transaction ends and says what each is worth. It waits for no lock.
///
/// Testing with EXISTS would not fence on PostgreSQL: the row could change between test and commit.
pub(crate) fn fence(session: &mut dyn Session, claims: &[Claim]) -> Result<Vec<Fence>> {
    type Row = (i64, (i64, RunStatus, Option<i64>));
    let mut rows: HashMap<i64, (i64, RunStatus, Option<i64>)> =
        HashMap::with_capacity(claims.len());
    for chunk in claims.chunks(1000) {
        let ids: Vec<i64> = chunk.iter().map(|claim| claim.run_id).collect();
        let select = runs::ai_engine_runs
            .filter(any_of(runs::id, &ids))
            .order(runs::id)
            .select((runs::id, (runs::fencing_token, runs::status, runs::cancel_requested_at)));
        rows.extend(match session.conn() {
            // Writers are alone on SQLite.
            #[cfg(feature = "sqlite")]
            Conn::Sqlite(conn) => select.load::<Row>(conn)?,
            #[cfg(feature = "postgres")]
            Conn::Pg(conn) => select.for_no_key_update().skip_locked().load::<Row>(conn)?,
        });
    }
    let missing: Vec<i64> =
        claims.iter().map(|claim| claim.run_id).filter(|id| !rows.contains_key(id)).collect();
    let there: Vec<i64> = if missing.is_empty() {
        Vec::new()
    } else {
        on!(session, |conn| runs::ai_engine_runs
            .filter(any_of(runs::id, &missing))
            .select(runs::id)
            .load(conn))?
    };
    let worth = |claim: &Claim| match rows.get(&claim.run_id) {
        Some((token, RunStatus::InProgress, cancel)) if *token == claim.token => {
            Fence::Held { cancel: cancel.is_some() }
        }
        Some(_) => Fence::Lost,
        None if there.contains(&claim.run_id) => Fence::Locked,
        None => Fence::Gone,
    };
    Ok(claims.iter().map(worth).collect())
}

/// One more call, of this provider's model.
pub(crate) fn count_attempt(
    session: &mut dyn Session,
    id: i64,
    provider: &str,
    model: &str,
) -> Result<()> {
    on!(session, |conn| update(runs::ai_engine_runs.find(id))
        .set((
            runs::attempts.eq(runs::attempts + 1),
            runs::provider.eq(provider),
            runs::model.eq(model),
            runs::updated_at.eq(utc_now()),
        ))
        .execute(conn))?;
    Ok(())
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) status: RunStatus,
    pub(crate) reason: Option<Reason>,
    pub(crate) provider_reason: Option<String>,
    pub(crate) error: Option<String>,
    /// Words for what was out of the ordinary.
    pub(crate) notes: Vec<&'static str>,
    /// Requests beyond those that were counted when they were noted.
    pub(crate) further_attempts: i64,
}

impl End {
    pub(crate) fn new(status: RunStatus, reason: Option<Reason>, error: Option<String>) -> Self {
        Self {
            status,
            reason,
            provider_reason: None,
            error,
            notes: Vec::new(),
            further_attempts: 0,
        }
    }

    /// The database refuses what was to be stored of the run.
    pub(crate) fn failed_in_the_database(refusal: String) -> Self {
        Self::new(RunStatus::Failed, Some(Reason::Database), Some(refusal))
    }
}

/// The one statement that ends a run. `None`: it may not end this way any more.
pub(crate) fn end(
    session: &mut dyn Session,
    id: i64,
    end: &End,
    spent: Spent,
) -> Result<Option<Run>> {
    let now = utc_now();
    let notes = (!end.notes.is_empty()).then(|| serde_json::json!(end.notes).to_string());
    let open = runs::ai_engine_runs.find(id).filter(status_of(&RunStatus::before(end.status)));
    let ended: Option<RunRow> = on!(session, |conn| update(open)
        .set((
            runs::status.eq(end.status),
            runs::reason.eq(end.reason.as_deref()),
            runs::provider_reason.eq(&end.provider_reason),
            runs::notes.eq(notes),
            runs::attempts.eq(runs::attempts + end.further_attempts),
            runs::error.eq(&end.error),
            usage_set!(runs, spent.usage),
            RunCosts { costs: spent.costs, priced_on: spent.priced_on },
            runs::finished_at.eq(now),
            runs::updated_at.eq(now),
        ))
        .returning(RunRow::as_returning())
        .get_result(conn)
        .optional())?;
    if let Some(row) = &ended {
        news::tell_of_run(session, row)?;
    }
    Ok(ended.map(Run::from))
}

/// Asks whoever drives the run to stop.
pub(crate) fn request_cancel(session: &mut dyn Session, id: i64) -> Result<()> {
    let now = clock::now_ms(session)?;
    let active = runs::ai_engine_runs.find(id).filter(status_of(&RunStatus::ACTIVE));
    on!(session, |conn| update(active).set(runs::cancel_requested_at.eq(now)).execute(conn))?;
    news::tell(session, &[News::Cancel(id)])
}

/// The last hooks of a run were delivered.
pub(crate) fn announced(session: &mut dyn Session, id: i64) -> Result<()> {
    let now = clock::now_ms(session)?;
    on!(session, |conn| update(runs::ai_engine_runs.find(id))
        .set(runs::announced_at.eq(now))
        .execute(conn))?;
    Ok(())
}

/// Locks a run and returns it as it is now.
pub(crate) fn lock(session: &mut dyn Session, id: i64) -> Result<Option<RunRow>> {
    Ok(on!(session, |conn| update(runs::ai_engine_runs.find(id))
        .set(runs::updated_at.eq(utc_now()))
        .returning(RunRow::as_returning())
        .get_result(conn)
        .optional())?)
}

pub(crate) fn require(session: &mut dyn Session, id: i64) -> Result<Run> {
    find(session, id)?.map(Run::from).ok_or_else(|| Error::not_found("run", id))
}
