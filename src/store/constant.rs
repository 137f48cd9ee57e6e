//! SQL of our own that never changes, so that a connection prepares a statement with it once. Diesel's `sql` may be anything,
//! and is prepared anew each time.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, TypedExpressionType, ValidGrouping,
    is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;

/// An expression of this type, without binds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constant<T> {
    sql: &'static str,
    of: PhantomData<T>,
}

pub(crate) const fn constant<T>(sql: &'static str) -> Constant<T> {
    Constant { sql, of: PhantomData }
}

impl<T: TypedExpressionType> Expression for Constant<T> {
    type SqlType = T;
}

impl<T, DB: Backend> QueryFragment<DB> for Constant<T> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql(self.sql);
        Ok(())
    }
}

/// Its text tells one from another, and not its type.
impl<T> QueryId for Constant<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T, From> SelectableExpression<From> for Constant<T> where Self: AppearsOnTable<From> {}
impl<T, From> AppearsOnTable<From> for Constant<T> where Self: Expression {}
impl<T, Groups> ValidGrouping<Groups> for Constant<T> {
    type IsAggregate = is_aggregate::Never;
}
