//! The app's own tables. Those of the engine are in `ai_engine::schema`.

diesel::table! {
    app_settings (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    users (id) {
        id -> Integer,
        name -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    storytellers (id) {
        id -> Integer,
        user_id -> Integer,
        name -> Text,
        model -> Text,
        description -> Text,
        instructions -> Text,
        max_prompt_tokens -> Nullable<Integer>,
        max_output_tokens -> Nullable<Integer>,
        created_at -> Timestamp,
        version -> Integer,
    }
}

diesel::table! {
    stories (id) {
        id -> Integer,
        user_id -> Integer,
        title -> Text,
        text -> Text,
        teller -> Text,
        idempotency_key -> Text,
        created_at -> Timestamp,
    }
}
