//! What a host notes of a thread, a chat or a message: a JSON object that is the host's own.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Json;
use serde_json::{Map, Value};

use super::json_column;
use super::limits::checked_json;
use crate::error::{Error, Result};

/// Largest metadata as JSON text, in bytes.
const MOST_BYTES: usize = 16 * 1024;

/// Metadata in its column: always an object.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Json)]
#[allow(unnameable_types, reason = "public only as the stored form in the rows' derives")]
pub struct StoredMetadata(Value);

impl StoredMetadata {
    /// Metadata that may be stored.
    pub(crate) fn checked(metadata: Value) -> Result<Self> {
        const FIELD: &str = "metadata";
        if !metadata.is_object() {
            return Err(Error::invalid(FIELD, metadata.to_string(), "must be a JSON object"));
        }
        // First of all: what follows goes down as far.
        checked_json(FIELD, &metadata)?;
        let text = metadata.to_string();
        if text.len() > MOST_BYTES {
            let reason =
                format!("has {} bytes as JSON; at most {MOST_BYTES} are allowed", text.len());
            return Err(Error::invalid(FIELD, text, reason));
        }
        Ok(Self(metadata))
    }
}

impl Default for StoredMetadata {
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

impl From<Map<String, Value>> for StoredMetadata {
    fn from(fields: Map<String, Value>) -> Self {
        Self(Value::Object(fields))
    }
}

impl From<StoredMetadata> for Map<String, Value> {
    fn from(StoredMetadata(stored): StoredMetadata) -> Self {
        match stored {
            Value::Object(fields) => fields,
            _ => Self::new(),
        }
    }
}

// What is no object was written by hand.
json_column!(StoredMetadata, |stored| if stored.is_object() {
    Self(stored)
} else {
    Self::default()
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_out_of_its_limits_is_refused_by_its_reason() {
        let refused = |metadata: Value| StoredMetadata::checked(metadata).unwrap_err().to_string();
        for (metadata, reason) in [
            (json!(["a"]), "must be a JSON object"),
            (Value::Null, "must be a JSON object"),
            (json!({"a": "x".repeat(MOST_BYTES)}), "at most 16384 are allowed"),
            (json!({"a": ["\0"]}), "NUL"),
            (json!({"a\0": 1}), "NUL"),
            ((0..80).fold(json!({}), |inner, _| json!({"a": inner})), "64 levels deep"),
        ] {
            let error = refused(metadata);
            assert!(error.starts_with("metadata ") && error.contains(reason), "{error}");
            assert!(error.len() < 300, "{error}");
        }
        let fits = json!({"a": "x".repeat(MOST_BYTES - r#"{"a":""}"#.len())});
        StoredMetadata::checked(fits).unwrap();
    }
}
