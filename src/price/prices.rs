//! The prices of an engine: those of all providers, and those of one alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::billable::Billable;
use super::cost::{Cost, Unpriced};
use super::list::PriceList;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Prices {
    all: PriceList,
    /// By the names of providers in the engine.
    of: Arc<HashMap<String, PriceList>>,
}

impl Default for Prices {
    fn default() -> Self {
        Self { all: PriceList::built_in(), of: Arc::default() }
    }
}

impl Prices {
    pub(crate) fn set_all(&mut self, prices: PriceList) {
        self.all = prices;
    }

    pub(crate) fn set(&mut self, provider: String, prices: PriceList) {
        Arc::make_mut(&mut self.of).insert(provider, prices);
    }

    /// The list of all providers that have none of their own.
    pub(crate) const fn all(&self) -> &PriceList {
        &self.all
    }

    fn list(&self, provider: &str) -> &PriceList {
        self.of.get(provider).unwrap_or(&self.all)
    }

    /// What a call cost of this provider. A model is looked up by each of its names in turn: behind the name of the provider first,
    /// as lists of many providers have it, and then by itself. A name that is known has the say, also where it does not say all.
    pub(crate) fn cost(
        &self,
        provider: &str,
        names: &[&str],
        call: Billable,
    ) -> Result<Cost, Unpriced> {
        let list = self.list(provider);
        let mut unknown = Unpriced::Model(names.last().copied().unwrap_or_default().to_owned());
        for name in names {
            for name in [&*format!("{provider}/{name}"), name] {
                match list.try_cost(name, call) {
                    Err(error @ Unpriced::Model(_)) => unknown = error,
                    known => return known,
                }
            }
        }
        Err(unknown)
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::model::{Money, Usage};
    use crate::price::Price;

    fn list(models: &[(&str, f64)]) -> PriceList {
        let day = NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
        let builder = models.iter().fold(PriceList::builder("x", day), |builder, (name, price)| {
            builder.model(*name, Price::per_million(*price, 0.0))
        });
        builder.build().unwrap()
    }

    fn million() -> Billable {
        Usage { input_tokens: 1_000_000, ..Usage::default() }.into()
    }

    #[test]
    fn a_provider_has_its_own_price_of_a_name_that_others_have_too() {
        let mut prices = Prices::default();
        prices.set_all(list(&[("m", 1.0), ("groq/m", 2.0)]));
        prices.set("local".to_owned(), list(&[("m", 0.0)]));
        let of = |provider, names: &[&str]| {
            prices.cost(provider, names, million()).ok().map(|cost| cost.total)
        };
        let dollars = |count: i64| Some(Money::from_nanos(count * 1_000_000_000));
        assert_eq!(of("openai", &["m"]), dollars(1));
        assert_eq!(of("groq", &["m"]), dollars(2));
        assert_eq!(of("local", &["m"]), dollars(0));
        assert_eq!(of("openai", &["what it answered with", "m"]), dollars(1));
        assert_eq!(of("openai", &["m", "groq/m"]), dollars(1), "the first one that is known");
        let error = prices.cost("local", &["a", "b"], million()).unwrap_err();
        assert_eq!(error, Unpriced::Model("b".to_owned()));
    }
}
