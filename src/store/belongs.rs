//! The rows of a table that belong to a thread or chat: the one of their two columns that is set is compared, so that one index
//! serves, in its order. Of two columns in an OR a database reads all rows, and sorts them, before a LIMIT leaves some.

use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, HasSqlType};

use crate::model::Messageable;

/// `thread = ?` or `chat = ?`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<T, C> {
    thread: T,
    chat: C,
    parent: Messageable,
    id: i64,
}

impl<T, C> Of<T, C> {
    pub(crate) fn new(thread: T, chat: C, parent: Messageable) -> Self {
        let id = parent.thread_id().or(parent.chat_id()).unwrap_or_default();
        Self { thread, chat, parent, id }
    }
}

impl<T, C> Expression for Of<T, C> {
    type SqlType = Bool;
}

impl<DB, T, C> QueryFragment<DB> for Of<T, C>
where
    DB: Backend + HasSqlType<BigInt>,
    i64: ToSql<BigInt, DB>,
    T: QueryFragment<DB>,
    C: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        match self.parent {
            Messageable::AssistantThread(_) => self.thread.walk_ast(pass.reborrow())?,
            Messageable::Chat(_) => self.chat.walk_ast(pass.reborrow())?,
        }
        pass.push_sql(" = ");
        pass.push_bind_param::<BigInt, _>(&self.id)
    }
}

/// Its text tells one from another, and not its type.
impl<T, C> QueryId for Of<T, C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T, C, From> SelectableExpression<From> for Of<T, C> where Self: AppearsOnTable<From> {}
impl<T, C, From> AppearsOnTable<From> for Of<T, C>
where
    T: AppearsOnTable<From>,
    C: AppearsOnTable<From>,
{
}
impl<T, C, Groups> ValidGrouping<Groups> for Of<T, C> {
    type IsAggregate = is_aggregate::Never;
}
