use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Assistant, AssistantDefinition, StoredDefinition, UtcTimestamp};
use crate::error::Result;
use crate::schema::ai_engine_assistant_versions;

/// A definition that an assistant was stored with. It is stored in the transaction that stores the changed definition, once.
#[derive(Debug, Clone, PartialEq, Serialize, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = ai_engine_assistant_versions)]
#[non_exhaustive]
pub struct AssistantVersion {
    /// The assistant's local id.
    pub assistant_id: i64,
    /// Counts changes of the definition, from 1; what [`Assistant::version`] was while this was its definition.
    pub version: i64,
    pub(crate) definition: StoredDefinition,
    /// When the assistant was stored with it.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub created_at: DateTime<Utc>,
}

/// A field in which two definitions differ, as JSON; a field that is not set is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DefinitionChange {
    /// Its name, as [`AssistantDefinition`] has it.
    pub field: String,
    /// What it was in the version that was asked.
    pub from: Value,
    /// What it is in the other one.
    pub to: Value,
}

impl AssistantVersion {
    /// The version that an assistant has now.
    pub(crate) fn current(assistant: &Assistant) -> Self {
        Self {
            assistant_id: assistant.id,
            version: assistant.version,
            definition: assistant.definition.clone(),
            created_at: assistant.updated_at,
        }
    }

    /// The definition.
    ///
    /// # Errors
    ///
    /// As [`Assistant::definition`].
    pub fn definition(&self) -> Result<AssistantDefinition> {
        self.definition.of_assistant(self.assistant_id)
    }

    /// In which fields `other` differs from this one, by name. The list is empty when it says the same.
    #[must_use]
    pub fn diff(&self, other: &Self) -> Vec<DefinitionChange> {
        let (mut from, mut to) = (fields(&self.definition), fields(&other.definition));
        let names: BTreeSet<String> = from.keys().chain(to.keys()).cloned().collect();
        let changes = names.into_iter().map(|field| {
            let of = |fields: &mut Map<String, Value>| fields.remove(&field).unwrap_or_default();
            let (from, to) = (of(&mut from), of(&mut to));
            DefinitionChange { field, from, to }
        });
        changes.filter(|change| change.from != change.to).collect()
    }
}

/// What a definition sets. One that another version stored may lack fields: they are what they are by default.
fn fields(definition: &StoredDefinition) -> Map<String, Value> {
    let read = definition.read().ok();
    let same = read.as_ref().and_then(|definition| StoredDefinition::of(definition).ok());
    same.as_ref().unwrap_or(definition).fields()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(definition: &AssistantDefinition) -> AssistantVersion {
        let definition = StoredDefinition::of(definition).unwrap();
        AssistantVersion { assistant_id: 1, version: 1, definition, created_at: Utc::now() }
    }

    #[test]
    fn a_diff_names_each_field_that_differs_and_no_other() {
        let old = AssistantDefinition::new("m").instructions("Be brief.").temperature(0.5);
        let new =
            AssistantDefinition::new("n").instructions("Be brief.").metadata("seat", "balcony");
        let change = |field: &str, from: Value, to: Value| DefinitionChange {
            field: field.to_owned(),
            from,
            to,
        };
        assert_eq!(
            version(&old).diff(&version(&new)),
            [
                change("metadata", json!({}), json!({"seat": "balcony"})),
                change("model", json!("m"), json!("n")),
                change("temperature", json!(0.5), Value::Null),
            ]
        );
        assert_eq!(version(&old).diff(&version(&old)), []);
    }

    #[test]
    fn a_field_that_an_older_row_lacks_is_no_difference() {
        let sparse = AssistantVersion {
            definition: StoredDefinition::raw(json!({"model": "m"})),
            ..version(&AssistantDefinition::new("m"))
        };
        assert_eq!(sparse.diff(&version(&AssistantDefinition::new("m"))), []);
        let hot = AssistantVersion {
            definition: StoredDefinition::raw(json!({"model": "m", "temperature": "hot"})),
            ..sparse.clone()
        };
        assert!(hot.definition().is_err());
        assert!(sparse.diff(&hot).iter().any(|change| change.to == "hot"), "shown as it is");
    }
}
