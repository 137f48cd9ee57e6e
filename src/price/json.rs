//! JSON whose numbers are read as they are written.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::exact::{self, A_PRICE};
use super::row::Bad;

const AN_OBJECT: &str = "an object";
const TOKENS: &str = "a whole number of tokens";

/// An object, of which nothing is read before it is asked for. So what nobody asks for may be anything, and no number was a float.
#[derive(Debug)]
pub(super) struct Object<'j> {
    fields: BTreeMap<String, &'j RawValue>,
}

impl<'j> Object<'j> {
    /// A whole file.
    pub(super) fn parse(json: &'j str) -> serde_json::Result<Self> {
        Ok(Self { fields: serde_json::from_str(json)? })
    }

    fn read(field: &str, raw: &'j RawValue) -> Result<Self, Bad> {
        Self::parse(raw.get()).map_err(|_| Bad::new(field, raw.get(), AN_OBJECT))
    }

    /// The field, where it says something.
    fn get(&self, field: &str) -> Option<&'j RawValue> {
        self.fields.get(field).copied().filter(|raw| raw.get() != "null")
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &'j RawValue)> {
        self.fields.iter().map(|(field, raw)| (field.as_str(), *raw))
    }

    /// All fields as objects, each for itself.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&str, Result<Self, Bad>)> {
        self.fields().map(|(field, raw)| (field, Self::read("itself", raw)))
    }

    pub(super) fn object(&self, field: &str) -> Result<Option<Self>, Bad> {
        self.get(field).map(|raw| Self::read(field, raw)).transpose()
    }

    pub(super) fn array(&self, field: &str) -> Result<Vec<Self>, Bad> {
        let Some(raw) = self.get(field) else { return Ok(Vec::new()) };
        let items: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| Bad::new(field, raw.get(), "an array of objects"))?;
        items.into_iter().map(|raw| Self::read(field, raw)).collect()
    }

    /// A price for a million tokens, or for whatever else it is for.
    pub(super) fn price(&self, field: &str) -> Result<Option<Decimal>, Bad> {
        self.number(field, A_PRICE, exact::price)
    }

    /// A number of tokens.
    pub(super) fn count(&self, field: &str) -> Result<Option<i64>, Bad> {
        self.number(field, TOKENS, whole)
    }

    /// The first of several numbers of tokens.
    pub(super) fn first_count(&self, field: &str) -> Result<Option<i64>, Bad> {
        let Some(raw) = self.get(field) else { return Ok(None) };
        let bad = || Bad::new(field, raw.get(), TOKENS);
        let numbers: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| bad())?;
        let first = numbers.first().and_then(|raw| whole(number(raw)?));
        first.map(Some).ok_or_else(bad)
    }

    pub(super) fn number<T>(
        &self,
        field: &str,
        wanted: &'static str,
        within: impl FnOnce(Decimal) -> Option<T>,
    ) -> Result<Option<T>, Bad> {
        let Some(raw) = self.get(field) else { return Ok(None) };
        number(raw).and_then(within).map(Some).ok_or_else(|| Bad::new(field, raw.get(), wanted))
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<String>, Bad> {
        self.value(field, "text")
    }

    pub(super) fn texts(&self, field: &str) -> Result<Vec<String>, Bad> {
        Ok(self.value(field, "an array of texts")?.unwrap_or_default())
    }

    pub(super) fn date(&self, field: &str) -> Result<Option<NaiveDate>, Bad> {
        self.value(field, "a date, as YYYY-MM-DD")
    }

    pub(super) fn is_true(&self, field: &str) -> bool {
        self.get(field).is_some_and(|raw| raw.get() == "true")
    }

    fn value<T: serde::de::DeserializeOwned>(
        &self,
        field: &str,
        wanted: &'static str,
    ) -> Result<Option<T>, Bad> {
        let Some(raw) = self.get(field) else { return Ok(None) };
        let value = serde_json::from_str(raw.get());
        value.map(Some).map_err(|_| Bad::new(field, raw.get(), wanted))
    }
}

/// A number, which some write as text.
pub(super) fn number(raw: &RawValue) -> Option<Decimal> {
    let text = raw.get();
    exact::read(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text))
}

fn whole(number: Decimal) -> Option<i64> {
    let number = number.normalize();
    i64::try_from(number.mantissa()).ok().filter(|_| number.scale() == 0)
}
