//! From what is charged for, and a price, to an amount.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::billable::{Billable, ServiceTier};
use super::exact::{plus, times};
use super::rates::{Meter, Rates};
use super::row::Row;
use crate::model::{Costs, Money};

/// What one call cost by a price list.
///
/// Each of the three parts is rounded once, at its end, to the billionth of a dollar, a half to the even side; the total is their sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cost {
    /// The tokens of the request, those that were cached or written to the cache with it.
    pub input: Money,
    /// The tokens of the answer, reasoning with it.
    pub output: Money,
    /// What the provider takes for its own tools, beside the tokens.
    pub tools: Money,
    /// All three together.
    pub total: Money,
    /// Some of the tokens were estimated ([`Usage::estimated`](crate::Usage::estimated)), and so is the cost.
    pub estimated: bool,
    /// The name by which the list knows the model.
    pub model: String,
    /// The name of the list.
    pub list: String,
    /// The day on which the list was true.
    pub date: NaiveDate,
}

impl Cost {
    /// The three parts, as they are stored.
    pub(crate) const fn costs(&self) -> Costs {
        Costs {
            input_cost: Some(self.input),
            output_cost: Some(self.output),
            tool_cost: Some(self.tools),
        }
    }
}

/// Why a cost is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unpriced {
    /// No list has the model.
    #[error("no price list has the model {0:?}")]
    Model(String),
    /// The list has no prices for this tier, or none for so long a request in it.
    #[error(
        "no prices of {model:?} are known in the tier {tier} for a request of {input_tokens} input tokens"
    )]
    #[non_exhaustive]
    Tier {
        /// The model.
        model: String,
        /// The tier.
        tier: ServiceTier,
        /// How long the request was.
        input_tokens: i64,
    },
    /// The list does not say what this costs.
    #[error("no price of {what} is known for {model:?}")]
    #[non_exhaustive]
    Price {
        /// The model.
        model: String,
        /// What was charged for, such as `cache_write`.
        what: &'static str,
    },
    /// The counts contradict each other: one is negative, or a part is larger than the whole.
    #[error(
        "the counts contradict each other: {0} is negative, or larger than what it is a part of"
    )]
    Usage(&'static str),
    /// The amount is more than can be kept.
    #[error("the cost is more than can be kept")]
    TooLarge,
}

/// The three parts.
pub(super) struct Parts {
    pub(super) input: Money,
    pub(super) output: Money,
    pub(super) tools: Money,
}

/// Prices are for a million tokens, and a nano is a billionth.
const NANOS: Decimal = Decimal::from_parts(1_000, 0, 0, false, 0);
/// Fees are for a thousand calls.
const NANOS_OF_FEES: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
const THOUSAND: Decimal = Decimal::from_parts(1_000, 0, 0, false, 0);

pub(super) fn price(model: &str, row: &Row, call: &Billable) -> Result<Parts, Unpriced> {
    let usage = &call.usage;
    let counts = Counts::of(call)?;
    let rates = row.table.of(usage.input_tokens, call.tier).ok_or_else(|| Unpriced::Tier {
        model: model.to_owned(),
        tier: call.tier,
        input_tokens: usage.input_tokens,
    })?;
    let factor = match (call.data_residency, row.data_residency) {
        (false, _) => Decimal::ONE,
        (true, Some(factor)) => factor,
        (true, None) => return Err(unknown(model, "data_residency")),
    };
    let tokens = |meters: &[(Meter, i64)]| {
        let dollars = meters.iter().try_fold(Decimal::ZERO, |sum, (meter, count)| {
            add(sum, rates.get(*meter), *count, || unknown(model, meter.name()))
        })?;
        amount(times(dollars, factor).and_then(|dollars| times(dollars, NANOS)))
    };
    Ok(Parts {
        input: tokens(&counts.input)?,
        output: tokens(&counts.output(rates, usage.reasoning_tokens)?)?,
        tools: tools(model, row, call)?,
    })
}

/// How many tokens of each kind, none of them counted twice.
struct Counts {
    input: [(Meter, i64); 6],
    text: i64,
    call: Billable,
}

