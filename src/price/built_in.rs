//! The list that comes with this crate.

use std::sync::LazyLock;

use chrono::NaiveDate;

use super::billable::ServiceTier;
use super::json::Object;
use super::list::PriceList;
use super::rates::Meter;
use super::row::{Bad, Row};
use super::written::Price;

/// `built_in.json`: one row for each model, with where its figures are from.
const TEXT: &str = include_str!("built_in.json");

static LIST: LazyLock<PriceList> = LazyLock::new(|| read(TEXT));

impl PriceList {
    /// What `OpenAI`'s models cost, as far as it could be found out, on the [`date`](Self::date) of the list. It is renewed with
    /// releases of this crate, so lay a newer list over it ([`or`](Self::or)) where money depends on it. What could not be found out is
    /// left out; a call that was charged for it has no cost.
    ///
    /// The fee of a web search is that of the tool `web_search`; that of a container is for the smallest one, and one session.
    #[must_use]
    pub fn built_in() -> Self {
        LIST.clone()
    }
}

/// A test sees to it that all of it can be read.
fn read(text: &str) -> PriceList {
    let file = match Object::parse(text) {
        Ok(file) => file,
        Err(error) => {
            let bad = Bad::new("itself", &error.to_string(), "JSON");
            return PriceList::loaded("", NaiveDate::MIN, [("built-in".to_owned(), Err(bad))]);
        }
    };
    let name = file.text("name").ok().flatten().unwrap_or_default();
    let date = file.date("date").ok().flatten().unwrap_or(NaiveDate::MIN);
    let rows = match file.array("models") {
        Ok(rows) => rows.iter().map(|object| named(&file, object)).collect(),
        Err(bad) => vec![("built-in".to_owned(), Err(bad))],
    };
    PriceList::loaded(&name, date, rows)
}

fn named(file: &Object<'_>, object: &Object<'_>) -> (String, Result<Option<Row>, Bad>) {
    match object.text("model") {
        Ok(Some(model)) => (model, row(file, object).map(Some)),
        Ok(None) => (String::new(), Err(Bad::new("model", "nothing", "a name"))),
        Err(bad) => (String::new(), Err(bad)),
    }
}

fn row(file: &Object<'_>, object: &Object<'_>) -> Result<Row, Bad> {
    let mut price = Price::default();
    for meter in Meter::ALL {
        if let Some(rate) = object.price(meter.name())? {
            price = price.rate(meter, rate);
        }
    }
    if let Some(rule) = object.object("long_context")? {
        let over = rule.count("over")?.unwrap_or_default();
        let times = match (rule.price("input_times")?, rule.price("output_times")?) {
            (Some(input), Some(output)) => Some([input.to_string(), output.to_string()]),
            _ => None,
        };
        price = price.long_context_without(over, times, meters(&rule)?);
    }
    if let Some(tiers) = object.object("tiers")? {
        for (name, rule) in tiers.objects() {
            price = tier(price, name, &rule?)?;
        }
    }
    if let Some(times) = object.price("data_residency_times")? {
        price = price.data_residency(times);
    }
    let mut row = price.row()?;
    row.fees.web_searches =
        if object.is_true("web_searches_unknown") { None } else { file.price("web_searches")? };
    row.fees.file_searches = file.price("file_searches")?;
    row.fees.container = file.price("container")?;
    row.provider = file.text("provider")?;
    row.context_window = object.count("context_window")?;
    row.max_output_tokens = object.count("max_output_tokens")?;
    row.shutdown = object.date("shutdown")?;
    Ok(row)
}

fn tier(price: Price, name: &str, rule: &Object<'_>) -> Result<Price, Bad> {
    let unknown = || Bad::new("tiers", name, "a service tier, with `times`");
    let tier = ServiceTier::named(name).ok_or_else(unknown)?;
    let times = rule.price("times")?.ok_or_else(unknown)?;
    let long_context = !rule.is_true("long_context_unknown");
    Ok(price.tier_without(tier, times.to_string(), meters(rule)?, long_context))
}

/// What a rule does not say.
fn meters(rule: &Object<'_>) -> Result<Vec<Meter>, Bad> {
    let named = |name: String| {
        let meter = Meter::ALL.into_iter().find(|meter| meter.name() == name);
        meter.ok_or_else(|| Bad::new("unknown", &name, "the name of a price"))
    };
    rule.texts("unknown")?.into_iter().map(named).collect()
}
