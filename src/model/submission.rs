//! What was known when a run was submitted, beside what it asks.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a run's `submission` holds. What another version wrote there beside it is ignored, and what makes no sense is as good as
/// nothing: a row can be read whatever it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromSqlRow)]
#[serde(default)]
#[allow(unnameable_types, reason = "public only as the stored form in the rows' derives")]
pub struct Submission {
    /// The W3C `traceparent` of whoever submitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_context: Option<String>,
}

impl Submission {
    /// As it is stored. `None`: there is nothing to store.
    pub(crate) fn stored(&self) -> Option<Value> {
        if *self == Self::default() { None } else { serde_json::to_value(self).ok() }
    }
}

impl<DB: Backend> FromSql<Json, DB> for Submission
where
    Value: FromSql<Json, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let stored = Value::from_sql(bytes).ok();
        Ok(stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_wrote_there_is_no_obstacle() {
        let read = |text: &str| {
            serde_json::from_str::<Value>(text)
                .map(|stored| serde_json::from_value::<Submission>(stored).unwrap_or_default())
                .unwrap()
        };
        let known = Submission { trace_context: Some("00-a".to_owned()) };
        assert_eq!(read(r#"{"trace_context": "00-a", "new": [1]}"#), known);
        assert_eq!(read(&known.stored().unwrap().to_string()), known);
        assert_eq!(read("{}").stored(), None);
        for odd in ["7", r#"{"trace_context": 7}"#, "[]", "null"] {
            assert_eq!(read(odd), Submission::default(), "{odd}");
        }
    }
}
