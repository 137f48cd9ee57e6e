//! The price of one model, as a host writes it down.

use std::fmt::Display;

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::billable::ServiceTier;
use super::exact::{self, A_PRICE};
use super::rates::{Meter, Rates, Table};
use super::row::{Bad, Fees, Row};

/// What one model costs, for [`PriceListBuilder::model`](crate::PriceListBuilder::model).
///
/// All amounts are US dollars, and may be given as text, as a number, or as a decimal of any crate, since what is read is how they are
/// shown: `"0.10"`, `0.10` and `2` are exactly that. [`build`](crate::PriceListBuilder::build) refuses what is no price.
///
/// What is not said is not known, and never free: a call with cached tokens has no cost when [`cached`](Self::cached) was not called.
/// For a server that makes no difference give the price of the input again; for one of your own that costs nothing, zeros.
#[derive(Debug, Clone, Default)]
pub struct Price {
    /// As they were written, and read at the end, when there is somebody to be told.
    rates: Vec<(Meter, String)>,
    long_context: Option<LongContext>,
    tiers: Vec<Multiple>,
    data_residency: Option<String>,
    fees: [Option<String>; 3],
    context_window: Option<i64>,
    max_output_tokens: Option<i64>,
    shutdown: Option<NaiveDate>,
}

/// A rule for requests of more than so many tokens.
#[derive(Debug, Clone)]
struct LongContext {
    over: i64,
    /// None: what they cost is not known.
    times: Option<[String; 2]>,
    without: Vec<Meter>,
}

/// What a tier costs, as a multiple of the usual one.
#[derive(Debug, Clone)]
struct Multiple {
    tier: ServiceTier,
    times: String,
    without: Vec<Meter>,
    long_context: bool,
}

const FEES: [&str; 3] = ["web_searches", "file_searches", "container"];
const A_COUNT: &str = "a number of tokens, from 1 up";

impl Price {
    /// The prices of a million input tokens and of a million output tokens.
    #[must_use]
    pub fn per_million(input: impl Display, output: impl Display) -> Self {
        Self::default().rate(Meter::Input, input).rate(Meter::Output, output)
    }

    /// The price of a million input tokens that come from the provider's cache.
    #[must_use]
    pub fn cached(self, price: impl Display) -> Self {
        self.rate(Meter::Cached, price)
    }

    /// The price of a million input tokens that are written to the provider's cache, for its usual lifetime. It is the whole price of
    /// these tokens, and not added to that of the input.
    #[must_use]
    pub fn cache_write(self, price: impl Display) -> Self {
        self.rate(Meter::CacheWrite, price)
    }

    /// The same for the longer one of two lifetimes ([`Billable::long_cache_writes`](crate::Billable::long_cache_writes)).
    #[must_use]
    pub fn long_cache_write(self, price: impl Display) -> Self {
        self.rate(Meter::LongCacheWrite, price)
    }

    /// The price of a million output tokens that were spent on reasoning, where it is another one than that of the output.
    #[must_use]
    pub fn reasoning(self, price: impl Display) -> Self {
        self.rate(Meter::Reasoning, price)
    }

    /// The prices of a million tokens of sound ([`Billable::audio`](crate::Billable::audio)).
    #[must_use]
    pub fn audio(self, input: impl Display, output: impl Display) -> Self {
        self.rate(Meter::AudioInput, input).rate(Meter::AudioOutput, output)
    }

    /// The prices of a million tokens of pictures ([`Billable::images`](crate::Billable::images)).
    #[must_use]
    pub fn images(self, input: impl Display, output: impl Display) -> Self {
        self.rate(Meter::ImageInput, input).rate(Meter::ImageOutput, output)
    }

    /// A request with more input tokens than this costs so many times as much, all of it: the input with what is cached, and the
    /// output. A second call replaces the first one.
    #[must_use]
    pub fn long_context(
        mut self,
        over: i64,
        input_times: impl Display,
        output_times: impl Display,
    ) -> Self {
        let times = Some([input_times.to_string(), output_times.to_string()]);
        self.long_context = Some(LongContext { over, times, without: Vec::new() });
        self
    }

    /// In this tier a request costs so many times as much, such as `0.5`; of any length. In a tier that is not given here, the cost
    /// is not known.
    #[must_use]
    pub fn tier(self, tier: ServiceTier, times: impl Display) -> Self {
        self.tier_without(tier, times.to_string(), Vec::new(), true)
    }

    /// With data residency the tokens cost so many times as much, such as `1.1`.
    #[must_use]
    pub fn data_residency(mut self, times: impl Display) -> Self {
        self.data_residency = Some(times.to_string());
        self
    }

