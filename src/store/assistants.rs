//! Assistants: one row per host record, upserted.

use diesel::prelude::*;

use super::first_row::First;
use super::session::{Session, on};
use super::update::update;
use crate::error::{Error, Result};
use crate::model::{Assistant, AssistantDefinition, StoredDefinition, utc_now, without_nul};
use crate::schema::ai_engine_assistants::dsl as assistants;

/// Stores the definition of a record: creates its assistant, or updates it if it changed.
///
/// No unique violation can arise, which would abort a host's PostgreSQL transaction.
pub(crate) fn save(
    session: &mut dyn Session,
    kind: &str,
    id: &str,
    definition: &AssistantDefinition,
) -> Result<Assistant> {
    definition.validate()?;
    let stored = StoredDefinition::of(definition)?;
    // Name and model are copies, to be looked for.
    let defined = || {
        (
            assistants::name.eq(&definition.name),
            assistants::model.eq(&definition.model),
            assistants::definition.eq(&stored),
        )
    };
    let now = utc_now();
    let found = match find(session, kind, id)? {
        Some(found) => found,
        None => {
            let owner = (assistants::assistable_type.eq(kind), assistants::assistable_id.eq(id));
            let times = (assistants::created_at.eq(now), assistants::updated_at.eq(now));
            let inserted =
                on!(session, |conn| diesel::insert_into(assistants::ai_engine_assistants)
                    .values((owner, times, defined()))
                    .on_conflict((assistants::assistable_type, assistants::assistable_id))
                    .do_nothing()
                    .returning(Assistant::as_returning())
                    .get_result(conn)
                    .optional())?;
            match inserted {
                Some(inserted) => return Ok(inserted),
                // Another process was faster.
                None => {
                    find(session, kind, id)?.ok_or_else(|| Error::not_found("assistant", id))?
                }
            }
        }
    };
    // One that cannot be read is replaced.
    if found.definition.read().is_ok_and(|stored| stored == *definition) {
        return Ok(found);
    }
    Ok(on!(session, |conn| update(assistants::ai_engine_assistants.find(found.id))
        .set((
            defined(),
            assistants::version.eq(assistants::version + 1),
            assistants::updated_at.eq(now)
        ))
        .returning(Assistant::as_returning())
        .get_result(conn))?)
}

pub(crate) fn find(session: &mut dyn Session, kind: &str, id: &str) -> Result<Option<Assistant>> {
    without_nul("assistable_id", id)?;
    Ok(on!(session, |conn| assistants::ai_engine_assistants
        .filter(assistants::assistable_type.eq(kind))
        .filter(assistants::assistable_id.eq(id))
        .select(Assistant::as_select())
        .first_row()
        .get_result(conn)
        .optional())?)
}

pub(crate) fn find_by_id(session: &mut dyn Session, id: i64) -> Result<Option<Assistant>> {
    Ok(on!(session, |conn| assistants::ai_engine_assistants
        .find(id)
        .select(Assistant::as_select())
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// Deletes the assistant of a record. Its runs stay, without it.
pub(crate) fn delete(session: &mut dyn Session, kind: &str, id: &str) -> Result<()> {
    use crate::schema::ai_engine_runs::dsl as runs;

    let Some(found) = find(session, kind, id)? else {
        return Ok(());
    };
    // The host's connection may not enforce foreign keys.
    on!(session, |conn| update(runs::ai_engine_runs.filter(runs::assistant_id.eq(found.id)))
        .set(runs::assistant_id.eq(None::<i64>))
        .execute(conn))?;
    on!(session, |conn| diesel::delete(assistants::ai_engine_assistants.find(found.id))
        .execute(conn))?;
    Ok(())
}
