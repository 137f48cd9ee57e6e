//! Rows in the form of `LiteLLM`'s list.

use super::*;
use crate::model::Usage;
use crate::price::{Billable, Unpriced};

fn load(json: &str) -> PriceList {
    PriceList::from_litellm(json, "2026-07-24".parse().unwrap()).unwrap()
}

fn usage(input: i64, cached: i64, written: i64, output: i64) -> Billable {
    Billable::from(Usage {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: written,
        output_tokens: output,
        ..Usage::default()
    })
}

/// Figures as the list had them on 2026-07-24.
const ROWS: &str = r#"{
    "sample_spec": {
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 0.0,
        "max_input_tokens": "max input tokens, if the provider specifies it",
        "deprecation_date": "date when the model becomes deprecated in the format YYYY-MM-DD",
        "mode": "one of: chat, embedding, completion"
    },
    "gpt-5.6-sol": {
        "cache_creation_input_token_cost": 6.25e-06,
        "cache_creation_input_token_cost_above_272k_tokens": 1.25e-05,
        "cache_creation_input_token_cost_flex": 3.125e-06,
        "cache_read_input_token_cost": 5e-07,
        "cache_read_input_token_cost_above_272k_tokens": 1e-06,
        "cache_read_input_token_cost_flex": 2.5e-07,
        "input_cost_per_token": 5e-06,
        "input_cost_per_token_above_272k_tokens": 1e-05,
        "input_cost_per_token_batches": 2.5e-06,
        "input_cost_per_token_flex": 2.5e-06,
        "input_cost_per_token_priority": 1e-05,
        "litellm_provider": "openai",
        "max_input_tokens": 400000,
        "max_output_tokens": 128000,
        "max_tokens": 128000,
        "mode": "chat",
        "output_cost_per_token": 3e-05,
        "output_cost_per_token_above_272k_tokens": 4.5e-05,
        "output_cost_per_token_batches": 1.5e-05,
        "output_cost_per_token_flex": 1.5e-05,
        "output_cost_per_token_priority": 6e-05,
        "regional_processing_uplift_multiplier_eu": 1.1,
        "regional_processing_uplift_multiplier_us": 1.1,
        "supported_endpoints": ["/v1/chat/completions", "/v1/batch", "/v1/responses"],
        "supports_vision": true
    },
    "claude-sonnet-4-5": {
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
        "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
        "cache_read_input_token_cost": 3e-07,
        "cache_read_input_token_cost_above_200k_tokens": 6e-07,
        "input_cost_per_token": 3e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "litellm_provider": "anthropic",
        "max_input_tokens": 200000,
        "mode": "chat",
        "output_cost_per_token": 1.5e-05,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "search_context_cost_per_query": {
            "search_context_size_high": 0.01,
            "search_context_size_low": 0.01,
            "search_context_size_medium": 0.01
        }
    },
    "gpt-4o-audio-preview": {
        "input_cost_per_audio_token": 4e-05,
        "input_cost_per_token": 2.5e-06,
        "litellm_provider": "openai",
        "mode": "chat",
        "output_cost_per_audio_token": 8e-05,
        "output_cost_per_token": 1e-05
    },
    "openrouter/openai/gpt-5": {
        "input_cost_per_token": 1.25e-06,
        "litellm_provider": "openrouter",
        "mode": "chat",
        "output_cost_per_token": 1e-05
    },
    "text-embedding-3-small": {"input_cost_per_token": 2e-08, "litellm_provider": "openai", "mode": "embedding"},
    "openai/container": {"code_interpreter_cost_per_session": 0.03, "litellm_provider": "openai", "mode": "chat"}
}"#;

