//! Lists in conditions that a connection prepares once. Diesel keeps no statement prepared whose text grows with a list, since
//! there could be any number of texts; there are few of these.

use diesel::backend::Backend;
#[cfg(feature = "postgres")]
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Bool, IntoNullable, Nullable};
#[cfg(feature = "sqlite")]
use diesel::sqlite::Sqlite;
use diesel::{
    AppearsOnTable, Column, Expression, SelectableExpression, expression::ValidGrouping,
    expression::is_aggregate,
};

use crate::model::RunStatus;
use crate::schema::ai_engine_runs::dsl as runs;

/// A column is one of these numbers.
#[derive(Debug, Clone)]
pub(super) struct AnyOf<C> {
    column: C,
    numbers: Vec<i64>,
}

/// Of more numbers a statement is prepared anew.
#[cfg(feature = "sqlite")]
const MOST: usize = 1024;

/// `column` is one of `numbers`. PostgreSQL is given them as one value. For SQLite the last one is repeated until there are 1, 2,
/// 4, 8 of them, and so on up to 1,024: so there are eleven texts.
pub(super) fn any_of<C>(column: C, numbers: &[i64]) -> AnyOf<C>
where
    C: Column,
    C::SqlType: IntoNullable<Nullable = Nullable<BigInt>>,
{
    AnyOf { column, numbers: numbers.to_vec() }
}

#[cfg(feature = "sqlite")]
impl<C: QueryFragment<Sqlite>> QueryFragment<Sqlite> for AnyOf<C> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Some(last) = self.numbers.last() else {
            pass.push_sql("0 = 1");
            return Ok(());
        };
        let mut places = self.numbers.len();
        if places > MOST {
            pass.unsafe_to_cache_prepared();
        } else {
            places = places.next_power_of_two();
        }
        self.column.walk_ast(pass.reborrow())?;
        for (place, number) in
            self.numbers.iter().chain(std::iter::repeat(last)).take(places).enumerate()
        {
            pass.push_sql(if place == 0 { " IN (" } else { ", " });
            pass.push_bind_param::<BigInt, _>(number)?;
        }
        pass.push_sql(")");
        Ok(())
    }
}

#[cfg(feature = "postgres")]
impl<C: QueryFragment<Pg>> QueryFragment<Pg> for AnyOf<C> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.column.walk_ast(pass.reborrow())?;
        pass.push_sql(" = ANY(");
        pass.push_bind_param::<diesel::sql_types::Array<BigInt>, _>(&self.numbers)?;
        pass.push_sql(")");
        Ok(())
    }
}

/// A run's status is one of these.
#[derive(Debug, Clone)]
pub(super) struct StatusOf {
    statuses: Vec<RunStatus>,
}

/// A run's status is one of `statuses`. They are named in the text, since they are words of ours and few, and so that an index on
/// some of them can serve.
pub(super) fn status_of(statuses: &[RunStatus]) -> StatusOf {
    StatusOf { statuses: statuses.to_vec() }
}

impl<DB: Backend> QueryFragment<DB> for StatusOf
where
    runs::status: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if self.statuses.is_empty() {
            pass.push_sql("0 = 1");
            return Ok(());
        }
        runs::status.walk_ast(pass.reborrow())?;
        for (place, status) in self.statuses.iter().enumerate() {
            pass.push_sql(if place == 0 { " IN ('" } else { "', '" });
            pass.push_sql(status.as_str());
        }
        pass.push_sql("')");
        Ok(())
    }
}

/// What Diesel is to know of a condition on a column: where it may stand, and that its text tells one from another.
macro_rules! condition {
    ($condition:ty, on $column:ty $(, of $C:ident)?) => {
        impl$(<$C>)? Expression for $condition {
            type SqlType = Bool;
        }
        impl<$($C,)? From> SelectableExpression<From> for $condition where Self: AppearsOnTable<From> {}
        impl<$($C,)? From> AppearsOnTable<From> for $condition where $column: AppearsOnTable<From> {}
        impl<$($C,)? Groups> ValidGrouping<Groups> for $condition {
            type IsAggregate = is_aggregate::No;
        }
        impl$(<$C>)? QueryId for $condition {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }
    };
}
condition!(AnyOf<C>, on C, of C);
condition!(StatusOf, on runs::status);
