//! Lists: names, layers, what is offered, what is refused.

use chrono::NaiveDate;

use super::*;
use crate::model::Usage;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn one_token() -> Usage {
    Usage { input_tokens: 1, ..Usage::default() }
}

/// A list whose models cost as many nanos a token as is said.
fn list(name: &str, models: &[(&str, i64)]) -> PriceList {
    let builder = PriceList::builder(name, day("2026-11-28"));
    let thousandths = |nanos: i64| format!("0.{nanos:03}");
    models
        .iter()
        .fold(builder, |list, (model, nanos)| {
            list.model(*model, Price::per_million(thousandths(*nanos), 0))
        })
        .build()
        .unwrap()
}

fn nanos(prices: &PriceList, model: &str) -> Option<i64> {
    prices.cost(model, one_token()).map(|cost| cost.total.nanos())
}

#[test]
fn the_built_in_list_can_be_read_to_its_end() {
    let prices = PriceList::built_in();
    assert_eq!(prices.skipped().collect::<Vec<_>>(), Vec::<&Skipped>::new());
    assert_eq!((prices.name(), prices.date()), ("built-in", day("2026-11-28")));
    let text: serde_json::Value = serde_json::from_str(include_str!("built_in.json")).unwrap();
    let rows = text["models"].as_array().unwrap();
    for row in rows {
        assert!(row["source"].as_str().is_some_and(|source| source.len() > 20), "{row}");
    }
    let all = prices.model_options(NaiveDate::MIN);
    assert_eq!(all.len(), rows.len(), "a model is there twice");
    for option in all {
        assert!(option.input.is_some() && option.output.is_some(), "{option:?}");
        assert!(
            option.context_window.is_some() && option.max_output_tokens.is_some(),
            "{option:?}"
        );
        assert_eq!(option.provider.as_deref(), Some("openai"));
        // A cached token is never dearer, and a written one never cheaper.
        assert!(option.cached.is_none_or(|cached| Some(cached) < option.input), "{option:?}");
        assert!(option.cache_write.is_none_or(|write| Some(write) > option.input), "{option:?}");
    }
}

#[test]
fn a_model_is_found_by_the_names_that_servers_give_it() {
    let prices = PriceList::built_in();
    for name in [
        "gpt-6-luna",
        "gpt-6-luna-2026-10-01",
        "gpt-6-luna-20261001",
        "openai/gpt-6-luna",
        "openai/gpt-6-luna-2026-10-01",
    ] {
        let cost = prices.cost(name, one_token()).unwrap();
        assert_eq!((cost.model.as_str(), cost.total.nanos()), ("gpt-6-luna", 100), "{name}");
    }
}

#[test]
fn another_model_is_never_taken_for_it() {
    let prices = PriceList::built_in();
    assert_ne!(nanos(&prices, "gpt-5.4"), nanos(&prices, "gpt-5.4-mini"));
    for name in [
        "gpt-5.4-mini-high",
        "gpt-5.4-pro",
        "gpt-6-luna-fast",
        "gpt-6",
        "gpt",
        "",
        "azure/gpt-6-luna",
        "openrouter/openai/gpt-6-luna",
        "ft:gpt-4o-mini-2024-07-18:us::id",
        "gpt-6-luna-2026-13-01",
        "GPT-6-luna",
    ] {
        assert_eq!(nanos(&prices, name), None, "{name}");
    }
}

#[test]
fn a_snapshot_that_is_listed_has_its_own_price() {
    let prices = list("ours", &[("m", 1), ("m-2026-01-01", 2)]);
    assert_eq!(nanos(&prices, "m-2026-01-01"), Some(2));
    assert_eq!(nanos(&prices, "m-2026-01-02"), Some(1));
    let dated = list("ours", &[("m-2026-01-01", 2)]);
    assert_eq!(nanos(&dated, "m"), None, "another snapshot may cost something else");
}

#[test]
fn the_first_list_that_has_a_model_has_the_say() {
    let prices = list("first", &[("a", 1)]).or(list("second", &[("a", 2), ("b", 3)]));
    let cost = |model| prices.cost(model, one_token()).unwrap();
    assert_eq!((cost("a").total.nanos(), &*cost("a").list), (1, "first"));
    assert_eq!((cost("b").total.nanos(), &*cost("b").list), (3, "second"));
    assert_eq!((prices.name(), nanos(&prices, "c")), ("first", None));
    // Also where it does not say all: the other one may mean another model.
    let cached = Usage { cached_input_tokens: 1, ..one_token() };
    let ours = list("ours", &[("gpt-6-luna", 1)]).or(PriceList::built_in());
    let missing = Unpriced::Price { model: "gpt-6-luna".to_owned(), what: "cached" };
    assert_eq!(ours.try_cost("gpt-6-luna", cached), Err(missing));
    // And the snapshot of a model that it has.
    assert_eq!(nanos(&ours, "gpt-6-luna-2026-10-01"), Some(1));
}

