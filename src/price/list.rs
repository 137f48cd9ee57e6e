//! Price lists, one over the other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;

use super::billable::Billable;
use super::cost::{self, Cost, Unpriced};
use super::name::{prefixed, undated};
use super::option::ModelOption;
use super::row::{Bad, Row};
use super::written::Price;
use crate::error::{Error, Result};
use crate::model::Money;

/// What models cost, as it was on one day. Cheap to clone.
///
/// There is one [built in](Self::built_in), two public formats can be loaded ([`LiteLLM`](Self::from_litellm)'s and
/// [models.dev](Self::from_models_dev)'s), and [`builder`](Self::builder) is for prices of your own. [`or`](Self::or) lays one over
/// another.
///
/// ```
/// use ai_engine::{Price, PriceList, Usage};
/// use chrono::NaiveDate;
///
/// # fn main() -> ai_engine::Result<()> {
/// let day = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();
/// let ours = PriceList::builder("ours", day)
///     .model("llama-4", Price::per_million(0.10, 0.40).cached(0.02))
///     .build()?;
/// let prices = ours.or(PriceList::built_in());
/// # let usage = Usage::default();
/// let cost = prices.cost("llama-4", usage).expect("it is listed");
/// assert_eq!((cost.total.to_string(), &*cost.list), ("$0.00".to_owned(), "ours"));
/// assert!(prices.cost("unheard-of", usage).is_none(), "not known is not free");
/// # Ok(())
/// # }
/// ```
///
/// **Names.** A model is found by its name in the list; by that without the date of a snapshot, where the list has not the snapshot
/// itself (`gpt-6-luna-2026-10-01`); and by either behind the name of the provider whose price the list says it is
/// (`openai/gpt-6-luna`). The beginning of a name never suffices.
#[derive(Debug, Clone)]
pub struct PriceList {
    /// The first one that has a model has the say. There is at least one.
    layers: Vec<Arc<Layer>>,
}

#[derive(Debug)]
struct Layer {
    name: String,
    date: NaiveDate,
    rows: BTreeMap<String, Row>,
    skipped: Vec<Skipped>,
}

/// A model of a loaded list that could not be read, and is not in the list therefore.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The model, by its name in the file.
    pub model: String,
    /// The field, by its name there.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model {:?} {}", self.model, self.reason)
    }
}

impl PriceList {
    /// A list of your own, with a name and the day on which it is true, which are told with each cost.
    pub fn builder(name: impl Into<String>, date: NaiveDate) -> PriceListBuilder {
        PriceListBuilder { name: name.into(), date, models: Vec::new() }
    }

