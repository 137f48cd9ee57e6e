//! An `UPDATE` that a connection prepares once, written as Diesel's.
//!
//! Diesel keeps no `UPDATE` prepared: which columns one sets may differ from call to call, and with them its text, of which there
//! could be any number. SQLite then parses it anew each time, which takes longer than to carry it out. Ours have few texts: the
//! columns are those of its one place in the code, and of the few that may be missing from one (`responses::reached`, `messages::settle`) there are a handful of sets. The
//! connection's cache goes by the text itself and the types of the values, so two texts are never taken for one.

use diesel::backend::Backend;
use diesel::expression::{
    Expression, MixedAggregates, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{
    AsChangeset, AstPass, IntoUpdateTarget, Query, QueryFragment, QueryId,
};
use diesel::query_source::QuerySource;
use diesel::result::QueryResult;
use diesel::{RunQueryDsl, Table};

/// The rows to change: a table, or what is left of it by filters.
pub(super) struct Rows<T, Filter> {
    table: T,
    filter: Filter,
}

/// Of which table, which rows, what is set in them, and what is returned.
#[must_use = "it is not carried out yet"]
pub(super) struct Update<T: QuerySource, Filter, Change, Returned = Nothing> {
    table: T::FromClause,
    filter: Filter,
    change: Change,
    returned: Returned,
}

/// Nothing is returned.
pub(super) struct Nothing;

pub(super) fn update<T: IntoUpdateTarget>(rows: T) -> Rows<T::Table, T::WhereClause> {
    let target = rows.into_update_target();
    Rows { table: target.table, filter: target.where_clause }
}

impl<T: Table, Filter> Rows<T, Filter> {
    /// Something must be set: a change without a column is no SQL.
    pub(super) fn set<Change: AsChangeset<Target = T>>(
        self,
        change: Change,
    ) -> Update<T, Filter, Change::Changeset> {
        let (table, filter) = (self.table.from_clause(), self.filter);
        Update { table, filter, change: change.as_changeset(), returned: Nothing }
    }
}

impl<T: QuerySource, Filter, Change> Update<T, Filter, Change> {
    pub(super) fn returning<Columns>(
        self,
        columns: Columns,
    ) -> Update<T, Filter, Change, Returning<Columns>>
    where
        Columns: SelectableExpression<T>,
    {
        let Self { table, filter, change, returned: Nothing } = self;
        Update { table, filter, change, returned: Returning(columns) }
    }
}

/// These columns are returned.
pub(super) struct Returning<Columns>(Columns);

impl<DB: Backend> QueryFragment<DB> for Nothing {
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        Ok(())
    }
}

impl<DB: Backend, Columns: QueryFragment<DB>> QueryFragment<DB> for Returning<Columns> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql(" RETURNING ");
        self.0.walk_ast(pass)
    }
}

impl<DB, T, Filter, Change, Returned> QueryFragment<DB> for Update<T, Filter, Change, Returned>
where
    DB: Backend,
    T: QuerySource,
    T::FromClause: QueryFragment<DB>,
    Filter: QueryFragment<DB>,
    Change: QueryFragment<DB>,
    Returned: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.push_sql("UPDATE ");
        self.table.walk_ast(pass.reborrow())?;
        pass.push_sql(" SET ");
        self.change.walk_ast(pass.reborrow())?;
        self.filter.walk_ast(pass.reborrow())?;
        self.returned.walk_ast(pass)
    }
}

/// Its text tells one from another, and not its type.
impl<T: QuerySource, Filter, Change, Returned> QueryId for Update<T, Filter, Change, Returned> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T, Filter, Change, Columns> Query for Update<T, Filter, Change, Returning<Columns>>
where
    T: QuerySource,
    Columns: SelectableExpression<T> + ValidGrouping<()>,
    Columns::IsAggregate: MixedAggregates<is_aggregate::No, Output = is_aggregate::No>,
{
    type SqlType = <Columns as Expression>::SqlType;
}

impl<T: QuerySource, Filter, Change, Returned, Conn> RunQueryDsl<Conn>
    for Update<T, Filter, Change, Returned>
{
}
