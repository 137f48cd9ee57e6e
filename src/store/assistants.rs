//! Assistants: one row per host record, upserted, with each of their definitions beside it.

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::first_row::First;
use super::session::{Conn, Session, on};
use super::update::update;
use super::{remote_assistants, versions};
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
            // Whoever reaches that provider brings its own assistant in step, if it has such.
            assistants::remote_provider.eq(&definition.provider),
            assistants::remote_due_at.eq(0),
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
                Some(inserted) => {
                    versions::note(session, inserted.id, inserted.version, &stored, now)?;
                    return Ok(inserted);
                }
                // Another process was faster.
                None => {
                    find(session, kind, id)?.ok_or_else(|| Error::not_found("assistant", id))?
                }
            }
        }
    };
    // One that cannot be read is replaced.
    let says_so = |assistant: &Assistant| {
        assistant.definition.read().is_ok_and(|stored| stored == *definition)
    };
    if says_so(&found) {
        return Ok(found);
    }
    // Another process may be changing it, too: what is replaced must be what is noted as the version before.
    let found = lock(session, found.id)?.ok_or_else(|| Error::not_found("assistant", id))?;
    if says_so(&found) {
        return Ok(found);
    }
    // A process of the release before stored that version without noting it.
    let replaced_at = found.updated_at.naive_utc();
    versions::note(session, found.id, found.version, &found.definition, replaced_at)?;
    // What the earlier definition was refused for says nothing of this one; that something may be under way, stays known.
    let attempts = assistants::remote_attempts;
    let doubt = case_when::<_, _, BigInt>(attempts.gt(1), 1_i64).otherwise(attempts);
    let updated: Assistant =
        on!(session, |conn| update(assistants::ai_engine_assistants.find(found.id))
            .set((
                defined(),
                assistants::remote_attempts.eq(doubt),
                assistants::version.eq(assistants::version + 1),
                assistants::updated_at.eq(now)
            ))
            .returning(Assistant::as_returning())
            .get_result(conn))?;
    versions::note(session, updated.id, updated.version, &stored, now)?;
    Ok(updated)
}

/// The row as it is now and stays until the transaction ends.
fn lock(session: &mut dyn Session, id: i64) -> Result<Option<Assistant>> {
    let row = assistants::ai_engine_assistants.find(id);
    Ok(match session.conn() {
        // Writers are alone on SQLite.
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => row.select(Assistant::as_select()).first(conn).optional()?,
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => {
            row.select(Assistant::as_select()).for_no_key_update().first(conn).optional()?
        }
    })
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

/// The assistant of the newest turn of a thread that asked one which is still there. A turn that is off the current path counts
/// as none.
pub(crate) fn last_of(session: &mut dyn Session, thread: i64) -> Result<Option<Assistant>> {
    use crate::schema::ai_engine_messages::dsl as said;
    use crate::schema::ai_engine_runs::dsl as runs;

    let asked = said::ai_engine_messages
        .inner_join(runs::ai_engine_runs)
        .filter(said::assistant_thread_id.eq(thread))
        .filter(said::position.eq(0))
        .filter(said::superseded_at_seq.is_null())
        .filter(runs::assistant_id.is_not_null())
        .order(said::seq.desc())
        .select(runs::assistant_id);
    let id: Option<Option<i64>> = on!(session, |conn| asked.first(conn).optional())?;
    match id.flatten() {
        Some(id) => find_by_id(session, id),
        None => Ok(None),
    }
}

/// Deletes the assistant of a record; says whether there was one. Its runs stay, without it.
pub(crate) fn delete(session: &mut dyn Session, kind: &str, id: &str) -> Result<bool> {
    use crate::schema::ai_engine_runs::dsl as runs;

    let Some(found) = find(session, kind, id)? else {
        return Ok(false);
    };
    // The host's connection may not enforce foreign keys.
    on!(session, |conn| update(runs::ai_engine_runs.filter(runs::assistant_id.eq(found.id)))
        .set(runs::assistant_id.eq(None::<i64>))
        .execute(conn))?;
    versions::delete_all(session, found.id)?;
    if let Some(theirs) = remote_assistants::lock(session, found.id)? {
        remote_assistants::note_deletion(session, &theirs)?;
    }
    let deleted =
        on!(session, |conn| diesel::delete(assistants::ai_engine_assistants.find(found.id))
            .execute(conn))?;
    Ok(deleted > 0)
}