    /// This list, and another one for the models that it does not have. A model that it has is looked up in no other, even where it does
    /// not say all: two lists may mean different things by one name.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.layers.extend(other.layers);
        self
    }

    /// The models of one provider alone, by the names that it gives them itself: `gpt-5` for what a list calls `openrouter/gpt-5`.
    /// Lists of many providers need it, since a server does not put its own name before that of a model.
    #[must_use]
    pub fn of_provider(&self, provider: &str) -> Self {
        Self {
            layers: self.layers.iter().map(|layer| Arc::new(layer.of_provider(provider))).collect(),
        }
    }

    /// The name of the list; of several, of the first one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.layers.first().map_or("", |layer| &layer.name)
    }

    /// The day on which the list was true; of several, the first one.
    #[must_use]
    pub fn date(&self) -> NaiveDate {
        self.layers.first().map_or(NaiveDate::MIN, |layer| layer.date)
    }

    /// What could not be read when the lists were loaded, for the host's log.
    pub fn skipped(&self) -> impl Iterator<Item = &Skipped> {
        self.layers.iter().flat_map(|layer| &layer.skipped)
    }

    /// What one call cost; none when that is not known, of which [`try_cost`](Self::try_cost) says why.
    ///
    /// `call` is a [`Usage`](crate::Usage), or a [`Billable`] where more than the tokens is charged for.
    #[must_use]
    pub fn cost(&self, model: &str, call: impl Into<Billable>) -> Option<Cost> {
        self.try_cost(model, call).ok()
    }

    /// What one call cost.
    ///
    /// # Errors
    ///
    /// [`Unpriced`]: why that is not known.
    pub fn try_cost(&self, model: &str, call: impl Into<Billable>) -> Result<Cost, Unpriced> {
        let call = call.into();
        let found = self.layers.iter().find_map(|layer| Some((layer, layer.find(model)?)));
        let (layer, (name, row)) = found.ok_or_else(|| Unpriced::Model(model.to_owned()))?;
        let parts = cost::price(name, row, &call)?;
        let total = Money::checked_sum([parts.input, parts.output, parts.tools]);
        Ok(Cost {
            input: parts.input,
            output: parts.output,
            tools: parts.tools,
            total: total.ok_or(Unpriced::TooLarge)?,
            estimated: call.usage.estimated,
            model: name.to_owned(),
            list: layer.name.clone(),
            date: layer.date,
        })
    }

    /// The models, by name, for users to choose from. Those that are shut down on this day are not among them; of those that will be,
    /// [`shutdown`](ModelOption::shutdown) says when.
    #[must_use]
    pub fn model_options(&self, on: NaiveDate) -> Vec<ModelOption> {
        let mut options = BTreeMap::new();
        for layer in &self.layers {
            for (name, row) in &layer.rows {
                if let Entry::Vacant(free) = options.entry(name) {
                    free.insert(ModelOption::new(name, row, &layer.name, layer.date));
                }
            }
        }
        options.into_values().filter(|option| option.is_there(on)).collect()
    }

    /// A list that was loaded.
    pub(super) fn loaded(
        name: &str,
        date: NaiveDate,
        rows: impl IntoIterator<Item = (String, Result<Option<Row>, Bad>)>,
    ) -> Self {
        let mut layer =
            Layer { name: name.to_owned(), date, rows: BTreeMap::new(), skipped: Vec::new() };
        for (model, row) in rows {
            match row {
                Ok(Some(row)) => {
                    layer.rows.insert(model, row);
                }
                Ok(None) => {}
                Err(bad) => {
                    let reason = bad.reason();
                    layer.skipped.push(Skipped { model, field: bad.field, reason });
                }
            }
        }
        Self { layers: vec![Arc::new(layer)] }
    }
}

impl Layer {
    fn find(&self, model: &str) -> Option<(&str, &Row)> {
        self.by_name(model).or_else(|| self.by_name(undated(model)?))
    }

    fn by_name(&self, name: &str) -> Option<(&str, &Row)> {
        let exact = self.rows.get_key_value(name);
        let found = exact.or_else(|| {
            let (provider, rest) = prefixed(name)?;
            self.rows
                .get_key_value(rest)
                .filter(|(_, row)| row.provider.as_deref() == Some(provider))
        });
        found.map(|(name, row)| (name.as_str(), row))
    }

    fn of_provider(&self, provider: &str) -> Self {
        let mut rows = BTreeMap::new();
        let of_it = self.rows.iter().filter(|(_, row)| row.provider.as_deref() == Some(provider));
        for (name, row) in of_it {
            let own = prefixed(name).filter(|(prefix, _)| *prefix == provider);
            rows.insert(own.map_or(name.as_str(), |(_, rest)| rest).to_owned(), row.clone());
        }
        Self { name: self.name.clone(), date: self.date, rows, skipped: self.skipped.clone() }
    }
}

/// A list in the making ([`PriceList::builder`]).
#[derive(Debug, Clone)]
#[must_use = "a list must be built"]
pub struct PriceListBuilder {
    name: String,
    date: NaiveDate,
    models: Vec<(String, Price)>,
}

impl PriceListBuilder {
    /// Adds a model. One that is added twice has the later price.
    pub fn model(mut self, name: impl Into<String>, price: Price) -> Self {
        self.models.push((name.into(), price));
        self
    }

    /// The list.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a name is blank, or what is given as a price is none; it names the model and the field.
    pub fn build(self) -> Result<PriceList> {
        if self.name.trim().is_empty() {
            return Err(Error::invalid("price list", &self.name, "must have a name"));
        }
        let mut rows = Vec::new();
        for (name, price) in self.models {
            if name.trim().is_empty() {
                return Err(Error::invalid("model", &name, "must have a name"));
            }
            let row = price.row().map_err(|bad| Error::invalid("model", &name, bad.reason()))?;
            rows.push((name, Ok(Some(row))));
        }
        Ok(PriceList::loaded(&self.name, self.date, rows))
    }
}
