//! Rows whose public form is not that of their columns.

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
