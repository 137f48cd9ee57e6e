//! The definitions that an assistant was stored with, one row for each.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::assistants;
use super::session::{Session, on};
use crate::error::{Error, Result};
use crate::model::{Assistant, AssistantVersion, Page, StoredDefinition};
use crate::schema::ai_engine_assistant_versions::dsl as versions;

/// Notes the definition of a version. One that is noted already stays as it is.
pub(super) fn note(
    session: &mut dyn Session,
    assistant: i64,
    version: i64,
    definition: &StoredDefinition,
    at: NaiveDateTime,
) -> Result<()> {
    let row = (
        versions::assistant_id.eq(assistant),
        versions::version.eq(version),
        versions::definition.eq(definition),
        versions::created_at.eq(at),
    );
    on!(session, |conn| diesel::insert_into(versions::ai_engine_assistant_versions)
        .values(row)
        .on_conflict((versions::assistant_id, versions::version))
        .do_nothing()
        .execute(conn))?;
    Ok(())
}

/// Newest first.
pub(crate) fn page(
    session: &mut dyn Session,
    assistant: i64,
    page: Page,
) -> Result<Vec<AssistantVersion>> {
    let current = require(session, assistant)?;
    let before = page.before.unwrap_or(i64::MAX);
    let mut found: Vec<AssistantVersion> =
        on!(session, |conn| versions::ai_engine_assistant_versions
            .filter(versions::assistant_id.eq(assistant))
            .filter(versions::version.lt(before))
            .order(versions::version.desc())
            .limit(i64::from(page.limit))
            .select(AssistantVersion::as_select())
            .load(conn))?;
    // A process of the version before stored it, without a row.
    if page.limit > 0
        && current.version < before
        && found.first().is_none_or(|newest| newest.version < current.version)
    {
        found.truncate((page.limit - 1) as usize);
        found.insert(0, AssistantVersion::current(&current));
    }
    Ok(found)
}

pub(crate) fn find(
    session: &mut dyn Session,
    assistant: i64,
    version: i64,
) -> Result<AssistantVersion> {
    let found: Option<AssistantVersion> =
        on!(session, |conn| versions::ai_engine_assistant_versions
            .filter(versions::assistant_id.eq(assistant))
            .filter(versions::version.eq(version))
            .select(AssistantVersion::as_select())
            .first(conn)
            .optional())?;
    if let Some(found) = found {
        return Ok(found);
    }
    let current = require(session, assistant)?;
    if current.version == version {
        return Ok(AssistantVersion::current(&current));
    }
    Err(Error::not_found("assistant version", version))
}

fn require(session: &mut dyn Session, assistant: i64) -> Result<Assistant> {
    assistants::find_by_id(session, assistant)?
        .ok_or_else(|| Error::not_found("assistant", assistant))
}

/// The host's connection may not enforce foreign keys.
pub(super) fn delete_all(session: &mut dyn Session, assistant: i64) -> Result<()> {
    let of_it = versions::ai_engine_assistant_versions.filter(versions::assistant_id.eq(assistant));
    on!(session, |conn| diesel::delete(of_it).execute(conn))?;
    Ok(())
}
