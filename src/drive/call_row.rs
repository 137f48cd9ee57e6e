//! The row of a call while it is made: whom it asks, what it was sent, and what it takes.

use std::collections::HashSet;

use tokio::time::Instant;

use super::tariff::Tariff;
use crate::model::{Service, Spent, Usage};
use crate::provider::{Billed, Keeps};

/// The row of a call, and what it was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallRow {
    pub(crate) id: i64,
    pub(crate) remote_id: Option<String>,
    /// Whether the row holds `remote_id`.
    pub(crate) identified: bool,
    pub(crate) conversation: Option<String>,
    /// What that keeps.
    pub(crate) keeps: Keeps,
    /// The provider's own assistant of ours answers.
    pub(crate) has_assistant: bool,
    /// Whom it asks: the provider by its name in the engine, and the model.
    pub(crate) provider: String,
    pub(crate) asked_model: String,
    pub(crate) service: Service,
    /// Nothing but the newest turn was sent.
    pub(crate) newest_only: bool,
    /// An estimate of what was sent, in tokens.
    pub(crate) input_tokens: i64,
    /// When the request went out, as far as is known here.
    pub(crate) sent_at: Option<Instant>,
    /// Who answered, by the provider's word.
    pub(crate) model: Option<String>,
    /// What it cost, if that is known of a call without an end: nothing, or what a failed response reported.
    pub(crate) cost: Option<Usage>,
    /// The provider's containers that it worked in.
    pub(crate) containers: HashSet<String>,
    /// What its tokens cost.
    pub(crate) tariff: Tariff,
    pub(crate) sent_messages: Vec<i64>,
    pub(crate) sent_items: Vec<i64>,
}

impl CallRow {
    /// What it took, by what the provider said at its end, if it did.
    pub(super) fn spent(
        &self,
        answered: Option<&str>,
        usage: Usage,
        billed: Option<&Billed>,
    ) -> Spent {
        self.tariff.spent(&self.asked_model, answered, usage, billed)
    }
}
