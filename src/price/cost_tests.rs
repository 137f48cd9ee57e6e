//! Costs that were computed by hand, from the built-in list.

use super::*;
use crate::model::{Money, Usage};

fn usage(input: i64, cached: i64, written: i64, output: i64) -> Billable {
    Billable::from(Usage {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output,
        ..Usage::default()
    })
}

/// A model, what is charged for, and the nanos of the input and the output; none: not known.
type Case = (&'static str, Billable, Option<(i64, i64)>);

/// Nanos are tokens × dollars for a million × 1,000.
fn cases() -> Vec<Case> {
    use ServiceTier::{Batch, Flex, Priority, Ultrafast};
    vec![
        // 1,000 × 0.10; 500 × 0.50
        ("gpt-6-luna", usage(1_000, 0, 0, 500), Some((100_000, 250_000))),
        // 2,000 × 0.10 + 8,000 × 0.01 = 280; 100 × 0.50
        ("gpt-6-luna", usage(10_000, 8_000, 0, 100), Some((280_000, 50_000))),
        // 1,000 × 0.10 + 4,000 × 0.01 + 5,000 × 0.125 = 765
        ("gpt-6-luna", usage(10_000, 4_000, 5_000, 0), Some((765_000, 0))),
        // One token of each: 0.10; 0.50
        ("gpt-6-luna-2026-10-01", usage(1, 0, 0, 1), Some((100, 500))),
        ("openai/gpt-6-luna", usage(1, 1, 0, 0), Some((10, 0))),
        ("gpt-6-luna", usage(0, 0, 0, 0), Some((0, 0))),
        // At the number itself the usual prices hold: 272,000 × 0.10; 1,000 × 0.50
        ("gpt-6-luna", usage(272_000, 0, 0, 1_000), Some((27_200_000, 500_000))),
        // One more, and all of it is dearer: 272,001 × 0.20; 1,000 × 0.75
        ("gpt-6-luna", usage(272_001, 0, 0, 1_000), Some((54_400_200, 750_000))),
        // 50,000 × 0.20 + 200,000 × 0.02 + 50,000 × 0.25 = 26,500; 2,000 × 0.75
        ("gpt-6-luna", usage(300_000, 200_000, 50_000, 2_000), Some((26_500_000, 1_500_000))),
        // Half: 1,000 × 0.05; 500 × 0.25
        ("gpt-6-luna", usage(1_000, 0, 0, 500).tier(Flex), Some((50_000, 125_000))),
        // 2,000 × 0.05 + 8,000 × 0.005 = 140; 100 × 0.25
        ("gpt-6-luna", usage(10_000, 8_000, 0, 100).tier(Batch), Some((140_000, 25_000))),
        // Twice: 1,000 × 0.20; 500 × 1
        ("gpt-6-luna", usage(1_000, 0, 0, 500).tier(Priority), Some((200_000, 500_000))),
        // Both rules: 272,001 × 0.10 × 2 × 0.5; 1,000 × 0.50 × 1.5 × 0.5
        ("gpt-6-luna", usage(272_001, 0, 0, 1_000).tier(Flex), Some((27_200_100, 375_000))),
        // 272,001 × 0.10 × 2 × 2; 1,000 × 0.50 × 1.5 × 2
        ("gpt-6-luna", usage(272_001, 0, 0, 1_000).tier(Priority), Some((108_800_400, 1_500_000))),
        // A tenth more: 1,000 × 0.11; 500 × 0.55
        ("gpt-6-luna", usage(1_000, 0, 0, 500).data_residency(), Some((110_000, 275_000))),
        // 1 × 0.10 × 0.5 × 1.1 = 0.055; 1 × 0.50 × 0.5 × 1.1 = 0.275
        ("gpt-6-luna", usage(1, 0, 0, 1).tier(Flex).data_residency(), Some((55, 275))),
        // 1 × 0.01 × 0.5 × 1.1 = 0.0055: 5.5 nanos, of which the even side is 6
        ("gpt-6-luna", usage(1, 1, 0, 0).tier(Flex).data_residency(), Some((6, 0))),
        // 3 × 0.0055 = 0.0165: 16.5 nanos, of which the even side is 16
        ("gpt-6-luna", usage(3, 3, 0, 0).tier(Flex).data_residency(), Some((16, 0))),
        // The part is rounded and not the price: 7 × 0.0055 = 0.0385, 38.5 nanos, and not 7 × 6
        ("gpt-6-luna", usage(7, 7, 0, 0).tier(Flex).data_residency(), Some((38, 0))),
        // 20,000 × 10 + 60,000 × 1 + 20,000 × 12.50 = 510,000; 8,000 × 50
        ("gpt-6-astra", usage(100_000, 60_000, 20_000, 8_000), Some((510_000_000, 400_000_000))),
        // 200,000 × 2 × 2 × 2 + 100,000 × 0.10 × 2 × 2 = 1,640,000; 1,000 × 10 × 1.5 × 2
        (
            "gpt-6.1-sol",
            usage(300_000, 100_000, 0, 1_000).tier(Priority),
            Some((1_640_000_000, 30_000_000)),
        ),
        // 4,000 × 1 + 2,000 × 0.05 + 3,000 × 1.25 + 1,000 × 2.50 = 10,350; 600 × 5
        (
            "gpt-6.1-terra",
            usage(10_000, 2_000, 4_000, 600).long_cache_writes(1_000),
            Some((10_350_000, 3_000_000)),
        ),
        // 270,000 × 1; 20,000 × 5, together $0.37
        ("gpt-6.1-terra", usage(270_000, 0, 0, 20_000), Some((270_000_000, 100_000_000))),
        // A ninth more tokens: 300,000 × 2; 20,000 × 7.50, together $0.75
        ("gpt-6.1-terra", usage(300_000, 0, 0, 20_000), Some((600_000_000, 150_000_000))),
        // 500 × 0.50 + 500 × 0.025 = 262.5; 10 × 2.50
        ("gpt-6.1-terra", usage(1_000, 500, 0, 10).tier(Flex), Some((262_500, 25_000))),
        // No price of cache writes in other tiers
        ("gpt-6.1-terra", usage(1_000, 0, 500, 10).tier(Flex), None),
        // 1,000 × 5, for 12 hours
        ("gpt-6.2-sol", usage(1_000, 0, 1_000, 0).long_cache_writes(1_000), Some((5_000_000, 0))),
        // Which is said of short requests alone
        ("gpt-6.2-sol", usage(300_000, 0, 1_000, 0).long_cache_writes(1_000), None),
        ("gpt-6.1-sol", usage(1_000, 0, 1_000, 0).long_cache_writes(1), None),
        ("gpt-6.2-sol", usage(1_000, 0, 0, 0).tier(Ultrafast), None),
        // 500 × 8 + 500 × 0.40 = 4,200; 10 × 40
        ("gpt-6.2-astra", usage(1_000, 500, 0, 10), Some((4_200_000, 400_000))),
        ("gpt-6.2-astra", usage(1_000, 500, 1, 10), None),
        ("gpt-6.2-astra", usage(272_001, 0, 0, 0), None),
        // 1,000 × 5 × 2.5; 100 × 30 × 2.5
        ("gpt-5.5", usage(1_000, 0, 0, 100).tier(Priority), Some((12_500_000, 7_500_000))),
        ("gpt-5.5", usage(272_001, 0, 0, 100).tier(Priority), None),
        // 1,000 × 0.20 × 2; 500 × 1.20 × 2
        ("gpt-5.6-luna", usage(1_000, 0, 0, 500).tier(Priority), Some((400_000, 1_200_000))),
        // 500 × 4 + 300 × 0.40 + 200 × 5 = 3,120; 10 × 20
        ("gpt-5.6-sol", usage(1_000, 300, 200, 10), Some((3_120_000, 200_000))),
        // 200,000 × 2.50 × 2 × 0.5 + 100,000 × 0.25 × 2 × 0.5 = 525,000; 1,000 × 15 × 1.5 × 0.5
        ("gpt-5.4", usage(300_000, 100_000, 0, 1_000).tier(Flex), Some((525_000_000, 11_250_000))),
        // 123 × 0.75 = 92.25; 45 × 4.50 = 202.5
        ("gpt-5.4-mini", usage(123, 0, 0, 45), Some((92_250, 202_500))),
        // It has no rule for long requests: 300,000 × 0.75
        ("gpt-5.4-mini", usage(300_000, 0, 0, 0), Some((225_000_000, 0))),
        // 7 × 0.02 = 0.14; 3 × 1.25 = 3.75
        ("gpt-5.4-nano-2026-03-17", usage(7, 7, 0, 3), Some((140, 3_750))),
        ("gpt-5.4-nano", usage(7, 0, 0, 3).tier(Priority), None),
        // 600 × 2 × 1.75 + 400 × 0.50 × 1.75 = 2,450; 100 × 8 × 1.75
        ("gpt-4.1", usage(1_000, 400, 0, 100).tier(Priority), Some((2_450_000, 1_400_000))),
        // 1,000 × 1.25; 100 × 5
        ("gpt-4o", usage(1_000, 0, 0, 100).tier(Batch), Some((1_250_000, 500_000))),
        // What is cached has no price in a batch
        ("gpt-4o", usage(1_000, 1, 0, 100).tier(Batch), None),
        // A snapshot that is listed itself: 1,000 × 5; 100 × 15
        ("gpt-4o-2024-05-13", usage(1_000, 0, 0, 100), Some((5_000_000, 1_500_000))),
        // And one that is not: 1,000 × 2.50; 100 × 10
        ("gpt-4o-2024-11-20", usage(1_000, 0, 0, 100), Some((2_500_000, 1_000_000))),
        // What nobody lists is not free
        ("gpt-7", usage(0, 0, 0, 0), None),
    ]
}

#[test]
fn the_costs_are_those_computed_by_hand() {
    let prices = PriceList::built_in();
    for (number, (model, call, expected)) in cases().into_iter().enumerate() {
        let cost = prices.try_cost(model, call);
        let parts = cost.as_ref().ok().map(|cost| (cost.input.nanos(), cost.output.nanos()));
        assert_eq!(parts, expected, "case {number}: {model} {call:?}: {cost:?}");
        let Ok(cost) = cost else { continue };
        assert_eq!(cost.total.nanos(), cost.input.nanos() + cost.output.nanos());
        assert_eq!(cost.tools, Money::ZERO);
        assert_eq!((cost.list.as_str(), cost.date), ("built-in", prices.date()));
    }
}

#[test]
fn reasoning_is_a_part_of_the_output_and_not_counted_twice() {
    let with = |reasoning| {
        let call = usage(0, 0, 0, 1_000);
        let usage = Usage { reasoning_tokens: reasoning, ..call.usage };
        PriceList::built_in().cost("gpt-6-luna", usage).unwrap().output
    };
    assert_eq!(with(0), with(900));
}

#[test]
fn reasoning_with_a_price_of_its_own_has_it() {
    let date = PriceList::built_in().date();
    let price = Price::per_million(1, 2).reasoning(3);
    let prices = PriceList::builder("ours", date).model("m", price).build().unwrap();
    let usage =
        |reasoning_tokens| Usage { output_tokens: 100, reasoning_tokens, ..Usage::default() };
    // 60 × 2 + 40 × 3 = 240
    assert_eq!(prices.cost("m", usage(40)).unwrap().output.nanos(), 240_000);
    assert_eq!(prices.try_cost("m", usage(101)), Err(Unpriced::Usage("reasoning_tokens")));
}

#[test]
fn the_tools_of_the_provider_are_apart_from_the_tokens() {
    let prices = PriceList::built_in();
    let call = usage(1_000, 0, 0, 500).web_searches(3).file_searches(2).containers(1);
    // 3 × 10 / 1,000 + 2 × 2.50 / 1,000 + 0.03 = 0.065 dollars
    for tier in [ServiceTier::Default, ServiceTier::Flex] {
        let cost = prices.cost("gpt-6-luna", call.tier(tier).data_residency()).unwrap();
        assert_eq!(cost.tools.nanos(), 65_000_000);
        assert_eq!(cost.total.nanos(), cost.input.nanos() + cost.output.nanos() + 65_000_000);
    }
    let missing = prices.try_cost("gpt-4o-mini", usage(1, 0, 0, 1).web_searches(1));
    let what = Unpriced::Price { model: "gpt-4o-mini".to_owned(), what: "web_searches" };
    assert_eq!(missing, Err(what));
    assert!(prices.cost("gpt-4o-mini", usage(1, 0, 0, 1).file_searches(1)).is_some());
}

#[test]
fn sound_and_pictures_have_prices_of_their_own_where_a_list_names_them() {
    let date = PriceList::built_in().date();
    let prices = PriceList::builder("ours", date)
        .model("m", Price::per_million(1, 2).cached("0.1").audio(40, 80).images(5, 30))
        .build()
        .unwrap();
    let call = usage(1_000, 500, 0, 100).audio(200, 30).images(100, 20);
    // (1,000 − 500 − 200 − 100) × 1 + 500 × 0.1 + 200 × 40 + 100 × 5 = 8,750
    // (100 − 30 − 20) × 2 + 30 × 80 + 20 × 30 = 3,100
    let cost = prices.cost("m", call).unwrap();
    assert_eq!((cost.input.nanos(), cost.output.nanos()), (8_750_000, 3_100_000));
    assert!(PriceList::built_in().cost("gpt-6-luna", call).is_none());
}

#[test]
fn counts_that_contradict_each_other_have_no_cost() {
    let prices = PriceList::built_in();
    for (call, name) in [
        (usage(-1, 0, 0, 0), "input_tokens"),
        (usage(0, 0, 0, i64::MIN), "output_tokens"),
        (usage(10, 11, 0, 0), "cached_input_tokens"),
        (usage(10, 6, 6, 0), "cache_write_tokens"),
        (usage(10, 0, 5, 0).long_cache_writes(6), "long_cache_writes"),
        (usage(10, 0, 0, 5).audio(11, 0), "audio"),
        (usage(10, 0, 0, 5).images(0, 6), "images"),
        (usage(10, 0, 0, 5).audio(3, -1), "audio"),
        (usage(10, 0, 0, 5).web_searches(-1), "web_searches"),
    ] {
        assert_eq!(prices.try_cost("gpt-6-luna", call), Err(Unpriced::Usage(name)));
    }
}

#[test]
fn what_is_more_than_can_be_kept_is_said_and_not_cut_off() {
    let prices = PriceList::built_in();
    for call in [
        usage(i64::MAX, 0, 0, 0),
        usage(0, 0, 0, i64::MAX),
        usage(0, 0, 0, 0).web_searches(i64::MAX),
        // Each part can be kept, and the sum cannot: 1.6 and 9 billion dollars
        usage(80_000_000_000_000_000, 80_000_000_000_000_000, 0, 0).containers(300_000_000_000),
    ] {
        assert_eq!(prices.try_cost("gpt-6-luna", call), Err(Unpriced::TooLarge), "{call:?}");
    }
}

#[test]
fn a_cost_of_estimated_tokens_is_marked() {
    let prices = PriceList::built_in();
    for estimated in [false, true] {
        let usage = Usage { estimated, ..Usage::default() };
        assert_eq!(prices.cost("gpt-6-luna", usage).unwrap().estimated, estimated);
    }
}