    /// The price of a thousand calls of the provider's own web search.
    #[must_use]
    pub fn web_searches(self, price: impl Display) -> Self {
        self.fee(0, price)
    }

    /// The price of a thousand calls of the provider's own search in files.
    #[must_use]
    pub fn file_searches(self, price: impl Display) -> Self {
        self.fee(1, price)
    }

    /// The price of one container of the provider's code interpreter.
    #[must_use]
    pub fn container(self, price: impl Display) -> Self {
        self.fee(2, price)
    }

    /// How many tokens the model can have before it, for the host's users.
    #[must_use]
    pub const fn context_window(mut self, tokens: i64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// How many tokens an answer of the model can have, for the host's users.
    #[must_use]
    pub const fn max_output_tokens(mut self, tokens: i64) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// From this day on the provider does not have the model any more.
    #[must_use]
    pub const fn shutdown(mut self, date: NaiveDate) -> Self {
        self.shutdown = Some(date);
        self
    }

    pub(super) fn rate(mut self, meter: Meter, price: impl Display) -> Self {
        self.rates.push((meter, price.to_string()));
        self
    }

    pub(super) fn fee(mut self, which: usize, price: impl Display) -> Self {
        self.fees[which] = Some(price.to_string());
        self
    }

    /// A long request without what is not known of it: some meters, or all.
    pub(super) fn long_context_without(
        mut self,
        over: i64,
        times: Option<[String; 2]>,
        without: Vec<Meter>,
    ) -> Self {
        self.long_context = Some(LongContext { over, times, without });
        self
    }

    /// A tier without what is not known of it: some meters, or long requests.
    pub(super) fn tier_without(
        mut self,
        tier: ServiceTier,
        times: String,
        without: Vec<Meter>,
        long_context: bool,
    ) -> Self {
        self.tiers.push(Multiple { tier, times, without, long_context });
        self
    }

    /// Reads all that was written.
    pub(super) fn row(&self) -> Result<Row, Bad> {
        let fee = |which: usize| {
            self.fees[which].as_deref().map(|text| price(FEES[which], text)).transpose()
        };
        let fees = Fees { web_searches: fee(0)?, file_searches: fee(1)?, container: fee(2)? };
        let data_residency = self.data_residency.as_deref();
        Ok(Row {
            table: self.table()?,
            data_residency: data_residency.map(|text| price("data_residency", text)).transpose()?,
            fees,
            provider: None,
            context_window: count("context_window", self.context_window)?,
            max_output_tokens: count("max_output_tokens", self.max_output_tokens)?,
            shutdown: self.shutdown,
        })
    }

    fn table(&self) -> Result<Table, Bad> {
        let mut usual = Rates::default();
        for (meter, text) in &self.rates {
            usual.set(*meter, price(meter.name(), text)?);
        }
        let mut table = Table::default();
        self.fill(&mut table, 0, usual)?;
        if let Some(rule) = &self.long_context {
            let over = count("long_context", Some(rule.over))?.unwrap_or(rule.over);
            table.begin_band(over);
            if let Some([input, output]) = &rule.times {
                let factors = [price("long_context", input)?, price("long_context", output)?];
                let mut long = scaled("long_context", usual, factors)?;
                for meter in &rule.without {
                    long.forget(*meter);
                }
                self.fill(&mut table, over, long)?;
            }
        }
        Ok(table)
    }

    /// One band: the usual tier, and the others as multiples of it.
    fn fill(&self, table: &mut Table, over: i64, rates: Rates) -> Result<(), Bad> {
        *table.at(over, ServiceTier::Default) = rates;
        for Multiple { tier, times, without, long_context } in &self.tiers {
            if over > 0 && !long_context {
                continue;
            }
            let factor = price(tier.as_str(), times)?;
            let mut in_tier = scaled(tier.as_str(), rates, [factor; 2])?;
            for meter in without {
                in_tier.forget(*meter);
            }
            *table.at(over, *tier) = in_tier;
        }
        Ok(())
    }
}

fn price(field: &str, text: &str) -> Result<Decimal, Bad> {
    let read = exact::read(text).and_then(exact::price);
    read.ok_or_else(|| Bad::new(field, &format!("{text:?}"), A_PRICE))
}

fn count(field: &str, tokens: Option<i64>) -> Result<Option<i64>, Bad> {
    match tokens {
        Some(tokens) if tokens < 1 => Err(Bad::new(field, &tokens.to_string(), A_COUNT)),
        other => Ok(other),
    }
}

fn scaled(field: &str, rates: Rates, [input, output]: [Decimal; 2]) -> Result<Rates, Bad> {
    let wanted =
        "a multiple with fewer digits: its products with the prices have more than can be kept";
    rates.times(input, output).ok_or_else(|| Bad::new(field, &format!("{input}"), wanted))
}
