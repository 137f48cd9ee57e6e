//! A definition in its column.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Json;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{AssistantDefinition, json_column};
use crate::error::{Error, Result};

/// The JSON of a definition, as an assistant and each of its runs keep it.
///
/// A row can be read whatever this is, so that one definition that makes no sense to us costs nothing but itself.
#[derive(Debug, Clone, PartialEq, Serialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Json)]
#[serde(transparent)]
#[allow(unnameable_types, reason = "public only as the stored form in the rows' derives")]
pub struct StoredDefinition(Value);

impl StoredDefinition {
    pub(crate) fn of(definition: &AssistantDefinition) -> Result<Self> {
        serde_json::to_value(definition).map(Self).map_err(Error::host)
    }

    /// The definition, unless this is none: written by hand, or by a version that means something else by it.
    pub(crate) fn read(&self) -> serde_json::Result<AssistantDefinition> {
        serde::Deserialize::deserialize(&self.0)
    }

    /// The definition of this assistant, or an error that names it.
    pub(crate) fn of_assistant(&self, id: i64) -> Result<AssistantDefinition> {
        self.read().map_err(|error| {
            let reason = format!(
                "of the assistant with id {id} cannot be read ({error}); store its record's definition again"
            );
            Error::invalid("definition", self.to_string(), reason)
        })
    }

    /// Its fields as they are stored.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        self.0.as_object().cloned().unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) const fn raw(value: Value) -> Self {
        Self(value)
    }
}

impl std::fmt::Display for StoredDefinition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

json_column!(StoredDefinition, Self);

#[cfg(test)]
mod tests {
    use super::*;

    /// If a number came back as another one, an assistant would seem changed with each of its runs.
    #[test]
    fn every_number_reads_back_as_it_was_said() {
        for temperature in [0.1 + 0.2, 1.0 / 3.0, 2.0_f64.next_down(), f64::MIN_POSITIVE] {
            let definition = AssistantDefinition::new("m").temperature(temperature).top_p(0.9);
            let stored =
                serde_json::to_string(&StoredDefinition::of(&definition).unwrap()).unwrap();
            let stored = StoredDefinition(serde_json::from_str(&stored).unwrap());
            assert_eq!(stored.read().unwrap(), definition);
        }
    }
}
