//! The tables of the bundled migrations, for hosts that join their own tables to ours.
//!
//! Columns follow the migrations: they may be added in a minor release, and one that a migration keeps for processes of the
//! version before is not among them. Nor are `input_cost`, `output_cost`, `tool_cost` and `priced_on` of `ai_engine_runs`: with them
//! it would be wider than the tables that Diesel is built for, unless a host asks for wider ones. They are the sums of those of
//! `ai_engine_responses`. Owner ids are stored as text, so a join casts the host's key. Two lines say that two tables
//! are not the same one (Diesel's
//! `allow_tables_to_appear_in_same_query!` says more for PostgreSQL, which only the crate of both tables may):
//!
//! ```
//! use ai_engine::schema::ai_engine_assistant_threads as threads;
//! use diesel::prelude::*;
//!
//! diesel::table! { users (id) { id -> Integer, name -> Text, } }
//! impl diesel::query_source::TableNotEqual<threads::table> for users::table {}
//! impl diesel::query_source::TableNotEqual<users::table> for threads::table {}
//!
//! # fn main() {
//! let threads_of_each_user = users::table
//!     .inner_join(threads::table.on(threads::threadable_id.eq(users::id.cast::<diesel::sql_types::Text>())))
//!     .filter(threads::threadable_type.eq("User"))
//!     .select((users::name, threads::id));
//! # let _ = diesel::debug_query::<diesel::sqlite::Sqlite, _>(&threads_of_each_user).to_string();
//! # }
//! ```
#![allow(missing_docs, reason = "the migrations' own comments describe the columns")]