#[test]
fn prices_for_one_token_are_read_exactly() {
    let prices = load(ROWS);
    assert_eq!(prices.skipped().count(), 0);
    let parts = |model: &str, call: Billable| {
        let cost = prices.try_cost(model, call)?;
        assert_eq!((&*cost.list, cost.date.to_string()), ("LiteLLM", "2026-07-24".to_owned()));
        Ok::<_, Unpriced>((cost.input.nanos(), cost.output.nanos()))
    };
    let sol = |call| parts("gpt-5.6-sol", call);
    // 500 × 5 + 300 × 0.5 + 200 × 6.25 = 3,900; 10 × 30
    assert_eq!(sol(usage(1_000, 300, 200, 10)), Ok((3_900_000, 300_000)));
    // 272,001 × 10; 10 × 45
    assert_eq!(sol(usage(272_001, 0, 0, 10)), Ok((2_720_010_000, 450_000)));
    // 500 × 2.5 + 300 × 0.25 + 200 × 3.125 = 1,950; 10 × 15
    assert_eq!(sol(usage(1_000, 300, 200, 10).tier(ServiceTier::Flex)), Ok((1_950_000, 150_000)));
    // 10 × 10; 10 × 60
    assert_eq!(sol(usage(10, 0, 0, 10).tier(ServiceTier::Priority)), Ok((100_000, 600_000)));
    // 10 × 5 × 1.1
    assert_eq!(sol(usage(10, 0, 0, 0).data_residency()), Ok((55_000, 0)));
    // Named in no field: what a batch takes for cached tokens, and a tier for long requests
    assert!(sol(usage(10, 1, 0, 0).tier(ServiceTier::Batch)).is_err());
    assert!(sol(usage(272_001, 0, 0, 0).tier(ServiceTier::Flex)).is_err());
    assert!(sol(usage(10, 0, 0, 0).web_searches(1)).is_err());
}

#[test]
fn both_lifetimes_of_a_cache_are_read() {
    let prices = load(ROWS);
    let cost = |call| prices.cost("claude-sonnet-4-5-20250929", call).unwrap();
    // 100 × 3.75; 100 × 6; above 200,000 the same twice
    assert_eq!(cost(usage(100, 0, 100, 0)).input.nanos(), 375_000);
    assert_eq!(cost(usage(100, 0, 100, 0).long_cache_writes(100)).input.nanos(), 600_000);
    let long = usage(200_001, 0, 200_001, 0);
    assert_eq!(cost(long).input.nanos(), 200_001 * 7_500);
    assert_eq!(cost(long.long_cache_writes(200_001)).input.nanos(), 200_001 * 12_000);
    // 2 × 0.01 dollars
    assert_eq!(cost(usage(0, 0, 0, 0).web_searches(2)).tools.nanos(), 20_000_000);
}

#[test]
fn sound_is_read_and_models_without_text_are_left_out() {
    let prices = load(ROWS);
    // 50 × 2.5 + 50 × 40; 10 × 80
    let cost = prices.cost("gpt-4o-audio-preview", usage(100, 0, 0, 10).audio(50, 10)).unwrap();
    assert_eq!((cost.input.nanos(), cost.output.nanos()), (2_125_000, 800_000));
    let options = prices.model_options("2026-07-24".parse().unwrap());
    let names: Vec<_> = options.iter().map(|option| option.model.as_str()).collect();
    let expected =
        ["claude-sonnet-4-5", "gpt-4o-audio-preview", "gpt-5.6-sol", "openrouter/openai/gpt-5"];
    assert_eq!(names, expected);
    assert_eq!(options[2].context_window, Some(400_000));
}

#[test]
fn a_router_s_model_is_found_by_its_whole_name_or_in_the_list_of_the_router() {
    let prices = load(ROWS);
    let call = usage(1, 0, 0, 0);
    assert!(prices.cost("openrouter/openai/gpt-5", call).is_some());
    assert!(prices.cost("openai/gpt-5", call).is_none() && prices.cost("gpt-5", call).is_none());
    let router = prices.of_provider("openrouter");
    assert!(router.cost("openai/gpt-5", call).is_some());
    assert!(router.cost("gpt-5.6-sol", call).is_none());
}

