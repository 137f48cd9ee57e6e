use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::costs::{RunInputCost, RunOutputCost, RunPricedOn, RunToolCost};
use super::{
    Costs, Messageable, Money, Reason, StoredDefinition, Submission, Usage, UtcTimestamp,
    queryable_as, text_enum, usage_columns,
};
use crate::schema::ai_engine_runs;

text_enum! {
    /// Where a run is in its life.
    pub enum RunStatus {
        /// Submitted; no process drives it yet.
        Queued => "queued",
        /// A process holds its lease and drives it.
        InProgress => "in_progress",
        /// Waits for a decision of the host's. It belongs to no process meanwhile, whatever is deployed, and keeps its place
        /// before the runs behind it: a call of a tool needs approval, or an output of the host's.
        RequiresAction => "requires_action",
        /// The whole answer is stored.
        Completed => "completed",
        /// Part of the answer is stored; the run's `reason` says why not all.
        Incomplete => "incomplete",
        /// No answer; the run's `error` says why.
        Failed => "failed",
        /// Stopped by request; what had arrived is stored.
        Cancelled => "cancelled",
    }
}

text_enum! {
    /// What becomes of a run whose process died, once its lease has ended.
    pub enum Recovery {
        /// It ends as `incomplete`, with the text that was stored.
        Settle => "settle",
        /// The process that recovers it asks the model again, if nothing of the answer was stored and fewer than three calls were
        /// made; otherwise the run ends as with `Settle`. The provider may charge for the lost answer, too.
        Retry => "retry",
    }
}

impl RunStatus {
    /// Those that are not terminal.
    pub(crate) const ACTIVE: [Self; 3] = [Self::Queued, Self::InProgress, Self::RequiresAction];

    /// Whether it waits, and no process has it.
    pub(crate) const fn waits(self) -> bool {
        matches!(self, Self::Queued | Self::RequiresAction)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Incomplete | Self::Failed | Self::Cancelled)
    }

    /// The one place that says how a run may move.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::InProgress | Self::Failed | Self::Cancelled),
            // Queued again: its process died before anything of the answer was stored.
            Self::InProgress => {
                next.is_terminal() || matches!(next, Self::RequiresAction | Self::Queued)
            }
            // Decided: whoever takes it next goes on with it.
            Self::RequiresAction => next.is_terminal() || matches!(next, Self::Queued),
            Self::Completed | Self::Incomplete | Self::Failed | Self::Cancelled => false,
        }
    }

    /// The states from which `next` may be reached.
    pub(crate) fn before(next: Self) -> Vec<Self> {
        Self::ACTIVE.into_iter().filter(|from| from.may_become(next)).collect()
    }
}

/// One turn: a user message, a call of the model, its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Run {
    /// Local id.
    pub id: i64,
    /// The thread or chat it belongs to.
    pub messageable: Messageable,
    /// The assistant; `None` for a chat's run, or once the assistant is deleted.
    pub assistant_id: Option<i64>,
    /// The assistant's name when the run was submitted.
    pub assistant_name: Option<String>,
    /// The version of the assistant's definition that it was submitted with ([`Assistant::versions`](crate::Assistant::versions));
    /// `None` where no assistant was asked, and for a run that a release before this field stored.
    pub assistant_version: Option<i64>,
    /// Model that it asks. Once it has ended, the one that it asked last: whose the answer is, if there is any. That is another one than
    /// was asked first where that one's provider failed and the definition names others
    /// ([`AssistantDefinition::fallback`](crate::AssistantDefinition::fallback)). What the provider itself calls it is
    /// [`Message::model`](crate::Message).
    pub model: String,
    /// Name of that model's provider in the engine. `None`: none was asked yet, and the first one is the default one of the engine that
    /// drives it.
    pub provider: Option<String>,
    /// Place among the turns of its thread, from 1.
    pub seq: i64,
    /// Where it is in its life.
    pub status: RunStatus,
    /// Why it is incomplete or failed, in a word that is the same on every server. A completed run has `refusal` when the model
    /// declined to answer and said nothing else, and otherwise `None`.
    pub reason: Option<Reason>,
    /// The provider's own word for it, where it gave one.
    pub provider_reason: Option<String>,
    /// What went wrong, in a sentence. For an error of the provider it is the provider's text, without secrets, at most 2 KiB.
    pub error: Option<String>,
    /// What was unusual about this run, in one word each; mostly empty.
    ///
    /// * `history_windowed`: the history was too long for the model, so only its newest turns were sent.
    /// * `conversation_ignored`: the server creates conversations, but does not keep what is in them. The history is sent with each
    ///   call from now on.
    /// * `conversation_retold`: the provider's conversation was lost, or could not be continued. The whole history was sent to a new
    ///   one.
    /// * `fallback`: a provider failed before there was a word of an answer, and another one was asked.
    pub notes: Vec<String>,
    /// How many requests for an answer were sent to the provider. A call is counted right before it is sent; requests by which the
    /// client repeated it are added when the run ends.
    pub attempts: i64,
    /// The key the host submitted it under ([`RunRequest::idempotency_key`](crate::RunRequest::idempotency_key)).
    pub idempotency_key: Option<String>,
    /// Tokens of all its calls, those of answers that were lost included; zero until the run has ended.
    pub usage: Usage,
    /// What all its calls cost, those of answers that were lost included; not known until the run has ended.
    pub costs: Costs,
    /// The day on which the prices were true by which that was counted; of several lists, the oldest one's.
    pub priced_on: Option<NaiveDate>,
    /// When it was submitted.
    pub created_at: DateTime<Utc>,
    /// When a process began to drive it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    pub(crate) submission: Option<Arc<Submission>>,
}

