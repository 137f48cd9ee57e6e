//! The list of `LiteLLM`, `model_prices_and_context_window.json`: one object for each model, prices for one token.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::billable::ServiceTier;
use super::exact::{self, A_PRICE};
use super::json::{Object, number};
use super::list::PriceList;
use super::rates::{Meter, Table};
use super::row::{Bad, Fees, Row};
use crate::error::{Error, Result};

impl PriceList {
    /// Reads `LiteLLM`'s list, `model_prices_and_context_window.json` of its repository. The day is the one on which it was fetched.
    ///
    /// Models are known by the names that it gives them, which often begin with a provider. Read are the prices of tokens, with those
    /// for long requests, for tiers and for regions; the fees of web search, search in files and the code interpreter; limits, and the
    /// day of the shutdown. Models that do not answer with text, such as those for embeddings, are left out; so is a model with
    /// something that cannot be read, of which [`skipped`](Self::skipped) tells.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when this is not a JSON object.
    pub fn from_litellm(json: &str, date: NaiveDate) -> Result<Self> {
        let file = Object::parse(json).map_err(|error| not_a_list("LiteLLM", json, &error))?;
        let rows = file
            .objects()
            .map(|(model, object)| (model.to_owned(), object.and_then(|object| row(&object))));
        Ok(Self::loaded("LiteLLM", date, rows.collect::<Vec<_>>()))
    }
}

/// What came is no list at all.
pub(super) fn not_a_list(format: &str, json: &str, error: &serde_json::Error) -> Error {
    Error::invalid("price list", json, format!("is not in the format of {format}: {error}"))
}

fn row(object: &Object<'_>) -> Result<Option<Row>, Bad> {
    let answers = ["chat", "completion", "responses"];
    if object.text("mode")?.is_some_and(|mode| !answers.contains(&&*mode)) {
        return Ok(None);
    }
    let mut table = Table::default();
    fill(&mut table, object, None)?;
    // Some providers price each stretch of lengths for itself.
    for stretch in object.array("tiered_pricing")? {
        fill(&mut table, &stretch, Some(stretch.first_count("range")?.unwrap_or(0)))?;
    }
    if !table.is_of_text() {
        return Ok(None);
    }
    Ok(Some(Row {
        table,
        data_residency: region(object)?,
        fees: fees(object)?,
        provider: object.text("litellm_provider")?,
        context_window: object.count("max_input_tokens")?,
        max_output_tokens: object.count("max_output_tokens")?,
        shutdown: object.date("deprecation_date")?,
    }))
}

/// Puts each price that is named here into its place.
fn fill(table: &mut Table, object: &Object<'_>, stretch: Option<i64>) -> Result<(), Bad> {
    for (field, raw) in object.fields().filter(|(_, raw)| raw.get() != "null") {
        let Some(place) = place(field) else { continue };
        let over = stretch.unwrap_or(place.over);
        table.at(over, place.tier).set(place.meter, of_one(field, raw)?);
    }
    Ok(())
}

fn of_one(field: &str, raw: &RawValue) -> Result<Decimal, Bad> {
    number(raw).and_then(exact::of_one).ok_or_else(|| Bad::new(field, raw.get(), A_PRICE))
}

/// Where a price belongs.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    meter: Meter,
    over: i64,
    tier: ServiceTier,
}

const METERS: [(&str, Meter); 9] = [
    ("input_cost_per_token", Meter::Input),
    ("output_cost_per_token", Meter::Output),
    ("cache_read_input_token_cost", Meter::Cached),
    ("cache_creation_input_token_cost", Meter::CacheWrite),
    ("output_cost_per_reasoning_token", Meter::Reasoning),
    ("input_cost_per_audio_token", Meter::AudioInput),
    ("output_cost_per_audio_token", Meter::AudioOutput),
    ("input_cost_per_image_token", Meter::ImageInput),
    ("output_cost_per_image_token", Meter::ImageOutput),
];

const TIERS: [(&str, ServiceTier); 4] = [
    ("_flex", ServiceTier::Flex),
    ("_batches", ServiceTier::Batch),
    ("_priority", ServiceTier::Priority),
    ("_ultrafast", ServiceTier::Ultrafast),
];

/// A field's name is that of a meter, and then what it is for: `_above_272k_tokens`, `_above_1hr` (kept so long in the cache), a tier;
/// also one after the other. What has another end is another thing.
fn place(field: &str) -> Option<Place> {
    let (mut rest, mut meter) =
        METERS.iter().find_map(|(name, meter)| Some((field.strip_prefix(name)?, *meter)))?;
    let (mut over, mut tier) = (0, ServiceTier::Default);
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix("_above_1hr") {
            if meter != Meter::CacheWrite {
                return None;
            }
            meter = Meter::LongCacheWrite;
            rest = next;
        } else if let Some(next) = rest.strip_prefix("_above_") {
            let (thousands, next) = next.split_once("k_tokens")?;
            over = thousands.parse::<i64>().ok()?.checked_mul(1_000)?;
            rest = next;
        } else {
            (rest, tier) =
                TIERS.iter().find_map(|(name, tier)| Some((rest.strip_prefix(name)?, *tier)))?;
        }
    }
    Some(Place { meter, over, tier })
}

/// What is more for data that stays in a region, where it is the same for all of them.
fn region(object: &Object<'_>) -> Result<Option<Decimal>, Bad> {
    let eu = object.price("regional_processing_uplift_multiplier_eu")?;
    let us = object.price("regional_processing_uplift_multiplier_us")?;
    Ok(match (eu, us) {
        (Some(eu), Some(us)) => Some(eu).filter(|_| eu == us),
        (eu, us) => eu.or(us),
    })
}

fn fees(object: &Object<'_>) -> Result<Fees, Bad> {
    Ok(Fees {
        web_searches: web_searches(object)?,
        file_searches: object.price("file_search_cost_per_1k_calls")?,
        container: object.price("code_interpreter_cost_per_session")?,
    })
}

/// The fee of a search, where it is the same for all sizes: nobody knows afterwards which one it was.
fn web_searches(object: &Object<'_>) -> Result<Option<Decimal>, Bad> {
    let Some(sizes) = object.object("search_context_cost_per_query")? else { return Ok(None) };
    let mut fees = Vec::new();
    for (size, _) in sizes.fields() {
        fees.push(sizes.number(size, A_PRICE, |fee| exact::price(exact::times(fee, THOUSAND)?))?);
    }
    Ok(fees.first().copied().flatten().filter(|first| fees.iter().all(|fee| fee == &Some(*first))))
}

const THOUSAND: Decimal = Decimal::from_parts(1_000, 0, 0, false, 0);

#[cfg(test)]
#[path = "litellm_tests.rs"]
mod tests;
