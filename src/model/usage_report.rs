//! What an owner, or a conversation, used: by model and assistant.

use serde::Serialize;

use super::{Costs, Money, Usage};

/// What was used of models: tokens and money of all calls, those with it that failed, were made again, or cancelled
/// ([`OwnedUsage::usage`](crate::OwnedUsage::usage), [`AssistantThread::usage`](crate::AssistantThread::usage)).
///
/// A call counts from the moment when it is made, with what is known of it by then. What a title cost
/// ([`EngineBuilder::titles`](crate::EngineBuilder::titles)) is not counted, nor what a copy of a thread shows: that was paid for
/// once. What a deleted thread or chat used is deleted with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsageReport {
    /// All together: without a model, and without an assistant.
    pub total: UsageRow,
    /// For each model and assistant, by their names.
    pub rows: Vec<UsageRow>,
}

/// What the calls of one model for one assistant used, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsageRow {
    /// The model, as the provider calls it; as it was asked for, where the provider did not say.
    pub model: Option<String>,
    /// The assistant; none for what was asked in chats, or of an assistant that is deleted.
    pub assistant_id: Option<i64>,
    /// What the assistant was called.
    pub assistant_name: Option<String>,
    /// How many calls.
    pub calls: i64,
    /// Their tokens.
    pub usage: Usage,
    /// What they cost; none when that is not known of one of them.
    pub costs: Costs,
    /// What those cost of which it is known.
    pub known_cost: Money,
    /// Of how many it is not known.
    pub unpriced_calls: i64,
}

impl UsageRow {
    /// What they cost together; `None` when that is not known of one of them.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.costs.cost()
    }

    /// None of any model, yet.
    fn nothing() -> Self {
        Self { costs: Costs::NOTHING, ..Self::default() }
    }
}

impl UsageReport {
    pub(crate) fn of(rows: Vec<UsageRow>) -> Self {
        let total = rows.iter().fold(UsageRow::nothing(), |sum, row| UsageRow {
            calls: sum.calls.saturating_add(row.calls),
            usage: sum.usage + row.usage,
            costs: sum.costs + row.costs,
            known_cost: sum.known_cost.checked_add(row.known_cost).unwrap_or(sum.known_cost),
            unpriced_calls: sum.unpriced_calls.saturating_add(row.unpriced_calls),
            ..sum
        });
        Self { total, rows }
    }
}
