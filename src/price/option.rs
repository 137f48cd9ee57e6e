//! A model to choose from.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::exact::times;
use super::rates::Meter;
use super::row::Row;
use crate::model::Money;

/// A model of a price list, for a host's users to choose from ([`PriceList::model_options`](crate::PriceList::model_options)).
///
/// The prices are those of a million tokens of a short request in the usual tier, rounded to the billionth of a dollar. None is not
/// known, and not free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelOption {
    /// The name, as the list has it.
    pub model: String,
    /// Whose price it is, where the list says so.
    pub provider: Option<String>,
    /// How many tokens it can have before it.
    pub context_window: Option<i64>,
    /// How many tokens an answer can have.
    pub max_output_tokens: Option<i64>,
    /// Price of the input.
    pub input: Option<Money>,
    /// Price of input that comes from the provider's cache.
    pub cached: Option<Money>,
    /// Price of input that is written to the provider's cache.
    pub cache_write: Option<Money>,
    /// Price of the output.
    pub output: Option<Money>,
    /// The provider has it no more from this day on.
    pub shutdown: Option<NaiveDate>,
    /// The name of the list.
    pub list: String,
    /// The day on which the list was true.
    pub date: NaiveDate,
}

impl ModelOption {
    pub(super) fn new(name: &str, row: &Row, list: &str, date: NaiveDate) -> Self {
        let usual = row.table.usual();
        let price = |meter| usual.get(meter).and_then(shown);
        Self {
            model: name.to_owned(),
            provider: row.provider.clone(),
            context_window: row.context_window,
            max_output_tokens: row.max_output_tokens,
            input: price(Meter::Input),
            cached: price(Meter::Cached),
            cache_write: price(Meter::CacheWrite),
            output: price(Meter::Output),
            shutdown: row.shutdown,
            list: list.to_owned(),
            date,
        }
    }

    /// Whether the provider still has it on this day.
    pub(super) fn is_there(&self, on: NaiveDate) -> bool {
        self.shutdown.is_none_or(|shutdown| on < shutdown)
    }
}

fn shown(dollars: Decimal) -> Option<Money> {
    const NANOS: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);
    Money::rounded(times(dollars, NANOS)?)
}
