use chrono::NaiveDate;

use super::{Costs, Money, Usage};

/// What a call, or several, took: tokens and money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) usage: Usage,
    pub(crate) costs: Costs,
    /// The day on which the prices were true; of several, the oldest.
    pub(crate) priced_on: Option<NaiveDate>,
}

impl Spent {
    /// Nothing was sent, or the provider refused it.
    pub(crate) const NOTHING: Self = Self {
        usage: Usage {
            input_tokens: 0,
            cached_input_tokens: 0,
            cache_write_tokens: 0,
            output_tokens: 0,
            reasoning_tokens: 0,
            estimated: false,
        },
        costs: Costs::NOTHING,
        priced_on: None,
    };

    /// What is left of it without the other; where no tokens are left, nothing is, even if it is not known what the others cost.
    pub(crate) fn without(self, other: Self) -> Self {
        let usage = self.usage - other.usage;
        if usage.total_tokens() == 0 && !fees_are_left(self.costs, other.costs) {
            return Self::NOTHING;
        }
        Self { usage, costs: self.costs - other.costs, priced_on: self.priced_on }
    }
}

fn fees_are_left(of: Costs, without: Costs) -> bool {
    (of - without).tool_cost.is_some_and(|fees| fees > Money::ZERO)
}

impl std::ops::Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let priced_on = match (self.priced_on, other.priced_on) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { usage: self.usage + other.usage, costs: self.costs + other.costs, priced_on }
    }
}

impl std::iter::Sum for Spent {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::NOTHING, |sum, part| sum + part)
    }
}
