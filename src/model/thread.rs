use chrono::{DateTime, Utc};
use diesel::sql_types::{Nullable, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{StoredMetadata, TitleAuthor, UtcTimestamp};

diesel::define_sql_function! {
    /// When a conversation's last turn began; a process of an earlier version says that with `updated_at` alone.
    #[sql_name = "coalesce"]
    fn last_activity(last_activity_at: Nullable<Timestamp>, updated_at: Timestamp) -> Timestamp;
}

/// What the rows of threads and chats have in common, beside what is their own.
macro_rules! conversation {
    ($(#[$doc:meta])* $name:ident in $table:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, diesel::Queryable, diesel::Selectable)]
        #[diesel(table_name = crate::schema::$table)]
        #[non_exhaustive]
        pub struct $name {
            /// Local id.
            pub id: i64,
            $($own)*
            /// Its name, if it has one.
            pub title: Option<String>,
            /// Who gave it that name.
            pub title_by: Option<TitleAuthor>,
            /// What the host noted of it. The model is not told.
            #[diesel(deserialize_as = StoredMetadata)]
            pub metadata: Map<String, Value>,
            /// When its last turn began, or it was created: what [`recent`](crate::Conversations::recent) goes by.
            #[diesel(select_expression = last_activity(
                crate::schema::$table::last_activity_at, crate::schema::$table::updated_at
            ))]
            #[diesel(select_expression_type = last_activity<
                crate::schema::$table::last_activity_at, crate::schema::$table::updated_at
            >)]
            #[diesel(deserialize_as = UtcTimestamp)]
            pub last_activity_at: DateTime<Utc>,
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
    };
}

conversation! {
    /// A conversation between an owner (a [`Threadable`](crate::Threadable)) and assistants.
    AssistantThread in ai_engine_assistant_threads {
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
    }
}

conversation! {
    /// A conversation between an owner (a [`Chattable`](crate::Chattable)) and a bare model.
    Chat in ai_engine_chats {
        /// [`Record::TYPE`](crate::Record::TYPE) of the owner.
        pub chattable_type: String,
        /// The owner's id as text.
        pub chattable_id: String,
    }
}
