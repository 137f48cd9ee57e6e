//! A call of a tool: what the model asked for, who decided on it, what came of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::{Item, OptionalUtc, UtcTimestamp, text_enum};
use crate::schema::ai_engine_tool_calls;

text_enum! {
    /// Where a call of a tool is in its life.
    pub enum ToolCallStatus {
        /// It is to be carried out.
        Pending => "pending",
        /// A person has to agree ([`AiEngine::approve`](crate::AiEngine::approve), [`AiEngine::reject`](crate::AiEngine::reject)).
        AwaitingApproval => "awaiting_approval",
        /// The host carries it out itself ([`AiEngine::submit_output`](crate::AiEngine::submit_output)). It waits so as well where the
        /// process that drove the run has no such tool, as an older one in a rolling deploy, until one that has it is started.
        AwaitingOutput => "awaiting_output",
        /// A person agreed; it is to be carried out.
        Approved => "approved",
        /// A process carries it out.
        Running => "running",
        /// Its output is stored.
        Completed => "completed",
        /// It failed; the model is told why.
        Failed => "failed",
        /// A person or the tool itself refused it; the model is told why.
        Rejected => "rejected",
        /// Its process died or its run ended in the middle of it, and it is not to be repeated: the model is told that it is not known
        /// whether it was carried out.
        Unknown => "unknown",
        /// The run ended before it was carried out.
        Cancelled => "cancelled",
    }
}

text_enum! {
    /// What becomes of a call whose process died in the middle of it.
    pub enum Repeatable {
        /// It is carried out again: doing it twice is as doing it once, or
        /// [`idempotency_key`](crate::ToolContext::idempotency_key) sees to that.
        Yes => "yes",
        /// A person is asked: the call waits for a decision, as one that needs approval.
        Ask => "ask",
        /// It is not carried out again. The model is told that it is not known what became of it.
        No => "no",
    }
}

impl ToolCallStatus {
    /// Those that are to be carried out, or are being so.
    pub(crate) const OURS: [Self; 3] = [Self::Pending, Self::Approved, Self::Running];
    /// Those that wait for somebody else.
    pub(crate) const WAITING: [Self; 2] = [Self::AwaitingApproval, Self::AwaitingOutput];

    /// Whether the model has been, or will be, told what came of it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending
            | Self::AwaitingApproval
            | Self::AwaitingOutput
            | Self::Approved
            | Self::Running => false,
            Self::Completed | Self::Failed | Self::Rejected | Self::Unknown | Self::Cancelled => {
                true
            }
        }
    }

    /// The one place that says how a call may move.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(
                next,
                Self::AwaitingApproval
                    | Self::AwaitingOutput
                    | Self::Running
                    | Self::Failed
                    | Self::Rejected
                    | Self::Cancelled
            ),
            Self::AwaitingApproval => {
                matches!(next, Self::Approved | Self::Rejected | Self::Cancelled)
            }
            // A process that has the tool after all carries it out.
            Self::AwaitingOutput => matches!(
                next,
                Self::Completed | Self::Failed | Self::Pending | Self::Approved | Self::Cancelled
            ),
            Self::Approved => matches!(
                next,
                Self::Running
                    | Self::AwaitingOutput
                    | Self::Completed
                    | Self::Failed
                    | Self::Cancelled
            ),
            // Its process died: again, a person is asked, or it stays unknown.
            Self::Running => matches!(
                next,
                Self::Completed
                    | Self::Failed
                    | Self::Pending
                    | Self::Approved
                    | Self::AwaitingApproval
                    | Self::Unknown
                    | Self::Cancelled
            ),
            Self::Completed | Self::Failed | Self::Rejected | Self::Unknown | Self::Cancelled => {
                false
            }
        }
    }

    /// The states from which `next` may be reached.
    pub(crate) fn before(next: Self) -> Vec<Self> {
        let all = [Self::WAITING.as_slice(), Self::OURS.as_slice()].concat();
        all.into_iter().filter(|from| from.may_become(next)).collect()
    }
}

/// The kind of a request that a tool of the provider's own may be called.
pub(crate) const APPROVAL: &str = "mcp_approval_request";

/// What a model is told of a call that was not begun, and is not any more.
pub(crate) const NOT_CARRIED_OUT: &str = "This call was not carried out.";

