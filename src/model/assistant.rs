use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{AssistantDefinition, StoredDefinition, UtcTimestamp};
use crate::error::Result;
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
    /// What it is called, as in the definition.
    pub name: Option<String>,
    /// Model that answers, as in the definition.
    pub model: String,
    pub(crate) definition: StoredDefinition,
    /// Counts changes of the definition, from 1.
    pub version: i64,
    /// Id at the provider, for protocols that keep assistants.
    pub remote_id: Option<String>,
    /// The version that the provider's own one is as; another one than `version` until it was brought in step.
    pub remote_version: Option<i64>,
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
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when it cannot be read: it was changed by hand, or a newer ai-engine wrote it. Saving the record's
    /// definition replaces it.
    pub fn definition(&self) -> Result<AssistantDefinition> {
        self.definition.of_assistant(self.id)
    }
}
