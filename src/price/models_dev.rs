//! The list of models.dev, `api.json`: providers and their models, prices for a million tokens.

use chrono::NaiveDate;

use super::billable::ServiceTier;
use super::json::Object;
use super::list::PriceList;
use super::litellm::not_a_list;
use super::rates::{Meter, Rates, Table};
use super::row::{Bad, Row};
use crate::error::Result;

impl PriceList {
    /// Reads the list of models.dev, `https://models.dev/api.json`. The day is the one on which it was fetched.
    ///
    /// Models are known as `provider/model`; [`of_provider`](Self::of_provider) gives those of one provider by the names that it uses
    /// itself. Read are the prices of tokens, with those for long requests and for modes that are a service tier, and limits. Models
    /// without prices are left out; so is one with something that cannot be read, of which [`skipped`](Self::skipped) tells.
    ///
    /// Some providers there are subscriptions, whose tokens are listed with a price of zero.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when this is not a JSON object.
    pub fn from_models_dev(json: &str, date: NaiveDate) -> Result<Self> {
        let file = Object::parse(json).map_err(|error| not_a_list("models.dev", json, &error))?;
        let mut rows = Vec::new();
        for (provider, object) in file.objects() {
            match object.and_then(|object| object.object("models")) {
                Ok(None) => {}
                Ok(Some(models)) => rows.extend(models.objects().map(|(model, object)| {
                    (
                        format!("{provider}/{model}"),
                        object.and_then(|object| row(provider, &object)),
                    )
                })),
                Err(bad) => rows.push((provider.to_owned(), Err(bad))),
            }
        }
        Ok(Self::loaded("models.dev", date, rows))
    }
}

fn row(provider: &str, object: &Object<'_>) -> Result<Option<Row>, Bad> {
    let Some(cost) = object.object("cost")? else { return Ok(None) };
    let mut table = Table::default();
    *table.at(0, ServiceTier::Default) = rates(&cost)?;
    if !table.is_of_text() {
        return Ok(None);
    }
    long_context(&mut table, &cost)?;
    modes(&mut table, object)?;
    let limit = object.object("limit")?;
    let limit = |field| limit.as_ref().map_or(Ok(None), |limit| limit.count(field));
    Ok(Some(Row {
        table,
        provider: Some(provider.to_owned()),
        context_window: limit("context")?,
        max_output_tokens: limit("output")?,
        ..Row::default()
    }))
}

const METERS: [(&str, Meter); 7] = [
    ("input", Meter::Input),
    ("output", Meter::Output),
    ("cache_read", Meter::Cached),
    ("cache_write", Meter::CacheWrite),
    ("reasoning", Meter::Reasoning),
    ("input_audio", Meter::AudioInput),
    ("output_audio", Meter::AudioOutput),
];

fn rates(cost: &Object<'_>) -> Result<Rates, Bad> {
    let mut rates = Rates::default();
    for (field, meter) in METERS {
        if let Some(rate) = cost.price(field)? {
            rates.set(meter, rate);
        }
    }
    Ok(rates)
}

/// `tiers` has the numbers of tokens. `context_over_200k` is a copy for older readers, and also there when the number is higher: it is
/// read only in files that are older than `tiers`.
fn long_context(table: &mut Table, cost: &Object<'_>) -> Result<(), Bad> {
    let tiers = cost.array("tiers")?;
    for tier in &tiers {
        let rule = tier.object("tier")?;
        let over = match &rule {
            Some(rule) if rule.text("type")?.is_none_or(|kind| kind == "context") => {
                rule.count("size")?
            }
            _ => None,
        };
        let over =
            over.ok_or_else(|| Bad::new("tiers", "a tier", "of the type `context`, with a size"))?;
        *table.at(over, ServiceTier::Default) = rates(tier)?;
    }
    if tiers.is_empty()
        && let Some(long) = cost.object("context_over_200k")?
    {
        *table.at(200_000, ServiceTier::Default) = rates(&long)?;
    }
    Ok(())
}

/// A mode that is asked for by a service tier. What it costs for long requests is not said.
fn modes(table: &mut Table, object: &Object<'_>) -> Result<(), Bad> {
    let Some(experimental) = object.object("experimental")? else { return Ok(()) };
    let Some(modes) = experimental.object("modes")? else { return Ok(()) };
    for (_, mode) in modes.objects() {
        let mode = mode?;
        if let Some(tier) = service_tier(&mode)?
            && let Some(cost) = mode.object("cost")?
        {
            *table.at(0, tier) = rates(&cost)?;
        }
    }
    Ok(())
}

fn service_tier(mode: &Object<'_>) -> Result<Option<ServiceTier>, Bad> {
    let Some(provider) = mode.object("provider")? else { return Ok(None) };
    let Some(body) = provider.object("body")? else { return Ok(None) };
    Ok(body.text("service_tier")?.and_then(|tier| ServiceTier::named(&tier)))
}

#[cfg(test)]
#[path = "models_dev_tests.rs"]
mod tests;