diesel::table! {
    ai_engine_assistants (id) {
        id -> BigInt,
        assistable_type -> Text,
        assistable_id -> Text,
        name -> Nullable<Text>,
        model -> Text,
        definition -> Json,
        version -> BigInt,
        remote_id -> Nullable<Text>,
        remote_version -> Nullable<BigInt>,
        endpoint -> Nullable<Text>,
        protocol -> Nullable<Text>,
        remote_provider -> Nullable<Text>,
        remote_key -> Nullable<Text>,
        remote_due_at -> Nullable<BigInt>,
        remote_claim_ends_at -> Nullable<BigInt>,
        remote_attempts -> BigInt,
        remote_error -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    ai_engine_assistant_versions (id) {
        id -> BigInt,
        assistant_id -> BigInt,
        version -> BigInt,
        definition -> Json,
        created_at -> Timestamp,
    }
}

/// Threads and chats have the same columns but for the names of their owner's.
macro_rules! conversations {
    ($table:ident, $owner_type:ident, $owner_id:ident) => {
        diesel::table! {
            $table (id) {
                id -> BigInt,
                $owner_type -> Text,
                $owner_id -> Text,
                remote_id -> Nullable<Text>,
                endpoint -> Nullable<Text>,
                protocol -> Nullable<Text>,
                next_seq -> BigInt,
                created_at -> Timestamp,
                updated_at -> Timestamp,
                title -> Nullable<Text>,
                title_by -> Nullable<Text>,
                metadata -> Json,
                last_activity_at -> Nullable<Timestamp>,
                head_seq -> Nullable<BigInt>,
                forked_from_id -> Nullable<BigInt>,
                forked_at_message_id -> Nullable<BigInt>,
            }
        }
    };
}

conversations!(ai_engine_assistant_threads, threadable_type, threadable_id);
conversations!(ai_engine_chats, chattable_type, chattable_id);

diesel::table! {
    ai_engine_runs (id) {
        id -> BigInt,
        assistant_thread_id -> Nullable<BigInt>,
        chat_id -> Nullable<BigInt>,
        assistant_id -> Nullable<BigInt>,
        assistant_name -> Nullable<Text>,
        model -> Text,
        definition -> Json,
        seq -> BigInt,
        status -> Text,
        reason -> Nullable<Text>,
        error -> Nullable<Text>,
        attempts -> BigInt,
        lease_owner -> Nullable<Text>,
        fencing_token -> BigInt,
        cancel_requested_at -> Nullable<BigInt>,
        idempotency_key -> Nullable<Text>,
        recovery -> Nullable<Text>,
        input_tokens -> BigInt,
        cached_input_tokens -> BigInt,
        cache_write_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        announced_at -> Nullable<BigInt>,
        created_at -> Timestamp,
        started_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
        updated_at -> Timestamp,
        provider_reason -> Nullable<Text>,
        notes -> Nullable<Text>,
        submission -> Nullable<Json>,
        usage_estimated -> Bool,
        provider -> Nullable<Text>,
    }
}

diesel::table! {
    ai_engine_responses (id) {
        id -> BigInt,
        run_id -> BigInt,
        remote_id -> Nullable<Text>,
        endpoint -> Text,
        protocol -> Text,
        stored -> Bool,
        sequence_number -> Nullable<BigInt>,
        model -> Nullable<Text>,
        status -> Text,
        input_tokens -> BigInt,
        cached_input_tokens -> BigInt,
        cache_write_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        created_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
        usage_estimated -> Bool,
        input_cost -> Nullable<BigInt>,
        output_cost -> Nullable<BigInt>,
        tool_cost -> Nullable<BigInt>,
        priced_on -> Nullable<Date>,
    }
}

diesel::table! {
    ai_engine_messages (id) {
        id -> BigInt,
        assistant_thread_id -> Nullable<BigInt>,
        chat_id -> Nullable<BigInt>,
        run_id -> Nullable<BigInt>,
        seq -> BigInt,
        position -> BigInt,
        role -> Text,
        status -> Text,
        content -> Text,
        model -> Nullable<Text>,
        input_tokens -> BigInt,
        cached_input_tokens -> BigInt,
        cache_write_tokens -> BigInt,
        output_tokens -> BigInt,
        reasoning_tokens -> BigInt,
        remote_id -> Nullable<Text>,
        remote_state -> Text,
        endpoint -> Nullable<Text>,
        protocol -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        superseded_at_seq -> Nullable<BigInt>,
        parent_seq -> Nullable<BigInt>,
        metadata -> Json,
        author -> Nullable<Text>,
        usage_estimated -> Bool,
        chosen_at_seq -> Nullable<BigInt>,
        part_count -> BigInt,
        input_cost -> Nullable<BigInt>,
        output_cost -> Nullable<BigInt>,
        tool_cost -> Nullable<BigInt>,
    }
}

diesel::table! {
    ai_engine_blobs (id) {
        id -> BigInt,
        assistant_thread_id -> Nullable<BigInt>,
        chat_id -> Nullable<BigInt>,
        digest -> Text,
        bytes -> Binary,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ai_engine_message_parts (id) {
        id -> BigInt,
        message_id -> BigInt,
        position -> BigInt,
        kind -> Text,
        media_type -> Nullable<Text>,
        name -> Nullable<Text>,
        size -> Nullable<BigInt>,
        digest -> Nullable<Text>,
        url -> Nullable<Text>,
        file_id -> Nullable<Text>,
        endpoint -> Nullable<Text>,
        blob_id -> Nullable<BigInt>,
        item_id -> Nullable<BigInt>,
        data -> Nullable<Json>,
        text_offset -> BigInt,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ai_engine_path_changes (id) {
        id -> BigInt,
        assistant_thread_id -> Nullable<BigInt>,
        chat_id -> Nullable<BigInt>,
        seq -> BigInt,
        change -> Json,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ai_engine_run_items (id) {
        id -> BigInt,
        run_id -> BigInt,
        position -> BigInt,
        kind -> Text,
        call_id -> Nullable<Text>,
        phase -> Nullable<Text>,
        item -> Json,
        remote_id -> Nullable<Text>,
        remote_state -> Text,
        endpoint -> Nullable<Text>,
        protocol -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ai_engine_tool_calls (id) {
        id -> BigInt,
        run_id -> BigInt,
        step -> BigInt,
        position -> BigInt,
        output_position -> BigInt,
        call_id -> Text,
        kind -> Text,
        name -> Text,
        arguments -> Text,
        changed_arguments -> Nullable<Text>,
        status -> Text,
        repeatable -> Text,
        output -> Nullable<Text>,
        error -> Nullable<Text>,
        attempts -> BigInt,
        idempotency_key -> Text,
        decided_by -> Nullable<Text>,
        decide_until -> Nullable<BigInt>,
        version -> BigInt,
        created_at -> Timestamp,
        started_at -> Nullable<Timestamp>,
        decided_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    ai_engine_message_deltas (id) {
        id -> BigInt,
        message_id -> BigInt,
        byte_offset -> BigInt,
        sequence_number -> BigInt,
        text -> Text,
    }
}

diesel::table! {
    ai_engine_workers (id) {
        id -> Text,
        started_at -> BigInt,
        lease_ends_at -> BigInt,
    }
}

diesel::table! {
    ai_engine_remote_deletions (id) {
        id -> BigInt,
        endpoint -> Text,
        protocol -> Text,
        kind -> Text,
        remote_id -> Text,
        parent_remote_id -> Nullable<Text>,
        attempts -> BigInt,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
        next_attempt_at -> BigInt,
    }
}

diesel::joinable!(ai_engine_assistant_versions -> ai_engine_assistants (assistant_id));
diesel::joinable!(ai_engine_runs -> ai_engine_assistant_threads (assistant_thread_id));
diesel::joinable!(ai_engine_runs -> ai_engine_chats (chat_id));
diesel::joinable!(ai_engine_runs -> ai_engine_assistants (assistant_id));
diesel::joinable!(ai_engine_responses -> ai_engine_runs (run_id));
diesel::joinable!(ai_engine_path_changes -> ai_engine_assistant_threads (assistant_thread_id));
diesel::joinable!(ai_engine_path_changes -> ai_engine_chats (chat_id));
diesel::joinable!(ai_engine_messages -> ai_engine_assistant_threads (assistant_thread_id));
diesel::joinable!(ai_engine_messages -> ai_engine_chats (chat_id));
diesel::joinable!(ai_engine_messages -> ai_engine_runs (run_id));
diesel::joinable!(ai_engine_blobs -> ai_engine_assistant_threads (assistant_thread_id));
diesel::joinable!(ai_engine_blobs -> ai_engine_chats (chat_id));
diesel::joinable!(ai_engine_message_parts -> ai_engine_messages (message_id));
diesel::joinable!(ai_engine_message_parts -> ai_engine_blobs (blob_id));
diesel::joinable!(ai_engine_message_parts -> ai_engine_run_items (item_id));
diesel::joinable!(ai_engine_run_items -> ai_engine_runs (run_id));
diesel::joinable!(ai_engine_tool_calls -> ai_engine_runs (run_id));
diesel::joinable!(ai_engine_message_deltas -> ai_engine_messages (message_id));
diesel::allow_tables_to_appear_in_same_query!(
    ai_engine_assistants,
    ai_engine_assistant_versions,
    ai_engine_assistant_threads,
    ai_engine_chats,
    ai_engine_runs,
    ai_engine_responses,
    ai_engine_messages,
    ai_engine_blobs,
    ai_engine_message_parts,
    ai_engine_path_changes,
    ai_engine_run_items,
    ai_engine_tool_calls,
    ai_engine_message_deltas,
    ai_engine_workers,
    ai_engine_remote_deletions,
);
