use serde::{Deserialize, Serialize};

/// Tokens of a message or of a whole run, as the provider counted them, or as far as we can tell: see
/// [`estimated`](Self::estimated). All zero and not estimated: nothing was sent, or the provider refused it.
///
/// Cached and cache-write tokens are part of the input, reasoning tokens part of the output
/// (`OpenAI`'s API description, schema `ResponseUsage`).
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    diesel::Queryable,
    diesel::Selectable,
    diesel::Insertable,
    diesel::AsChangeset,
)]
#[diesel(table_name = crate::schema::ai_engine_messages)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: i64,
    /// Of those, read from the provider's cache.
    pub cached_input_tokens: i64,
    /// Of those, written to the provider's cache.
    pub cache_write_tokens: i64,
    /// Tokens of the answer.
    pub output_tokens: i64,
    /// Of those, spent on reasoning.
    pub reasoning_tokens: i64,
    /// Some of it the provider did not report, because the answer was cancelled or broke off, its process died, or the server
    /// reports none. That part is estimated: the input at a quarter of the bytes that were sent (of a conversation that the
    /// provider keeps: those that this call added), the output at a quarter of the bytes that arrived; cached and reasoning tokens
    /// are unknown, and zero. A sum is estimated if a part of it is. What ended before
    /// there was this field is not marked.
    #[serde(default)]
    #[diesel(column_name = usage_estimated)]
    pub estimated: bool,
}

/// The columns of a table that hold a [`Usage`], as an expression and as its type.
macro_rules! usage_columns {
    ($table:ident) => {
        (
            $table::input_tokens,
            $table::cached_input_tokens,
            $table::cache_write_tokens,
            $table::output_tokens,
            $table::reasoning_tokens,
            $table::usage_estimated,
        )
    };
}
pub(crate) use usage_columns;

/// What a statement sets these columns to.
macro_rules! usage_set {
    ($table:ident, $usage:expr) => {{
        let usage: $crate::model::Usage = $usage;
        (
            $table::input_tokens.eq(usage.input_tokens),
            $table::cached_input_tokens.eq(usage.cached_input_tokens),
            $table::cache_write_tokens.eq(usage.cache_write_tokens),
            $table::output_tokens.eq(usage.output_tokens),
            $table::reasoning_tokens.eq(usage.reasoning_tokens),
            $table::usage_estimated.eq(usage.estimated),
        )
    }};
}
pub(crate) use usage_set;

impl Usage {
    /// What the provider did not report.
    pub(crate) const fn estimate(input_tokens: i64, output_tokens: i64) -> Self {
        Self {
            input_tokens,
            cached_input_tokens: 0,
            cache_write_tokens: 0,
            output_tokens,
            reasoning_tokens: 0,
            estimated: true,
        }
    }

    /// Input and output together.
    #[must_use]
    pub const fn total_tokens(&self) -> i64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// What is left of it without the other; nothing is less than none.
impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let less = |of: i64, by: i64| of.saturating_sub(by).max(0);
        Self {
            input_tokens: less(self.input_tokens, other.input_tokens),
            cached_input_tokens: less(self.cached_input_tokens, other.cached_input_tokens),
            cache_write_tokens: less(self.cache_write_tokens, other.cache_write_tokens),
            output_tokens: less(self.output_tokens, other.output_tokens),
            reasoning_tokens: less(self.reasoning_tokens, other.reasoning_tokens),
            estimated: self.estimated,
        }
    }
}

/// Saturates: what a provider counts must not end a program. Estimated if one of the two is.
impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_input_tokens: self.cached_input_tokens.saturating_add(other.cached_input_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
            estimated: self.estimated || other.estimated,
        }
    }
}