#[test]
fn a_row_that_cannot_be_read_is_told_of_and_hides_no_other() {
    let prices = load(
        r#"{
            "good": {"input_cost_per_token": "3e-06", "output_cost_per_token": null},
            "text": {"input_cost_per_token": "three", "output_cost_per_token": 1e-06},
            "negative": {"input_cost_per_token": -1e-06},
            "dated": {"input_cost_per_token": 1e-06, "deprecation_date": "soon"},
            "limits": {"input_cost_per_token": 1e-06, "max_input_tokens": 1.5},
            "list": [1, 2],
            "mode": {"input_cost_per_token": 1e-06, "mode": 7},
            "unknown": {"input_cost_per_token": 1e-06, "input_cost_per_token_balanced": "?", "x": {"y": []}}
        }"#,
    );
    let skipped: Vec<_> =
        prices.skipped().map(|row| (row.model.as_str(), row.field.as_str())).collect();
    let expected = [
        ("dated", "deprecation_date"),
        ("limits", "max_input_tokens"),
        ("list", "itself"),
        ("mode", "mode"),
        ("negative", "input_cost_per_token"),
        ("text", "input_cost_per_token"),
    ];
    assert_eq!(skipped, expected);
    let text = prices.skipped().last().unwrap().to_string();
    assert!(
        text.starts_with(r#"model "text" has "three" in the field `input_cost_per_token`"#),
        "{text}"
    );
    assert_eq!(prices.cost("good", usage(10, 0, 0, 0)).unwrap().input.nanos(), 30_000);
    assert!(prices.cost("unknown", usage(1, 0, 0, 0)).is_some());
    assert!(prices.cost("text", usage(1, 0, 0, 0)).is_none());
}

#[test]
fn stretches_of_lengths_are_bands() {
    let prices = load(
        r#"{"qwen": {"tiered_pricing": [
            {"range": [0, 256000.0], "input_cost_per_token": 4e-07, "output_cost_per_token": 1.2e-06},
            {"range": [256000.0, 1000000.0], "input_cost_per_token": 1.2e-06, "output_cost_per_token": 3.6e-06}
        ]}}"#,
    );
    let nanos = |input| prices.cost("qwen", usage(input, 0, 0, 0)).unwrap().input.nanos();
    assert_eq!(nanos(256_000), 256_000 * 400);
    assert_eq!(nanos(256_001), 256_001 * 1_200);
}

#[test]
fn fees_that_depend_on_what_nobody_knows_are_not_known() {
    let prices = load(
        r#"{"m": {"input_cost_per_token": 1e-06, "file_search_cost_per_1k_calls": 2.5,
            "search_context_cost_per_query": {"search_context_size_low": 0.03, "search_context_size_high": 0.05},
            "regional_processing_uplift_multiplier_eu": 1.1, "regional_processing_uplift_multiplier_us": 1.2}}"#,
    );
    let call = usage(1, 0, 0, 0);
    assert!(prices.cost("m", call.web_searches(1)).is_none());
    assert!(prices.cost("m", call.data_residency()).is_none());
    assert_eq!(prices.cost("m", call.file_searches(4)).unwrap().tools.nanos(), 10_000_000);
}

#[test]
fn what_is_no_list_is_an_error() {
    for json in ["", "[]", "null", "{\"m\": {", "<html>"] {
        let error = PriceList::from_litellm(json, "2026-07-24".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("is not in the format of LiteLLM"), "{error}");
    }
}

#[test]
fn a_field_says_by_its_name_what_it_is_for() {
    let is = |meter, over, tier| Some(Place { meter, over, tier });
    for (field, place_) in [
        ("input_cost_per_token", is(Meter::Input, 0, ServiceTier::Default)),
        (
            "output_cost_per_token_above_128k_tokens",
            is(Meter::Output, 128_000, ServiceTier::Default),
        ),
        (
            "cache_read_input_token_cost_above_200k_tokens_priority",
            is(Meter::Cached, 200_000, ServiceTier::Priority),
        ),
        (
            "output_cost_per_token_above_272k_tokens_ultrafast",
            is(Meter::Output, 272_000, ServiceTier::Ultrafast),
        ),
        (
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
            is(Meter::LongCacheWrite, 200_000, ServiceTier::Default),
        ),
        ("output_cost_per_reasoning_token", is(Meter::Reasoning, 0, ServiceTier::Default)),
        ("input_cost_per_token_cache_hit", None),
        ("input_cost_per_token_balanced", None),
        ("input_cost_per_token_above_1hr", None),
        ("cache_creation_input_audio_token_cost", None),
        ("input_cost_per_image", None),
        ("input_cost_per_token_above_99999999999999999999k_tokens", None),
        ("max_tokens", None),
    ] {
        assert_eq!(place(field), place_, "{field}");
    }
}
