//! Rows in the form of models.dev's list.

use super::*;
use crate::model::Usage;
use crate::price::Billable;

fn load(json: &str) -> PriceList {
    PriceList::from_models_dev(json, "2026-07-02".parse().unwrap()).unwrap()
}

fn usage(input: i64, cached: i64, output: i64) -> Billable {
    Billable::from(Usage {
        input_tokens: input,
        cached_input_tokens: cached,
        output_tokens: output,
        ..Usage::default()
    })
}

/// Figures as the list had them on 2026-07-02.
const ROWS: &str = r#"{
    "openai": {
        "id": "openai", "name": "OpenAI", "env": ["OPENAI_API_KEY"], "npm": "@ai-sdk/openai",
        "models": {
            "gpt-5.5": {
                "id": "gpt-5.5", "name": "GPT-5.5", "reasoning": true,
                "reasoning_options": [{"type": "effort", "values": ["none", null]}],
                "cost": {
                    "input": 5, "output": 30, "cache_read": 0.5,
                    "tiers": [{"tier": {"type": "context", "size": 272000}, "input": 10, "output": 45, "cache_read": 1}],
                    "context_over_200k": {"input": 10, "output": 45, "cache_read": 1}
                },
                "limit": {"context": 1050000, "input": 922000, "output": 128000},
                "modalities": {"input": ["text", "image", "pdf"], "output": ["text"]},
                "experimental": {"modes": {"fast": {
                    "cost": {"input": 12.5, "output": 75, "cache_read": 1.25},
                    "provider": {"body": {"service_tier": "priority"}}
                }}}
            },
            "gpt-image-2": {"id": "gpt-image-2", "name": "gpt-image-2", "limit": {"context": 0, "output": 0}}
        }
    },
    "openrouter": {
        "id": "openrouter", "name": "OpenRouter",
        "models": {
            "openai/gpt-5.5": {"cost": {"input": 5, "output": 30}, "limit": {"context": 1050000, "output": 128000}},
            "old/model": {"cost": {"input": 1, "output": 2, "context_over_200k": {"input": 3, "output": 4}}},
            "thinking": {"cost": {"input": 1, "output": 2, "reasoning": 8}}
        }
    }
}"#;

#[test]
fn prices_for_a_million_tokens_are_read_with_their_rules() {
    let prices = load(ROWS);
    assert_eq!(prices.skipped().count(), 0);
    let parts = |call| {
        let cost = prices.try_cost("openai/gpt-5.5", call)?;
        assert_eq!((&*cost.list, cost.date.to_string()), ("models.dev", "2026-07-02".to_owned()));
        Ok::<_, crate::price::Unpriced>((cost.input.nanos(), cost.output.nanos()))
    };
    // 700 × 5 + 300 × 0.5 = 3,650; 10 × 30
    assert_eq!(parts(usage(1_000, 300, 10)), Ok((3_650_000, 300_000)));
    // Above the number of `tiers`, and not above 200,000: 250,000 × 5; 272,001 × 10, 10 × 45
    assert_eq!(parts(usage(250_000, 0, 0)), Ok((1_250_000_000, 0)));
    assert_eq!(parts(usage(272_001, 0, 10)), Ok((2_720_010_000, 450_000)));
    // 10 × 12.5; 10 × 75
    assert_eq!(parts(usage(10, 0, 10).tier(ServiceTier::Priority)), Ok((125_000, 750_000)));
    assert!(parts(usage(272_001, 0, 10).tier(ServiceTier::Priority)).is_err());
    assert!(parts(usage(10, 0, 10).tier(ServiceTier::Flex)).is_err());
}

#[test]
fn the_models_of_one_provider_have_the_names_that_it_gives_them() {
    let prices = load(ROWS);
    assert!(prices.cost("gpt-5.5", usage(1, 0, 0)).is_none(), "whose?");
    let openai = prices.of_provider("openai");
    assert!(openai.cost("gpt-5.5-2026-04-23", usage(1, 0, 0)).is_some());
    assert!(openai.cost("openai/gpt-5.5", usage(1, 0, 0)).is_some());
    let router = prices.of_provider("openrouter");
    assert!(router.cost("openai/gpt-5.5", usage(1, 0, 0)).is_some());
    assert!(router.cost("gpt-5.5", usage(1, 0, 0)).is_none());
    assert!(prices.of_provider("nobody").model_options(prices.date()).is_empty());
}

#[test]
fn a_model_without_prices_is_left_out() {
    let options = load(ROWS).model_options("2026-07-02".parse().unwrap());
    let names: Vec<_> = options.iter().map(|option| option.model.as_str()).collect();
    let expected = [
        "openai/gpt-5.5",
        "openrouter/old/model",
        "openrouter/openai/gpt-5.5",
        "openrouter/thinking",
    ];
    assert_eq!(names, expected);
    assert_eq!(options[0].context_window, Some(1_050_000));
    assert_eq!(options[0].max_output_tokens, Some(128_000));
}

#[test]
fn older_files_have_one_number_of_tokens() {
    let prices = load(ROWS);
    let nanos =
        |input| prices.cost("openrouter/old/model", usage(input, 0, 0)).unwrap().total.nanos();
    assert_eq!((nanos(200_000), nanos(200_001)), (200_000_000, 600_003_000));
}

#[test]
fn reasoning_has_the_price_that_is_listed_for_it() {
    let prices = load(ROWS);
    let usage = Usage { output_tokens: 10, reasoning_tokens: 4, ..Usage::default() };
    // 6 × 2 + 4 × 8
    assert_eq!(prices.cost("openrouter/thinking", usage).unwrap().output.nanos(), 44_000);
}

#[test]
fn what_cannot_be_read_is_told_of_and_hides_no_other() {
    let prices = load(
        r#"{
            "a": {"models": {
                "good": {"cost": {"input": 1, "output": 2}},
                "text": {"cost": {"input": "one", "output": 2}},
                "tier": {"cost": {"input": 1, "output": 2, "tiers": [{"input": 2, "tier": {"type": "hour", "size": 1}}]}},
                "size": {"cost": {"input": 1, "output": 2, "tiers": [{"input": 2}]}},
                "cost": {"cost": 5}
            }},
            "b": {"models": []},
            "c": 1,
            "d": {"name": "no models"}
        }"#,
    );
    let skipped: Vec<_> =
        prices.skipped().map(|row| (row.model.as_str(), row.field.as_str())).collect();
    let expected = [
        ("a/cost", "cost"),
        ("a/size", "tiers"),
        ("a/text", "input"),
        ("a/tier", "tiers"),
        ("b", "models"),
        ("c", "itself"),
    ];
    assert_eq!(skipped, expected);
    assert!(prices.cost("a/good", usage(1, 0, 1)).is_some());
}

#[test]
fn what_is_no_list_is_an_error() {
    let error = PriceList::from_models_dev("[1]", "2026-07-02".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("is not in the format of models.dev"), "{error}");
}
