//! What holds of any tokens, for every model of the built-in list.

use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;
use crate::model::{Money, Usage};

fn models() -> Vec<String> {
    let options = PriceList::built_in().model_options(NaiveDate::MIN);
    options.into_iter().map(|option| option.model).collect()
}

fn tiers() -> impl Strategy<Value = ServiceTier> {
    prop_oneof![
        Just(ServiceTier::Default),
        Just(ServiceTier::Flex),
        Just(ServiceTier::Batch),
        Just(ServiceTier::Priority),
    ]
}

/// Short, long, and around the rule for long requests.
fn tokens() -> impl Strategy<Value = i64> {
    prop_oneof![0..100_i64, 0..1_000_000_i64, 271_990..272_010_i64]
}

fn usage(input: i64, cached: i64, written: i64, output: i64) -> Usage {
    Usage {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output,
        ..Usage::default()
    }
}

fn nanos(model: &str, usage: Usage, tier: ServiceTier) -> Option<i64> {
    let cost = PriceList::built_in().cost(model, Billable::from(usage).tier(tier))?;
    Some(cost.total.nanos())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn more_tokens_never_cost_less(
        model in prop::sample::select(models()), tier in tiers(),
        input in tokens(), output in tokens(), more in tokens(), more_output in tokens(),
        cached in 0..=1_000_i64,
    ) {
        let cached = input * cached / 1_000;
        let less = nanos(&model, usage(input, cached, 0, output), tier);
        let grown = usage(input + more, cached, 0, output + more_output);
        if let (Some(less), Some(grown)) = (less, nanos(&model, grown, tier)) {
            prop_assert!(less <= grown, "{model} {tier}: {less} > {grown}");
        }
    }

    #[test]
    fn what_comes_from_the_cache_never_costs_more(
        model in prop::sample::select(models()), tier in tiers(),
        input in tokens(), output in tokens(), part in 0..=1_000_i64,
    ) {
        let cached = input * part / 1_000;
        let without = nanos(&model, usage(input, 0, 0, output), tier);
        let with = nanos(&model, usage(input, cached, 0, output), tier);
        if let (Some(without), Some(with)) = (without, with) {
            prop_assert!(with <= without, "{model} {tier}: {with} > {without}");
        }
    }

    #[test]
    fn a_cost_is_the_sum_of_its_parts_and_no_part_is_negative(
        model in prop::sample::select(models()), tier in tiers(),
        input in any::<i64>(), cached in any::<i64>(), written in any::<i64>(), output in any::<i64>(),
        searches in any::<i64>(),
    ) {
        let call = Billable::from(usage(input, cached, written, output)).tier(tier).web_searches(searches);
        if let Some(cost) = PriceList::built_in().cost(&model, call) {
            prop_assert_eq!(Money::checked_sum([cost.input, cost.output, cost.tools]), Some(cost.total));
            prop_assert!(cost.input.min(cost.output).min(cost.tools) >= Money::ZERO);
        }
    }

    #[test]
    fn money_is_read_as_it_is_shown(nanos in any::<i64>()) {
        let money = Money::from_nanos(nanos);
        prop_assert_eq!(money.to_string().parse::<Money>().unwrap(), money);
        prop_assert_eq!(String::from(money).parse::<Money>().unwrap(), money);
    }

    /// A file from the network may hold anything.
    #[test]
    fn no_text_makes_a_loader_panic(text in ".{0,200}", number in "[-+0-9.eE\"]{0,12}") {
        let date = NaiveDate::MIN;
        let _ = PriceList::from_litellm(&text, date);
        let _ = PriceList::from_models_dev(&text, date);
        let row = format!(r#"{{"m": {{"input_cost_per_token": {number}, "mode": "chat"}}}}"#);
        let _ = PriceList::from_litellm(&row, date);
    }
}
