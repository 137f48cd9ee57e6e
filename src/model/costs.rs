//! What was paid, as it is stored.

use chrono::NaiveDate;
use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Date, HasSqlType, Nullable};
use serde::{Deserialize, Serialize};

use super::Money;
use super::constant::constant;
use crate::schema::ai_engine_runs;

/// What a call, a message, a run or several of them cost. Each is `None` when it is not known: a call asked a model whose price is in
/// no list, or was charged for something that the list has no price of, or it ended before costs were counted. Of a sum of which
/// one part is not known, nothing is.
///
/// It is counted once, when a call ends, by the prices of the engine that made it
/// ([`EngineBuilder::prices`](crate::EngineBuilder::prices)). Whatever becomes of prices later does not change it.
///
/// What a call cost of which the provider did not tell the tokens is estimated as these are
/// ([`Usage::estimated`](crate::Usage::estimated)). What was refused, or never sent, costs nothing.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Queryable,
    Selectable,
    Insertable,
    AsChangeset,
)]
#[diesel(
    table_name = crate::schema::ai_engine_messages,
    treat_none_as_null = true,
    treat_none_as_default_value = false
)]
#[non_exhaustive]
pub struct Costs {
    /// The tokens of the requests: those that were cached, or written to the cache, with them.
    pub input_cost: Option<Money>,
    /// The tokens of the answers: those of reasoning with them.
    pub output_cost: Option<Money>,
    /// The provider's fees for its own tools, beside the tokens.
    pub tool_cost: Option<Money>,
}

impl Costs {
    /// Nothing was paid.
    pub(crate) const NOTHING: Self = Self {
        input_cost: Some(Money::ZERO),
        output_cost: Some(Money::ZERO),
        tool_cost: Some(Money::ZERO),
    };

    /// All three together; `None` when one of them is not known.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        let parts = [self.input_cost, self.output_cost, self.tool_cost];
        parts.into_iter().try_fold(Money::ZERO, |sum, part| sum.checked_add(part?))
    }
}

/// Both together. More than can be kept is not known.
impl std::ops::Add for Costs {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let sum = |a: Option<Money>, b: Option<Money>| a?.checked_add(b?);
        Self {
            input_cost: sum(self.input_cost, other.input_cost),
            output_cost: sum(self.output_cost, other.output_cost),
            tool_cost: sum(self.tool_cost, other.tool_cost),
        }
    }
}

/// What is left without the other.
impl std::ops::Sub for Costs {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let less = |a: Option<Money>, b: Option<Money>| {
            a?.nanos().checked_sub(b?.nanos()).map(Money::from_nanos)
        };
        Self {
            input_cost: less(self.input_cost, other.input_cost),
            output_cost: less(self.output_cost, other.output_cost),
            tool_cost: less(self.tool_cost, other.tool_cost),
        }
    }
}

/// The columns of a table that hold [`Costs`], as an expression and as its type.
macro_rules! costs_columns {
    ($table:ident) => {
        ($table::input_cost, $table::output_cost, $table::tool_cost)
    };
}
pub(crate) use costs_columns;

// The columns of a run that its table in the schema does not have: with them it would be wider than Diesel's tables of 32 columns,
// and wider ones take every host three quarters of a minute more to compile.
constant! {
    #[allow(unnameable_types, reason = "public only as part of the stored form")]
    pub RunInputCost: Nullable<BigInt> = "ai_engine_runs.input_cost"
}
constant! {
    #[allow(unnameable_types, reason = "public only as part of the stored form")]
    pub RunOutputCost: Nullable<BigInt> = "ai_engine_runs.output_cost"
}
constant! {
    #[allow(unnameable_types, reason = "public only as part of the stored form")]
    pub RunToolCost: Nullable<BigInt> = "ai_engine_runs.tool_cost"
}
constant! {
    #[allow(unnameable_types, reason = "public only as part of the stored form")]
    pub RunPricedOn: Nullable<Date> = "ai_engine_runs.priced_on"
}

/// Sets these columns of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunCosts {
    pub(crate) costs: Costs,
    pub(crate) priced_on: Option<NaiveDate>,
}

impl AsChangeset for RunCosts {
    type Target = ai_engine_runs::table;
    type Changeset = Self;

    fn as_changeset(self) -> Self {
        self
    }
}

/// Its text is always the same.
impl QueryId for RunCosts {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<DB> QueryFragment<DB> for RunCosts
where
    DB: Backend + HasSqlType<BigInt> + HasSqlType<Date>,
    Option<Money>: ToSql<Nullable<BigInt>, DB>,
    Option<NaiveDate>: ToSql<Nullable<Date>, DB>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let Costs { input_cost, output_cost, tool_cost } = &self.costs;
        pass.push_sql("input_cost = ");
        pass.push_bind_param::<Nullable<BigInt>, _>(input_cost)?;
        pass.push_sql(", output_cost = ");
        pass.push_bind_param::<Nullable<BigInt>, _>(output_cost)?;
        pass.push_sql(", tool_cost = ");
        pass.push_bind_param::<Nullable<BigInt>, _>(tool_cost)?;
        pass.push_sql(", priced_on = ");
        pass.push_bind_param::<Nullable<Date>, _>(&self.priced_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(input: i64, output: i64, tools: i64) -> Costs {
        let [input_cost, output_cost, tool_cost] =
            [input, output, tools].map(|nanos| Some(Money::from_nanos(nanos)));
        Costs { input_cost, output_cost, tool_cost }
    }

    #[test]
    fn a_sum_is_known_when_all_of_it_is() {
        assert_eq!(costs(1, 2, 3).cost(), Some(Money::from_nanos(6)));
        assert_eq!(costs(1, 2, 3) + costs(4, 5, 6), costs(5, 7, 9));
        assert_eq!(costs(5, 7, 9) - costs(4, 5, 6), costs(1, 2, 3));
        assert_eq!(Costs::NOTHING + costs(1, 2, 3), costs(1, 2, 3));
        assert_eq!(Costs::default().cost(), None, "not known is not free");
        assert_eq!(Costs::default() + costs(1, 2, 3), Costs::default());
        assert_eq!(
            costs(i64::MAX, 0, 0) + costs(1, 0, 0),
            Costs { input_cost: None, ..costs(0, 0, 0) }
        );
        assert_eq!(costs(i64::MAX, 1, 0).cost(), None);
    }
}
