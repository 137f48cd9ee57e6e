use chrono::{DateTime, Utc};
use serde::Serialize;

use super::UtcTimestamp;

/// A conversation between an owner (a [`Threadable`](crate::Threadable)) and assistants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = crate::schema::ai_engine_assistant_threads)]
#[non_exhaustive]
pub struct AssistantThread {
    /// Local id.
    pub id: i64,
    /// [`Record::TYPE`](crate::Record::TYPE) of the owner.
    pub threadable_type: String,
    /// The owner's id as text.
    pub threadable_id: String,
    /// The provider's conversation, once there is one.
    pub remote_id: Option<String>,
    /// Base URL (and project) of the provider where `remote_id` is known.
    pub endpoint: Option<String>,
    /// Protocol by which `remote_id` was made.
    pub protocol: Option<String>,
    /// When it was created.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub updated_at: DateTime<Utc>,
    /// Of a fork ([`fork_at`](Self::fork_at)): the id of what it was made from, which may be deleted since.
    pub forked_from_id: Option<i64>,
    /// Of a fork: the message there that it was made at.
    pub forked_at_message_id: Option<i64>,
}

/// A conversation between an owner (a [`Chattable`](crate::Chattable)) and a bare model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, diesel::Queryable, diesel::Selectable)]
#[diesel(table_name = crate::schema::ai_engine_chats)]
#[non_exhaustive]
pub struct Chat {
    /// Local id.
    pub id: i64,
    /// [`Record::TYPE`](crate::Record::TYPE) of the owner.
    pub chattable_type: String,
    /// The owner's id as text.
    pub chattable_id: String,
    /// When it was created.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    #[diesel(deserialize_as = UtcTimestamp)]
    pub updated_at: DateTime<Utc>,
    /// Of a fork ([`fork_at`](Self::fork_at)): the id of what it was made from, which may be deleted since.
    pub forked_from_id: Option<i64>,
    /// Of a fork: the message there that it was made at.
    pub forked_at_message_id: Option<i64>,
}
