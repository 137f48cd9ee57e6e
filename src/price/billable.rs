//! What of one call is charged for.

use crate::model::{Usage, text_enum};

text_enum! {
    /// How a provider served a call, of which its price depends. A response says which one it was in the end.
    #[derive(Default)]
    pub enum ServiceTier {
        /// The usual one.
        #[default]
        Default => "default",
        /// Cheaper, and slower.
        Flex => "flex",
        /// Cheaper, through the batch API.
        Batch => "batch",
        /// Dearer, and faster: `priority`, which is also called `fast`.
        Priority => "priority",
        /// Dearer still.
        Ultrafast => "ultrafast",
    }
}

impl ServiceTier {
    /// The tier of this name, as servers and lists write it. None of one whose price is agreed upon otherwise, such as `scale`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" | "standard" | "auto" | "on_demand" => Some(Self::Default),
            "flex" => Some(Self::Flex),
            "batch" | "batches" => Some(Self::Batch),
            "priority" | "fast" => Some(Self::Priority),
            "ultrafast" => Some(Self::Ultrafast),
            _ => None,
        }
    }
}

/// What of **one call** is charged for: its tokens, and what else its price depends on.
///
/// A call and not a run, which may be several: a rule for long requests looks at each call for itself, so the cost of the sum of
/// their tokens is not the sum of their costs.
///
/// ```
/// use ai_engine::{Billable, PriceList, ServiceTier, Usage};
///
/// # let usage = Usage::default();
/// let call = Billable::from(usage).tier(ServiceTier::Flex).web_searches(2);
/// let cost = PriceList::built_in().cost("gpt-6-luna", call);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Billable {
    pub(super) usage: Usage,
    pub(super) tier: ServiceTier,
    pub(super) long_cache_writes: i64,
    pub(super) audio_input: i64,
    pub(super) audio_output: i64,
    pub(super) image_input: i64,
    pub(super) image_output: i64,
    pub(super) web_searches: i64,
    pub(super) file_searches: i64,
    pub(super) containers: i64,
    pub(super) data_residency: bool,
}

impl From<Usage> for Billable {
    /// Tokens of text, in the usual tier.
    fn from(usage: Usage) -> Self {
        Self { usage, ..Self::default() }
    }
}

impl From<&Usage> for Billable {
    fn from(usage: &Usage) -> Self {
        Self::from(*usage)
    }
}

impl Billable {
    /// The tier that served the call, as the response says.
    #[must_use]
    pub const fn tier(mut self, tier: ServiceTier) -> Self {
        self.tier = tier;
        self
    }

    /// Of the tokens that were written to the provider's cache, those that are kept for the longer of its two lifetimes: 12 hours
    /// instead of 30 minutes at `OpenAI`, an hour instead of 5 minutes at Anthropic. They have a price of their own.
    #[must_use]
    pub const fn long_cache_writes(mut self, tokens: i64) -> Self {
        self.long_cache_writes = tokens;
        self
    }

    /// Of the input tokens that neither came from the cache nor went there, and of the output tokens, those of sound.
    #[must_use]
    pub const fn audio(mut self, input: i64, output: i64) -> Self {
        self.audio_input = input;
        self.audio_output = output;
        self
    }

    /// Of the input tokens that neither came from the cache nor went there, and of the output tokens, those of pictures, where the list
    /// has a price for them. Most providers count pictures that are looked at as text.
    #[must_use]
    pub const fn images(mut self, input: i64, output: i64) -> Self {
        self.image_input = input;
        self.image_output = output;
        self
    }

    /// How often the provider's own web search was asked.
    #[must_use]
    pub const fn web_searches(mut self, calls: i64) -> Self {
        self.web_searches = calls;
        self
    }

    /// How often the provider's own search in files was asked.
    #[must_use]
    pub const fn file_searches(mut self, calls: i64) -> Self {
        self.file_searches = calls;
        self
    }

    /// How many containers the provider's code interpreter began, of the smallest size.
    #[must_use]
    pub const fn containers(mut self, sessions: i64) -> Self {
        self.containers = sessions;
        self
    }

    /// The data stays in one region of the world, for which some providers charge more.
    #[must_use]
    pub const fn data_residency(mut self) -> Self {
        self.data_residency = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tier_has_the_names_that_servers_use() {
        for tier in [
            ServiceTier::Default,
            ServiceTier::Flex,
            ServiceTier::Batch,
            ServiceTier::Priority,
            ServiceTier::Ultrafast,
        ] {
            assert_eq!(ServiceTier::named(tier.as_str()), Some(tier));
        }
        assert_eq!(ServiceTier::named("fast"), Some(ServiceTier::Priority));
        assert_eq!(ServiceTier::named("auto"), Some(ServiceTier::Default));
        assert_eq!(ServiceTier::named("on_demand"), Some(ServiceTier::Default), "Groq's word");
        assert_eq!(ServiceTier::named("scale"), None);
    }
}
