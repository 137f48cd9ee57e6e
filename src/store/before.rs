//! The rows behind a place in a list that is sorted by two columns, newest first. As one comparison of a pair, so that an index on
//! both begins at the place, however many rows are equal in the first column.

use chrono::NaiveDateTime;
use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, HasSqlType, Timestamp};

/// `(time, id) < (?, ?)`.
#[derive(Debug, Clone, Copy, QueryId)]
pub(super) struct Before<T, I> {
    columns: (T, I),
    time: NaiveDateTime,
    id: i64,
}

/// Behind the row that has this time and this id.
pub(super) const fn before<T, I>(
    columns: (T, I),
    (time, id): (NaiveDateTime, i64),
) -> Before<T, I> {
    Before { columns, time, id }
}

impl<T, I> Expression for Before<T, I> {
    type SqlType = Bool;
}

impl<DB, T, I> QueryFragment<DB> for Before<T, I>
where
    DB: Backend + HasSqlType<BigInt> + HasSqlType<Timestamp>,
    i64: ToSql<BigInt, DB>,
    NaiveDateTime: ToSql<Timestamp, DB>,
    T: QueryFragment<DB>,
    I: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql("(");
        self.columns.0.walk_ast(pass.reborrow())?;
        pass.push_sql(", ");
        self.columns.1.walk_ast(pass.reborrow())?;
        pass.push_sql(") < (");
        pass.push_bind_param::<Timestamp, _>(&self.time)?;
        pass.push_sql(", ");
        pass.push_bind_param::<BigInt, _>(&self.id)?;
        pass.push_sql(")");
        Ok(())
    }
}

impl<T, I, From> SelectableExpression<From> for Before<T, I> where Self: AppearsOnTable<From> {}
impl<T, I, From> AppearsOnTable<From> for Before<T, I>
where
    T: AppearsOnTable<From>,
    I: AppearsOnTable<From>,
{
}
impl<T, I, Groups> ValidGrouping<Groups> for Before<T, I> {
    type IsAggregate = is_aggregate::No;
}
