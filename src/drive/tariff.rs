//! What a call costs: by whom it asks, how it is to be served, and the prices of this engine.

use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::model::{AssistantDefinition, Costs, RunRow, Spent, Usage};
use crate::price::{Billable, Prices, ServiceTier};
use crate::provider::Billed;

/// What is known of the price of a call before it is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tariff {
    prices: Prices,
    provider: String,
    /// The tier that the definition asks for.
    tier: Option<String>,
}

/// Refuses a limit of money that could not be held to, since it is not known what a model costs that the definition names.
pub(crate) fn can_be_held_to(core: &Core, definition: &AssistantDefinition) -> Result<()> {
    let Some(most) = definition.max_cost else { return Ok(()) };
    for definition in definition.in_turn() {
        let remote = core.remotes().find(definition.provider.as_deref());
        let provider = remote.map(|remote| &*remote.name).unwrap_or_default();
        let tariff = Tariff::of(core, provider, &definition);
        let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() };
        if tariff.spent(&definition.model, None, usage, None).costs.cost().is_none() {
            let reason =
                format!("cannot be held to: it is not known what {:?} costs", definition.model);
            return Err(Error::invalid("max_cost", most.nanos(), reason));
        }
    }
    Ok(())
}

impl Tariff {
    /// Of a call of this provider with this definition.
    pub(crate) fn of(core: &Core, provider: &str, definition: &AssistantDefinition) -> Self {
        let tier = definition.parameters.get("service_tier").and_then(|tier| tier.as_str());
        Self {
            prices: core.options().prices.clone(),
            provider: provider.to_owned(),
            tier: tier.map(str::to_owned),
        }
    }

    /// Of the last call of a run that a dead process drove.
    pub(crate) fn of_row(core: &Core, row: &RunRow) -> Self {
        let definition = row.definition.read().unwrap_or_default();
        let default = || core.remotes().find(None).map(|remote| remote.name.clone());
        let provider = row.provider.clone().or_else(default).unwrap_or_default();
        Self::of(core, &provider, &definition)
    }

    /// What a call took that asked `asked`, or was answered by `answered`. `billed`: what the provider said at its end.
    ///
    /// The price is that of the model that answered, if a list knows it by the name that the provider gave it, and else of the one
    /// that was asked.
    pub(crate) fn spent(
        &self,
        asked: &str,
        answered: Option<&str>,
        usage: Usage,
        billed: Option<&Billed>,
    ) -> Spent {
        if usage.total_tokens() == 0 && !billed.is_some_and(Billed::has_fees) {
            return Spent { usage, ..Spent::NOTHING };
        }
        let names: Vec<&str> = answered.into_iter().chain([asked]).collect();
        let unknown = Spent { usage, costs: Costs::default(), priced_on: None };
        let Some(call) = self.billable(usage, billed) else { return unknown };
        let Ok(cost) = self.prices.cost(&self.provider, &names, call) else { return unknown };
        Spent { usage, costs: cost.costs(), priced_on: Some(cost.date) }
    }

    /// None of what has a price that no list tells.
    fn billable(&self, usage: Usage, billed: Option<&Billed>) -> Option<Billable> {
        let said = billed.and_then(|billed| billed.tier.as_deref());
        let tier =
            said.or(self.tier.as_deref()).map_or(Some(ServiceTier::Default), ServiceTier::named)?;
        let call = Billable::from(usage).tier(tier);
        let Some(billed) = billed else { return Some(call) };
        if billed.beyond {
            return None;
        }
        Some(
            call.long_cache_writes(billed.long_cache_writes)
                .audio(billed.audio_input, billed.audio_output)
                .web_searches(billed.web_searches)
                .file_searches(billed.file_searches)
                .containers(i64::try_from(billed.containers.len()).unwrap_or(i64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::model::Money;
    use crate::price::{Price, PriceList};

    fn tariff(tier: Option<&str>) -> Tariff {
        let day = NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
        let price = Price::per_million(1, 2).tier(ServiceTier::Flex, "0.5").web_searches(10);
        let list = PriceList::builder("x", day).model("m", price).build().unwrap();
        let mut prices = Prices::default();
        prices.set_all(list);
        Tariff { prices, provider: "openai".to_owned(), tier: tier.map(str::to_owned) }
    }

    fn usage() -> Usage {
        Usage { input_tokens: 1_000, ..Usage::default() }
    }

    #[test]
    fn the_tier_that_served_a_call_has_the_say_before_the_one_that_was_asked_for() {
        let cost = |asked: Option<&str>, told: Option<&str>| {
            let billed = Billed { tier: told.map(str::to_owned), ..Billed::default() };
            tariff(asked).spent("m", None, usage(), Some(&billed)).costs.cost().map(Money::nanos)
        };
        assert_eq!(cost(None, None), Some(1_000_000));
        assert_eq!(cost(Some("flex"), None), Some(500_000));
        assert_eq!(cost(Some("flex"), Some("default")), Some(1_000_000));
        assert_eq!(cost(Some("auto"), Some("flex")), Some(500_000));
        assert_eq!(cost(None, Some("scale")), None, "its price is agreed upon otherwise");
        // Of a call that broke off nobody said it.
        let lost = tariff(Some("flex")).spent("m", None, usage(), None);
        assert_eq!(lost.costs.cost(), Some(Money::from_nanos(500_000)));
    }

    #[test]
    fn the_model_that_answered_has_the_say_if_a_list_knows_it() {
        let known = |asked: &str, answered: &str| {
            tariff(None).spent(asked, Some(answered), usage(), None).costs.cost().is_some()
        };
        assert!(known("my-deployment", "m") && known("m", "odd") && known("x", "m-2026-01-01"));
        assert!(!known("x", "y"));
    }

    #[test]
    fn fees_alone_are_a_cost_and_nothing_at_all_is_none() {
        let spent = |billed: &Billed| tariff(None).spent("m", None, Usage::default(), Some(billed));
        let searched = Billed { web_searches: 1, ..Billed::default() };
        assert_eq!(spent(&searched).costs.tool_cost, Some(Money::from_nanos(10_000_000)));
        let unheard_of = tariff(None).spent("unheard-of", None, Usage::default(), None);
        assert_eq!(unheard_of.costs.cost(), Some(Money::ZERO), "nothing was sent");
        let beyond = Billed { beyond: true, ..Billed::default() };
        assert_eq!(spent(&beyond).costs.cost(), None);
    }
}