/// What a model is told of one that was begun, and of whose end nobody knows: it is not to be done again as if nothing had been.
pub(crate) const NOT_KNOWN: &str =
    "It is not known whether this call was carried out: it was broken off in the middle of it.";

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = ai_engine_tool_calls)]
#[non_exhaustive]
pub struct ToolCall {
    /// Local id.
    pub id: i64,
    /// The run that called it.
    pub run_id: i64,
    /// Which answer of the model in its run asked for it, from 1.
    pub step: i64,
    /// Its place in the turn, among the messages.
    pub position: i64,
    /// The provider's id of it.
    pub call_id: String,
    /// What it is to the provider, such as `function_call`.
    pub kind: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the model said them: JSON, as a rule.
    pub arguments: String,
    /// Those that it was carried out with, where a person changed them.
    pub changed_arguments: Option<String>,
    /// Where it is in its life.
    pub status: ToolCallStatus,
    /// What becomes of it when its process dies in the middle of it.
    pub repeatable: Repeatable,
    /// What the model was told.
    pub output: Option<String>,
    /// Why it failed or was rejected.
    pub error: Option<String>,
    /// How often it was begun.
    pub attempts: i64,
    /// The same for each attempt, and for no other call.
    pub idempotency_key: String,
    /// Who decided, in the host's words.
    pub decided_by: Option<String>,
    /// Until when it can be decided on, in milliseconds since 1970 by the database's clock; `None`: for ever.
    pub decide_until: Option<i64>,
    /// One more with each change.
    #[serde(skip)]
    pub(crate) version: i64,
    /// Where its output goes.
    #[serde(skip)]
    pub(crate) output_position: i64,
    /// When the model asked for it.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub created_at: DateTime<Utc>,
    /// When it was begun last.
    #[diesel(deserialize_as = OptionalUtc)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was decided on.
    #[diesel(deserialize_as = OptionalUtc)]
    pub decided_at: Option<DateTime<Utc>>,
    /// When its output was stored.
    #[diesel(deserialize_as = OptionalUtc)]
    pub finished_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
impl ToolCall {
    /// A call of [`Run::sample`](super::Run::sample) as tests make one.
    pub(crate) fn sample(position: i64, status: ToolCallStatus) -> Self {
        Self {
            id: position,
            run_id: 1,
            step: 1,
            position,
            call_id: format!("call_{position}"),
            kind: "function_call".to_owned(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
            changed_arguments: None,
            status,
            repeatable: Repeatable::Ask,
            output: None,
            error: None,
            attempts: 0,
            idempotency_key: "key".to_owned(),
            decided_by: None,
            decide_until: None,
            version: 1,
            output_position: position + 1,
            created_at: DateTime::UNIX_EPOCH,
            started_at: None,
            decided_at: None,
            finished_at: None,
        }
    }
}

impl ToolCall {
    /// Whether somebody decided on it, or should have.
    pub(crate) const fn has_waited(&self) -> bool {
        self.decided_at.is_some() || (self.decide_until.is_some() && self.status.is_terminal())
    }

    /// What tells the provider its output, in the form of OpenAI's API description (schemas `…CallOutputItemParam` and
    /// `MCPApprovalResponse`). An approval of the provider's own tool has none but the decision.
    pub(crate) fn output_item(&self) -> Item {
        let (id, output) = (&self.call_id, self.output.as_deref().unwrap_or_default());
        Item::from(match self.kind.as_str() {
            "custom_tool_call" => {
                json!({"type": "custom_tool_call_output", "call_id": id, "output": output})
            }
            APPROVAL if self.status == ToolCallStatus::Completed => {
                json!({"type": "mcp_approval_response", "approval_request_id": id, "approve": true})
            }
            APPROVAL => json!({
                "type": "mcp_approval_response", "approval_request_id": id, "approve": false, "reason": output,
            }),
            _ => json!({"type": "function_call_output", "call_id": id, "output": output}),
        })
    }

    /// Where it is when it is to be carried out.
    pub(crate) const fn before_running(&self) -> ToolCallStatus {
        if self.decided_at.is_some() { ToolCallStatus::Approved } else { ToolCallStatus::Pending }
    }

    /// What the model is told of a call that nobody agrees to any more. One that was begun before may have been carried out then.
    pub(crate) fn refusal(&self, why: &str) -> String {
        match self.attempts {
            0 => why.to_owned(),
            _ => format!("{why} It is not known whether it was carried out before."),
        }
    }

    /// What the model is told of one that is open when its run ends.
    pub(crate) const fn broken_off(&self) -> &'static str {
        if self.attempts == 0 { NOT_CARRIED_OUT } else { NOT_KNOWN }
    }

    /// The arguments that it is carried out with.
    #[must_use]
    pub fn effective_arguments(&self) -> &str {
        self.changed_arguments.as_deref().unwrap_or(&self.arguments)
    }
}
