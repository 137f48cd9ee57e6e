//! What was known when a run was submitted, beside what has a column of its own.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::sql_types::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// A JSON object in the run's row. Fields that this version does not know are ignored, and what cannot be read is left out: no
/// run is worth less for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, FromSqlRow)]
#[serde(default)]
#[allow(unnameable_types, reason = "public only as the stored form in the rows' derives")]
pub struct Submission {
    /// Type and id of the record that was asked, if it was an assistant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assistable: Option<(String, String)>,
    /// The version of its definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assistant_version: Option<i64>,
    /// The provider that was asked for, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// The model that was asked for, where another one may be asked in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// The W3C `traceparent` of whoever submitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_context: Option<String>,
    /// How deep it is: how many runs wait for it, one in a tool of the other.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) depth: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(depth: &u32) -> bool {
    *depth == 0
}

impl<DB: Backend> FromSql<Json, DB> for Submission
where
    Value: FromSql<Json, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let stored = Value::from_sql(bytes).ok();
        Ok(stored.and_then(|stored| Self::deserialize(&stored).ok()).unwrap_or_default())
    }
}

impl Submission {
    /// What is stored of it; nothing where there is nothing.
    pub(crate) fn stored(&self) -> Result<Option<Value>> {
        if *self == Self::default() {
            return Ok(None);
        }
        serde_json::to_value(self).map(Some).map_err(Error::host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_adds_is_ignored() {
        let later = r#"{"assistant_version":3,"assistable":["User","1"],"mood":["good"]}"#;
        let read: Submission = serde_json::from_str(later).unwrap();
        assert_eq!(read.assistant_version, Some(3));
        assert_eq!(read.assistable, Some(("User".to_owned(), "1".to_owned())));
        assert_eq!(
            serde_json::from_value::<Submission>(read.stored().unwrap().unwrap()).unwrap(),
            read
        );
        assert_eq!(Submission::default().stored().unwrap(), None);
    }

    #[test]
    fn what_makes_no_sense_is_as_good_as_nothing() {
        for odd in ["7", r#"{"trace_context": 7}"#, "[]", "null"] {
            let stored: Value = serde_json::from_str(odd).unwrap();
            assert_eq!(Submission::deserialize(&stored).unwrap_or_default(), Submission::default());
        }
    }
}
