//! What a list has of one model.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::rates::Table;

/// A model of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) table: Table,
    /// How many times as high the prices of tokens are with data residency.
    pub(super) data_residency: Option<Decimal>,
    pub(super) fees: Fees,
    /// Whose price it is, where the list says so.
    pub(super) provider: Option<String>,
    pub(super) context_window: Option<i64>,
    pub(super) max_output_tokens: Option<i64>,
    pub(super) shutdown: Option<NaiveDate>,
}

/// What the provider's own tools cost, in dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fees {
    /// For a thousand calls.
    pub(super) web_searches: Option<Decimal>,
    /// For a thousand calls.
    pub(super) file_searches: Option<Decimal>,
    /// For one.
    pub(super) container: Option<Decimal>,
}

/// Something in a list that cannot be read, and so the model that it is said of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) field: String,
    pub(super) value: String,
    pub(super) wanted: &'static str,
}

impl Bad {
    pub(super) fn new(field: &str, value: &str, wanted: &'static str) -> Self {
        Self { field: field.to_owned(), value: crate::error::shortened(value), wanted }
    }

    /// What is wrong, in words.
    pub(super) fn reason(&self) -> String {
        format!("has {} in the field `{}`, which must be {}", self.value, self.field, self.wanted)
    }
}
