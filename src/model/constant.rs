//! SQL of our own that never changes, so that a connection prepares a statement with it once, and knows the statement again without
//! its text. Diesel's `sql` may be anything, and is prepared anew each time.

/// An expression of this type, without values, that may stand anywhere.
macro_rules! constant {
    ($(#[$meta:meta])* $vis:vis $name:ident: $type:ty = $sql:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId)]
        $vis struct $name;

        impl diesel::Expression for $name {
            type SqlType = $type;
        }

        impl<DB: diesel::backend::Backend> diesel::query_builder::QueryFragment<DB> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut pass: diesel::query_builder::AstPass<'_, 'b, DB>,
            ) -> diesel::QueryResult<()> {
                pass.push_sql($sql);
                Ok(())
            }
        }

        impl<From> diesel::SelectableExpression<From> for $name where Self: diesel::AppearsOnTable<From> {}
        impl<From> diesel::AppearsOnTable<From> for $name where Self: diesel::Expression {}
        impl<Groups> diesel::expression::ValidGrouping<Groups> for $name {
            type IsAggregate = diesel::expression::is_aggregate::Never;
        }
    };
}
pub(crate) use constant;
