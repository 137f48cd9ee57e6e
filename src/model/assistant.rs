use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{AssistantDefinition, UtcTimestamp};
use crate::schema::ai_engine_assistants;

/// A host's record as an assistant: the definition that travels with each of its runs.
#[derive(Debug, Clone, PartialEq, Serialize, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = ai_engine_assistants)]
#[non_exhaustive]
pub struct Assistant {
    /// Local id.
    pub id: i64,
    /// [`Record::TYPE`](crate::Record::TYPE) of the host's record.
    pub assistable_type: String,
    /// The record's id as text.
    pub assistable_id: String,
    /// What it is called.
    pub name: Option<String>,
    /// What it is for; shown to people, not to the model.
    pub description: Option<String>,
    /// Model that answers.
    pub model: String,
    /// System text of each call.
    pub instructions: Option<String>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<f64>,
    /// Most tokens an answer may have, reasoning included.
    pub max_output_tokens: Option<i64>,
    /// Budget of history sent with a call, in tokens.
    pub max_prompt_tokens: Option<i64>,
    /// Reasoning options as the provider takes them.
    pub reasoning: Option<Value>,
    /// Up to 16 pairs of text.
    pub metadata: Value,
    /// Tools as the provider takes them.
    pub tools: Value,
    /// Further provider parameters.
    pub parameters: Value,
    /// Counts changes of the definition, from 1.
    pub version: i64,
    /// Id at the provider, for protocols that keep assistants.
    pub remote_id: Option<String>,
    /// When it was created.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub updated_at: DateTime<Utc>,
}

impl Assistant {
    /// Smallest budget of history, in tokens.
    pub const MIN_PROMPT_TOKENS: i64 = 256;
    /// Smallest limit of an answer, in tokens: 16, the minimum of `max_output_tokens` in `OpenAI`'s
    /// API description.
    pub const MIN_COMPLETION_TOKENS: i64 = 16;

    /// The definition as stored.
    #[must_use]
    pub fn definition(&self) -> AssistantDefinition {
        AssistantDefinition::from_row(self)
    }
}
