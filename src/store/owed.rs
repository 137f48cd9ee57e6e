//! Who owes the hooks of a run that nobody drives what is stored of it: `lease_owner` says so, as it says who owes the last ones of a
//! run that has ended.

use diesel::prelude::*;

use super::runs::Claim;
use super::session::{Session, on};
use super::update::update;
use crate::error::Result;
use crate::model::{RunStatus, utc_now};
use crate::schema::ai_engine_runs::dsl as runs;

/// No worker's name: whoever had the run died, or could not call its hooks.
pub(crate) const UNHEARD: &str = "unheard";

/// Who owes its hooks something, of a run that is about to be claimed. None: they have heard all that is stored.
pub(crate) fn by(session: &mut dyn Session, run: i64) -> Result<Option<String>> {
    let owner = runs::ai_engine_runs.find(run).select(runs::lease_owner);
    Ok(on!(session, |conn| owner.first::<Option<String>>(conn).optional())?.flatten())
}

/// The hooks of a run that waits were called, by the process that had this claim; or they could not be. Returns how the run is, unless it
/// was claimed since.
pub(crate) fn settle(
    session: &mut dyn Session,
    claim: Claim,
    worker: &str,
    called: bool,
) -> Result<Option<RunStatus>> {
    let owner = (!called).then_some(UNHEARD);
    // To wait, to be queued and to be claimed counts one each.
    let unclaimed = runs::ai_engine_runs
        .find(claim.run_id)
        .filter(runs::fencing_token.lt(claim.token + 3))
        .filter(runs::lease_owner.eq(worker));
    Ok(on!(session, |conn| update(unclaimed)
        .set((runs::lease_owner.eq(owner), runs::updated_at.eq(utc_now())))
        .returning(runs::status)
        .get_result(conn)
        .optional())?)
}
