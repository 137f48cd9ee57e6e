-- Ids are never used again (AUTOINCREMENT): a cookie of a deleted user is nobody's.
CREATE TABLE app_settings (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE storytellers (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    description TEXT NOT NULL,
    instructions TEXT NOT NULL,
    max_prompt_tokens INTEGER,
    max_output_tokens INTEGER,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX storytellers_of_a_user ON storytellers (user_id);

CREATE TABLE stories (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    teller TEXT NOT NULL,
    -- The call of the tool that published it: twice the same call is one story.
    idempotency_key TEXT NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX stories_of_a_user ON stories (user_id);
