//! Rows and columns whose form in the code is not that in the database.

/// Lets a host select the public form with `Public::as_select()`, through the row it is made from.
macro_rules! queryable_as {
    ($public:ty, $row:ty) => {
        impl<DB: diesel::backend::Backend> diesel::Selectable<DB> for $public
        where
            $row: diesel::Selectable<DB>,
        {
            type SelectExpression = <$row as diesel::Selectable<DB>>::SelectExpression;

            fn construct_selection() -> Self::SelectExpression {
                <$row as diesel::Selectable<DB>>::construct_selection()
            }
        }

        impl<ST, DB: diesel::backend::Backend> diesel::Queryable<ST, DB> for $public
        where
            $row: diesel::Queryable<ST, DB>,
        {
            type Row = <$row as diesel::Queryable<ST, DB>>::Row;

            fn build(row: Self::Row) -> diesel::deserialize::Result<Self> {
                <$row as diesel::Queryable<ST, DB>>::build(row).map(Into::into)
            }
        }
    };
}
pub(crate) use queryable_as;

/// Stores a type in a JSON column. `$read` makes it of whatever stands there: a row can be read all the same.
macro_rules! json_column {
    ($type:ty, $read:expr) => {
        impl<DB: diesel::backend::Backend> diesel::deserialize::FromSql<diesel::sql_types::Json, DB>
            for $type
        where
            serde_json::Value: diesel::deserialize::FromSql<diesel::sql_types::Json, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                let read: fn(serde_json::Value) -> Self = $read;
                <serde_json::Value as diesel::deserialize::FromSql<_, DB>>::from_sql(bytes)
                    .map(read)
            }
        }

        impl<DB: diesel::backend::Backend> diesel::serialize::ToSql<diesel::sql_types::Json, DB>
            for $type
        where
            serde_json::Value: diesel::serialize::ToSql<diesel::sql_types::Json, DB>,
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, DB>,
            ) -> diesel::serialize::Result {
                diesel::serialize::ToSql::<diesel::sql_types::Json, DB>::to_sql(&self.0, out)
            }
        }
    };
}
pub(crate) use json_column;