impl Counts {
    fn of(call: &Billable) -> Result<Self, Unpriced> {
        let usage = &call.usage;
        let all = [
            ("input_tokens", usage.input_tokens),
            ("cached_input_tokens", usage.cached_input_tokens),
            ("cache_write_tokens", usage.cache_write_tokens),
            ("output_tokens", usage.output_tokens),
            ("long_cache_writes", call.long_cache_writes),
            ("audio", call.audio_input.min(call.audio_output)),
            ("images", call.image_input.min(call.image_output)),
            ("web_searches", call.web_searches),
            ("file_searches", call.file_searches),
            ("containers", call.containers),
        ];
        if let Some((name, _)) = all.into_iter().find(|(_, count)| *count < 0) {
            return Err(Unpriced::Usage(name));
        }
        let input = rest(usage.input_tokens, usage.cached_input_tokens, "cached_input_tokens")?;
        let input = rest(input, usage.cache_write_tokens, "cache_write_tokens")?;
        let input = rest(input, call.audio_input, "audio")?;
        let input = rest(input, call.image_input, "images")?;
        let writes = rest(usage.cache_write_tokens, call.long_cache_writes, "long_cache_writes")?;
        let text = rest(usage.output_tokens, call.audio_output, "audio")?;
        let text = rest(text, call.image_output, "images")?;
        let input = [
            (Meter::Input, input),
            (Meter::Cached, usage.cached_input_tokens),
            (Meter::CacheWrite, writes),
            (Meter::LongCacheWrite, call.long_cache_writes),
            (Meter::AudioInput, call.audio_input),
            (Meter::ImageInput, call.image_input),
        ];
        Ok(Self { input, text, call: *call })
    }

    /// Reasoning is a part of the output, which matters where it has a price of its own.
    fn output(&self, rates: &Rates, reasoning: i64) -> Result<[(Meter, i64); 4], Unpriced> {
        let apart = if rates.get(Meter::Reasoning).is_some() { reasoning } else { 0 };
        let text = rest(self.text, apart, "reasoning_tokens")?;
        Ok([
            (Meter::Output, text),
            (Meter::Reasoning, apart),
            (Meter::AudioOutput, self.call.audio_output),
            (Meter::ImageOutput, self.call.image_output),
        ])
    }
}

/// What is left of a whole without a part of it.
fn rest(whole: i64, part: i64, name: &'static str) -> Result<i64, Unpriced> {
    if part < 0 {
        return Err(Unpriced::Usage(name));
    }
    whole.checked_sub(part).filter(|rest| *rest >= 0).ok_or(Unpriced::Usage(name))
}

fn tools(model: &str, row: &Row, call: &Billable) -> Result<Money, Unpriced> {
    let fees = &row.fees;
    let container = match fees.container {
        Some(price) => Some(times(price, THOUSAND).ok_or(Unpriced::TooLarge)?),
        None => None,
    };
    let counted = [
        ("web_searches", fees.web_searches, call.web_searches),
        ("file_searches", fees.file_searches, call.file_searches),
        ("container", container, call.containers),
    ];
    let thousands = counted.into_iter().try_fold(Decimal::ZERO, |sum, (name, fee, count)| {
        add(sum, fee, count, || unknown(model, name))
    })?;
    amount(times(thousands, NANOS_OF_FEES))
}

/// A price is asked for only where there is something to pay.
fn add(
    sum: Decimal,
    price: Option<Decimal>,
    count: i64,
    unknown: impl FnOnce() -> Unpriced,
) -> Result<Decimal, Unpriced> {
    if count == 0 {
        return Ok(sum);
    }
    let price = price.ok_or_else(unknown)?;
    times(price, Decimal::from(count))
        .and_then(|dollars| plus(sum, dollars))
        .ok_or(Unpriced::TooLarge)
}

fn amount(nanos: Option<Decimal>) -> Result<Money, Unpriced> {
    nanos.and_then(Money::rounded).ok_or(Unpriced::TooLarge)
}

fn unknown(model: &str, what: &'static str) -> Unpriced {
    Unpriced::Price { model: model.to_owned(), what }
}
