//! Leases: one row per process, extended by its heartbeat.

use std::time::Duration;

use diesel::prelude::*;

use super::clock::now_ms;
use super::session::{Session, on};
use super::update::update;
use crate::error::Result;
use crate::schema::ai_engine_workers::dsl as workers;

/// Extends the lease of `worker` to `lease` from now.
pub(crate) fn beat(session: &mut dyn Session, worker: &str, lease: Duration) -> Result<()> {
    let now = now_ms(session)?;
    let ends = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
    // Nearly always it is there: an upsert, which is prepared anew each time, is for the first one alone.
    let extended = on!(session, |conn| update(workers::ai_engine_workers.find(worker))
        .set(workers::lease_ends_at.eq(ends))
        .execute(conn))?;
    if extended > 0 {
        return Ok(());
    }
    let row =
        (workers::id.eq(worker), workers::started_at.eq(now), workers::lease_ends_at.eq(ends));
    on!(session, |conn| diesel::insert_into(workers::ai_engine_workers)
        .values(row)
        .on_conflict(workers::id)
        .do_update()
        .set(workers::lease_ends_at.eq(ends))
        .execute(conn))?;
    Ok(())
}

/// Ends the lease of `worker`: others may take its runs at once.
pub(crate) fn release(session: &mut dyn Session, worker: &str) -> Result<()> {
    on!(session, |conn| diesel::delete(workers::ai_engine_workers.find(worker)).execute(conn))?;
    Ok(())
}

/// The workers whose lease has not ended.
pub(crate) fn alive(session: &mut dyn Session) -> Result<Vec<String>> {
    let now = now_ms(session)?;
    Ok(on!(session, |conn| workers::ai_engine_workers
        .filter(workers::lease_ends_at.gt(now))
        .select(workers::id)
        .load(conn))?)
}

/// Whether this worker's lease has not ended.
pub(crate) fn is_alive(session: &mut dyn Session, worker: &str) -> Result<bool> {
    let now = now_ms(session)?;
    let alive = workers::ai_engine_workers.find(worker).filter(workers::lease_ends_at.gt(now));
    Ok(on!(session, |conn| diesel::select(diesel::dsl::exists(alive)).get_result(conn))?)
}

/// Forgets workers that ended long ago; their runs have been recovered or belong to nobody.
pub(crate) fn forget_ended(session: &mut dyn Session) -> Result<()> {
    const A_DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let long_ago = now_ms(session)?.saturating_sub(A_DAY_MS);
    on!(session, |conn| diesel::delete(
        workers::ai_engine_workers.filter(workers::lease_ends_at.lt(long_ago))
    )
    .execute(conn))?;
    Ok(())
}
