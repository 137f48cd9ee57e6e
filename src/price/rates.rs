//! What a million tokens of each kind cost, by the length of the request and its tier.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;

use super::billable::ServiceTier;
use super::exact::times;

/// What is counted for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meter {
    Input,
    Cached,
    CacheWrite,
    LongCacheWrite,
    AudioInput,
    ImageInput,
    Output,
    Reasoning,
    AudioOutput,
    ImageOutput,
}

impl Meter {
    pub(super) const ALL: [Self; 10] = [
        Self::Input,
        Self::Cached,
        Self::CacheWrite,
        Self::LongCacheWrite,
        Self::AudioInput,
        Self::ImageInput,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
        Self::ImageOutput,
    ];

    /// For errors, and in the built-in list.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Cached => "cached",
            Self::CacheWrite => "cache_write",
            Self::LongCacheWrite => "long_cache_write",
            Self::AudioInput => "audio_input",
            Self::ImageInput => "image_input",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
            Self::ImageOutput => "image_output",
        }
    }

    pub(super) const fn is_output(self) -> bool {
        matches!(self, Self::Output | Self::Reasoning | Self::AudioOutput | Self::ImageOutput)
    }
}

/// Dollars for a million tokens. What is not known is none, and never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rates([Option<Decimal>; Meter::ALL.len()]);

impl Rates {
    pub(super) const fn get(&self, meter: Meter) -> Option<Decimal> {
        self.0[meter as usize]
    }

    pub(super) const fn set(&mut self, meter: Meter, rate: Decimal) {
        self.0[meter as usize] = Some(rate);
    }

    pub(super) const fn forget(&mut self, meter: Meter) {
        self.0[meter as usize] = None;
    }

    /// Each so many times as high; none where that has too many digits.
    pub(super) fn times(mut self, input: Decimal, output: Decimal) -> Option<Self> {
        for meter in Meter::ALL {
            let factor = if meter.is_output() { output } else { input };
            if let Some(rate) = self.get(meter) {
                self.set(meter, times(rate, factor)?);
            }
        }
        Some(self)
    }
}

/// The rates of one model.
///
/// A band holds for requests with more input tokens than its key; the first one has the key 0, and is for all shorter ones. A tier
/// that a band does not have is not known there: half of what is charged may be worse than nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    bands: BTreeMap<i64, HashMap<ServiceTier, Rates>>,
}

impl Table {
    /// The rates to be filled in.
    pub(super) fn at(&mut self, over: i64, tier: ServiceTier) -> &mut Rates {
        self.bands.entry(over.max(0)).or_default().entry(tier).or_default()
    }

    /// For requests of more than so many tokens nothing is known, until it is filled in.
    pub(super) fn begin_band(&mut self, over: i64) {
        self.bands.entry(over.max(0)).or_default();
    }

    /// The rates of a request.
    pub(super) fn of(&self, input_tokens: i64, tier: ServiceTier) -> Option<&Rates> {
        let (_, tiers) = self.bands.range(..input_tokens.max(1)).next_back()?;
        tiers.get(&tier)
    }

    /// Those of a short request in the usual tier, which a list shows.
    pub(super) fn usual(&self) -> Rates {
        self.of(0, ServiceTier::Default).copied().unwrap_or_default()
    }

    /// Whether it tells anything of texts that go in or come out.
    pub(super) fn is_of_text(&self) -> bool {
        let usual = self.usual();
        usual.get(Meter::Input).is_some() || usual.get(Meter::Output).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_begins_above_its_number_and_holds_for_the_whole_request() {
        let mut table = Table::default();
        table.at(0, ServiceTier::Default).set(Meter::Input, Decimal::ONE);
        table.at(272_000, ServiceTier::Default).set(Meter::Input, Decimal::TWO);
        let rate =
            |tokens| table.of(tokens, ServiceTier::Default).unwrap().get(Meter::Input).unwrap();
        assert_eq!([0, 1, 272_000].map(rate), [Decimal::ONE; 3]);
        assert_eq!([272_001, i64::MAX].map(rate), [Decimal::TWO; 2]);
    }

    #[test]
    fn a_tier_that_a_band_does_not_have_is_not_taken_from_another_band() {
        let mut table = Table::default();
        table.at(0, ServiceTier::Flex).set(Meter::Input, Decimal::ONE);
        table.begin_band(200_000);
        assert!(table.of(200_000, ServiceTier::Flex).is_some());
        assert!(table.of(200_001, ServiceTier::Flex).is_none());
        assert!(table.of(0, ServiceTier::Default).is_none());
    }

    #[test]
    fn every_meter_has_a_place_of_its_own() {
        for (index, meter) in Meter::ALL.into_iter().enumerate() {
            assert_eq!(meter as usize, index, "{}", meter.name());
        }
    }
}
