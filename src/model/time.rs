//! Times shown to people: UTC, written by us and never by the database, so that both databases
//! hold the same text and no session's time zone plays a part.

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};
use diesel::deserialize::FromSql;
use diesel::sql_types::{Nullable, Timestamp};

/// Reads a `TIMESTAMP` column as the UTC time it is.
#[derive(Debug, diesel::deserialize::FromSqlRow)]
#[allow(unnameable_types, reason = "public only as the stored form in the rows' derives")]
pub struct UtcTimestamp(NaiveDateTime);

impl<DB> FromSql<Timestamp, DB> for UtcTimestamp
where
    DB: diesel::backend::Backend,
    NaiveDateTime: FromSql<Timestamp, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
        NaiveDateTime::from_sql(bytes).map(Self)
    }
}

impl From<UtcTimestamp> for DateTime<Utc> {
    fn from(stored: UtcTimestamp) -> Self {
        stored.0.and_utc()
    }
}

impl From<UtcTimestamp> for Option<DateTime<Utc>> {
    fn from(stored: UtcTimestamp) -> Self {
        Some(stored.into())
    }
}

/// Now, to the microsecond: what PostgreSQL keeps.
pub(crate) fn utc_now() -> NaiveDateTime {
    Utc::now().naive_utc().trunc_subsecs(6)
}

/// The same of a column that may be empty.
#[derive(Debug, diesel::deserialize::FromSqlRow)]
#[allow(unnameable_types, reason = "public only as the stored form in the rows' derives")]
pub struct OptionalUtc(Option<NaiveDateTime>);

impl<DB> FromSql<Nullable<Timestamp>, DB> for OptionalUtc
where
    DB: diesel::backend::Backend,
    NaiveDateTime: FromSql<Timestamp, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
        NaiveDateTime::from_sql(bytes).map(|time| Self(Some(time)))
    }

    fn from_nullable_sql(bytes: Option<DB::RawValue<'_>>) -> diesel::deserialize::Result<Self> {
        bytes.map(NaiveDateTime::from_sql).transpose().map(Self)
    }
}

impl From<OptionalUtc> for Option<DateTime<Utc>> {
    fn from(stored: OptionalUtc) -> Self {
        stored.0.map(|time| time.and_utc())
    }
}
