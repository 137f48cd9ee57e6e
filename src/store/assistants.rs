//! Assistants: one row per host record, upserted.

use diesel::prelude::*;
use serde_json::Value;

use super::session::{Session, on};
use crate::error::{Error, Result};
use crate::model::{Assistant, AssistantDefinition, utc_now, without_nul};
use crate::schema::ai_engine_assistants::{self, dsl as assistants};

/// The columns that a definition sets. `None` is written as NULL.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = ai_engine_assistants, treat_none_as_null = true)]
struct DefinitionColumns {
    name: Option<String>,
    description: Option<String>,
    model: String,
    instructions: Option<String>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_output_tokens: Option<i64>,
    max_prompt_tokens: Option<i64>,
    reasoning: Option<Value>,
    metadata: Value,
    tools: Value,
    parameters: Value,
}

impl From<&AssistantDefinition> for DefinitionColumns {
    fn from(definition: &AssistantDefinition) -> Self {
        let definition = definition.clone();
        Self {
            name: definition.name,
            description: definition.description,
            model: definition.model,
            instructions: definition.instructions,
            temperature: definition.temperature,
            top_p: definition.top_p,
            max_output_tokens: definition.max_output_tokens,
            max_prompt_tokens: definition.max_prompt_tokens,
            reasoning: definition.reasoning,
            metadata: Value::Object(definition.metadata),
            tools: Value::Array(definition.tools),
            parameters: Value::Object(definition.parameters),
        }
    }
}

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
    let columns = DefinitionColumns::from(definition);
    let now = utc_now();
    let found = match find(session, kind, id)? {
        Some(found) => found,
        None => {
            let owner = (assistants::assistable_type.eq(kind), assistants::assistable_id.eq(id));
            let times = (assistants::created_at.eq(now), assistants::updated_at.eq(now));
            let inserted =
                on!(session, |conn| diesel::insert_into(assistants::ai_engine_assistants)
                    .values((owner, times, &columns))
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
    if found.definition() == *definition {
        return Ok(found);
    }
    Ok(on!(session, |conn| diesel::update(assistants::ai_engine_assistants.find(found.id))
        .set((
            &columns,
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
        .first(conn)
        .optional())?)
}

pub(crate) fn find_by_id(session: &mut dyn Session, id: i64) -> Result<Option<Assistant>> {
    Ok(on!(session, |conn| assistants::ai_engine_assistants
        .find(id)
        .select(Assistant::as_select())
        .first(conn)
        .optional())?)
}

/// Deletes the assistant of a record. Its runs stay, without it.
pub(crate) fn delete(session: &mut dyn Session, kind: &str, id: &str) -> Result<()> {
    use crate::schema::ai_engine_runs::dsl as runs;

    let Some(found) = find(session, kind, id)? else {
        return Ok(());
    };
    // The host's connection may not enforce foreign keys.
    on!(session, |conn| diesel::update(
        runs::ai_engine_runs.filter(runs::assistant_id.eq(found.id))
    )
    .set(runs::assistant_id.eq(None::<i64>))
    .execute(conn))?;
    on!(session, |conn| diesel::delete(assistants::ai_engine_assistants.find(found.id))
        .execute(conn))?;
    Ok(())
}