#[test]
fn models_that_are_shut_down_are_not_offered_and_their_costs_stay_known() {
    let prices = PriceList::built_in();
    let offered = |on| {
        let options = prices.model_options(day(on));
        move |model: &str| options.iter().find(|option| option.model == model).cloned()
    };
    let today = offered("2026-11-28");
    assert!(today("gpt-4.1-nano").is_none() && today("gpt-4o-2024-05-13").is_none());
    assert_eq!(today("gpt-4o").unwrap().shutdown, Some(day("2027-01-14")));
    assert_eq!(today("gpt-6-luna").unwrap().shutdown, None);
    assert!(offered("2027-01-13")("gpt-4o").is_some());
    assert!(offered("2027-01-14")("gpt-4o").is_none());
    assert!(prices.cost("gpt-4.1-nano", one_token()).is_some());
}

#[test]
fn an_option_shows_the_prices_of_a_million_tokens() {
    let options = PriceList::built_in().model_options(day("2026-11-28"));
    let names: Vec<_> = options.iter().map(|option| option.model.clone()).collect();
    assert!(names.is_sorted());
    let luna = options.iter().find(|option| option.model == "gpt-6-luna").unwrap();
    let shown = [luna.input, luna.cached, luna.cache_write, luna.output];
    let shown = shown.map(|price| price.unwrap().to_string());
    assert_eq!(shown, ["$0.10", "$0.01", "$0.125", "$0.50"]);
    assert_eq!(luna.context_window, Some(1_050_000));
    let json = serde_json::to_value(luna).unwrap();
    assert_eq!(json["cache_write"], "0.125");
    assert_eq!(json["date"], "2026-11-28");
}

#[test]
fn the_options_of_layers_are_those_of_the_first_list_that_has_them() {
    let prices = list("first", &[("b", 1)]).or(list("second", &[("b", 2), ("a", 3)]));
    let options = prices.model_options(day("2026-11-28"));
    let seen: Vec<_> = options.iter().map(|option| (&*option.model, &*option.list)).collect();
    assert_eq!(seen, [("a", "second"), ("b", "first")]);
}

#[test]
fn what_is_no_price_is_refused_with_the_model_and_the_field() {
    let refused = |price: Price| {
        let list = PriceList::builder("ours", day("2026-11-28")).model("llama-4", price);
        list.build().unwrap_err().to_string()
    };
    let base = || Price::per_million(1, 2);
    for (price, field) in [
        (Price::per_million("free", 1), "input"),
        (Price::per_million(1, -2), "output"),
        (Price::per_million(f64::NAN, 1), "input"),
        (base().cached("1e-30"), "cached"),
        (base().cache_write(1e300), "cache_write"),
        (base().long_context(0, 2, 2), "long_context"),
        (base().long_context(10, "twice", 2), "long_context"),
        (base().tier(ServiceTier::Flex, ""), "flex"),
        (base().web_searches("ten"), "web_searches"),
        (base().context_window(-1), "context_window"),
    ] {
        let error = refused(price);
        assert!(error.starts_with("model \"llama-4\" has "), "{error}");
        assert!(error.contains(&format!("in the field `{field}`")), "{error}");
    }
    let blank = PriceList::builder(" ", day("2026-11-28")).build().unwrap_err().to_string();
    assert!(blank.starts_with("price list "), "{blank}");
}

#[test]
fn a_price_may_be_given_as_any_number() {
    let prices = PriceList::builder("ours", day("2026-11-28"))
        .model("m", Price::per_million(0.1, "0.30").cached(1e-7).cache_write(2_u8))
        .build()
        .unwrap();
    let option = &prices.model_options(day("2026-11-28"))[0];
    let shown = [option.input, option.output, option.cached, option.cache_write];
    let shown = shown.map(|price| price.unwrap().to_string());
    assert_eq!(shown, ["$0.10", "$0.30", "$0.0000001", "$2.00"]);
}

#[test]
fn rules_hold_whatever_is_said_first() {
    let one =
        Price::per_million(1, 2).long_context(10, 2, 3).tier(ServiceTier::Flex, 0.5).cached(0.1);
    let other =
        Price::per_million(1, 2).cached(0.1).tier(ServiceTier::Flex, 0.5).long_context(10, 2, 3);
    let cost = |price| {
        let prices =
            PriceList::builder("ours", day("2026-11-28")).model("m", price).build().unwrap();
        let usage = Usage { input_tokens: 20, cached_input_tokens: 20, ..Usage::default() };
        prices.cost("m", Billable::from(usage).tier(ServiceTier::Flex)).unwrap().input.nanos()
    };
    // 20 × 0.1 × 2 × 0.5
    assert_eq!((cost(one), cost(other)), (2_000, 2_000));
}
