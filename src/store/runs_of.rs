//! The runs of one conversation: by their key, the one that has not ended, the last one, a page of them; and their end, all
//! together.

use diesel::dsl::exists;
use diesel::prelude::*;

use super::any_of::status_of;
use super::first_row::First;
use super::messages;
use super::session::{Session, of, on};
use super::update::update;
use crate::error::{Error, Result};
use crate::model::{Messageable, Page, Run, RunRow, RunStatus, ShownRun};
use crate::schema::ai_engine_messages::dsl as said;
use crate::schema::ai_engine_runs::dsl as runs;

/// The run already submitted under this key.
pub(crate) fn find_by_key(
    session: &mut dyn Session,
    parent: Messageable,
    key: &str,
) -> Result<Option<Run>> {
    let found: Option<RunRow> = on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(runs::idempotency_key.eq(key))
        .select(RunRow::as_select())
        .first_row()
        .get_result(conn)
        .optional())?;
    Ok(found.map(Run::from))
}

/// The run of a conversation that has not ended, if any.
pub(crate) fn active(session: &mut dyn Session, parent: Messageable) -> Result<Option<i64>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(status_of(&RunStatus::ACTIVE))
        .order(runs::seq)
        .select(runs::id)
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// The runs of a conversation that have not ended, in the order of submission.
pub(crate) fn unended(session: &mut dyn Session, parent: Messageable) -> Result<Vec<Run>> {
    let found: Vec<RunRow> = on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(runs::status.eq_any(RunStatus::ACTIVE))
        .order(runs::seq)
        .select(RunRow::as_select())
        .load(conn))?;
    Ok(found.into_iter().map(Run::from).collect())
}

/// The turn of a run of this conversation.
pub(crate) fn seq(session: &mut dyn Session, parent: Messageable, id: i64) -> Result<i64> {
    on!(session, |conn| runs::ai_engine_runs
        .find(id)
        .filter(of!(runs, parent))
        .select(runs::seq)
        .first(conn)
        .optional())?
    .ok_or_else(|| Error::not_found("run", id))
}

/// The last run on the path of a conversation up to a turn.
pub(crate) fn last_up_to(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
) -> Result<Option<i64>> {
    let on_path = || {
        let said = said::ai_engine_messages.filter(said::run_id.eq(runs::id.nullable()));
        said.filter(said::superseded_at_seq.is_null())
    };
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(runs::seq.le(seq))
        .filter(exists(on_path()))
        .order(runs::seq.desc())
        .select(runs::id)
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// The runs of a conversation, newest first: they were stored in the order of their numbers, which the index has.
pub(crate) fn page(session: &mut dyn Session, parent: Messageable, page: Page) -> Result<Vec<Run>> {
    let before = match page.row()? {
        None => i64::MAX,
        Some(id) => on!(session, |conn| runs::ai_engine_runs
            .find(id)
            .filter(of!(runs, parent))
            .select(runs::seq)
            .first(conn)
            .optional())?
        .ok_or_else(|| Error::not_found("run", id))?,
    };
    let found: Vec<ShownRun> = on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(runs::seq.lt(before))
        .order(runs::seq.desc())
        .limit(i64::from(page.limit))
        .select(ShownRun::as_select())
        .load(conn))?;
    Ok(found.into_iter().map(Run::from).collect())
}

/// Locks all runs of a conversation that is to be deleted, so that a writer either finishes before or finds them gone; returns their
/// ids.
pub(crate) fn lock_all(session: &mut dyn Session, parent: Messageable) -> Result<Vec<i64>> {
    Ok(on!(session, |conn| update(runs::ai_engine_runs.filter(of!(runs, parent)))
        .set(runs::fencing_token.eq(runs::fencing_token + 1))
        .returning(runs::id)
        .get_results(conn))?)
}

/// Deletes all runs and messages of a conversation. Children go by name, since a host's connection may not enforce foreign keys.
pub(crate) fn destroy_all(session: &mut dyn Session, parent: Messageable) -> Result<()> {
    use crate::schema::ai_engine_message_deltas::dsl as deltas;
    use crate::schema::ai_engine_path_changes::dsl as changes;
    use crate::schema::ai_engine_responses::dsl as responses;
    use crate::schema::ai_engine_run_items::dsl as items;

    on!(session, |conn| diesel::delete(
        changes::ai_engine_path_changes.filter(of!(changes, parent))
    )
    .execute(conn))?;
    let of_messages = said::ai_engine_messages.filter(of!(said, parent)).select(said::id);
    on!(session, |conn| diesel::delete(
        deltas::ai_engine_message_deltas.filter(deltas::message_id.eq_any(of_messages))
    )
    .execute(conn))?;
    messages::destroy_all(session, parent)?;
    let of_runs = runs::ai_engine_runs.filter(of!(runs, parent)).select(runs::id);
    on!(session, |conn| diesel::delete(
        items::ai_engine_run_items.filter(items::run_id.eq_any(of_runs))
    )
    .execute(conn))?;
    on!(session, |conn| diesel::delete(
        responses::ai_engine_responses.filter(responses::run_id.eq_any(of_runs))
    )
    .execute(conn))?;
    on!(session, |conn| diesel::delete(runs::ai_engine_runs.filter(of!(runs, parent)))
        .execute(conn))?;
    Ok(())
}
