//! The first row of a query, which a connection prepares once. Diesel's `first` gives the number of rows as a value, for whose sake
//! SQLite prepares a statement anew whenever it gets values: how many rows are wanted tells it which index is best.

use diesel::RunQueryDsl;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;

/// A query without a limit of its own, of which the first row is wanted.
#[derive(Debug, Clone, Copy)]
#[must_use = "it is not carried out yet"]
pub(super) struct FirstRow<Q>(Q);

pub(super) trait First: Query + Sized {
    fn first_row(self) -> FirstRow<Self> {
        FirstRow(self)
    }
}

impl<Q: Query> First for Q {}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for FirstRow<Q> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass.reborrow())?;
        pass.push_sql(" LIMIT 1");
        Ok(())
    }
}

impl<Q: QueryId> QueryId for FirstRow<Q> {
    type QueryId = FirstRow<Q::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<Q: Query> Query for FirstRow<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, Conn> RunQueryDsl<Conn> for FirstRow<Q> {}
