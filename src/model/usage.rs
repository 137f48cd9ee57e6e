use serde::{Deserialize, Serialize};

/// Tokens of a message or of a whole run, as the provider counted them; zero where it reported none.
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
        )
    }};
}
pub(crate) use usage_set;

impl Usage {
    /// Input and output together.
    #[must_use]
    pub const fn total_tokens(&self) -> i64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Saturates: what a provider counts must not end a program.
impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_input_tokens: self.cached_input_tokens.saturating_add(other.cached_input_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
        }
    }
}