impl Run {
    /// What all its calls cost together; `None` when that is not known, or not yet.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.costs.cost()
    }

    /// The run when it came to an earlier status.
    pub(crate) fn as_it_was(&self, status: RunStatus) -> Self {
        let mut earlier = Self {
            status,
            reason: None,
            provider_reason: None,
            error: None,
            notes: Vec::new(),
            finished_at: None,
            usage: Usage::default(),
            costs: Costs::default(),
            priced_on: None,
            provider: self.submission.as_ref().and_then(|known| known.provider.clone()),
            ..self.clone()
        };
        if let Some(first) = self.submission.as_ref().and_then(|known| known.model.as_ref()) {
            earlier.model.clone_from(first);
        }
        if status == RunStatus::Queued {
            earlier.started_at = None;
            earlier.attempts = 0;
        }
        earlier
    }
}

#[cfg(any(test, feature = "_internal"))]
impl Run {
    /// A run as tests make one.
    pub(crate) fn sample(status: RunStatus) -> Self {
        let now = Utc::now();
        Self {
            id: 1,
            messageable: Messageable::AssistantThread(1),
            assistant_id: None,
            assistant_name: None,
            assistant_version: None,
            model: "m".to_owned(),
            provider: None,
            seq: 1,
            status,
            reason: None,
            provider_reason: None,
            error: None,
            notes: Vec::new(),
            attempts: 1,
            idempotency_key: None,
            usage: Usage::default(),
            costs: Costs::default(),
            priced_on: None,
            created_at: now,
            started_at: Some(now),
            finished_at: None,
            submission: None,
        }
    }
}

/// What is shown of a run, without what it was asked with, which may be long.
#[derive(Debug, Clone, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = ai_engine_runs)]
#[allow(unnameable_types, reason = "public only as what the public form is selected through")]
pub struct ShownRun {
    pub(crate) id: i64,
    pub(crate) assistant_thread_id: Option<i64>,
    pub(crate) chat_id: Option<i64>,
    pub(crate) assistant_id: Option<i64>,
    pub(crate) assistant_name: Option<String>,
    pub(crate) model: String,
    pub(crate) seq: i64,
    pub(crate) status: RunStatus,
    pub(crate) reason: Option<String>,
    pub(crate) provider_reason: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) idempotency_key: Option<String>,
    #[diesel(select_expression = usage_columns!(ai_engine_runs))]
    #[diesel(select_expression_type = usage_columns!(ai_engine_runs))]
    pub(crate) usage: Usage,
    #[diesel(select_expression = (RunInputCost, RunOutputCost, RunToolCost))]
    #[diesel(select_expression_type = (RunInputCost, RunOutputCost, RunToolCost))]
    pub(crate) costs: Costs,
    #[diesel(select_expression = RunPricedOn)]
    #[diesel(select_expression_type = RunPricedOn)]
    pub(crate) priced_on: Option<NaiveDate>,
    #[diesel(deserialize_as = UtcTimestamp)]
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<chrono::NaiveDateTime>,
    pub(crate) finished_at: Option<chrono::NaiveDateTime>,
    pub(crate) submission: Option<Submission>,
    pub(crate) provider: Option<String>,
}

queryable_as!(Run, ShownRun);

/// A run as stored.
#[derive(Debug, Clone, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = ai_engine_runs)]
pub(crate) struct RunRow {
    #[diesel(embed)]
    pub(crate) shown: ShownRun,
    pub(crate) definition: StoredDefinition,
    pub(crate) lease_owner: Option<String>,
    pub(crate) fencing_token: i64,
    pub(crate) cancel_requested_at: Option<i64>,
    pub(crate) recovery: Option<Recovery>,
}

/// What is shown of it is its own.
impl std::ops::Deref for RunRow {
    type Target = ShownRun;

    fn deref(&self) -> &ShownRun {
        &self.shown
    }
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        row.shown.into()
    }
}

impl From<ShownRun> for Run {
    fn from(row: ShownRun) -> Self {
        let submission = row.submission.map(Arc::new);
        Self {
            id: row.id,
            messageable: Messageable::of(row.assistant_thread_id, row.chat_id),
            assistant_id: row.assistant_id,
            assistant_name: row.assistant_name,
            assistant_version: submission.as_ref().and_then(|known| known.assistant_version),
            model: row.model,
            provider: row.provider,
            seq: row.seq,
            status: row.status,
            reason: row.reason.map(Reason::from),
            provider_reason: row.provider_reason,
            error: row.error,
            // What a later version wrote may be something else.
            notes: row
                .notes
                .and_then(|notes| serde_json::from_str(&notes).ok())
                .unwrap_or_default(),
            attempts: row.attempts,
            idempotency_key: row.idempotency_key,
            usage: row.usage,
            costs: row.costs,
            priced_on: row.priced_on,
            created_at: row.created_at,
            started_at: row.started_at.map(|t| t.and_utc()),
            finished_at: row.finished_at.map(|t| t.and_utc()),
            submission,
        }
    }
}
