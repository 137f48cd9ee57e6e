-- Bytes of parts of messages: pictures, files, sound. Once for each thread or chat, whatever number of its messages have them.
CREATE TABLE ai_engine_blobs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    assistant_thread_id BIGINT REFERENCES ai_engine_assistant_threads (id) ON DELETE CASCADE,
    chat_id BIGINT REFERENCES ai_engine_chats (id) ON DELETE CASCADE,
    -- SHA-256, in hexadecimal digits.
    digest TEXT NOT NULL,
    bytes BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL,
    CHECK ((assistant_thread_id IS NULL) <> (chat_id IS NULL)),
    UNIQUE (assistant_thread_id, digest),
    UNIQUE (chat_id, digest)
);
-- What a message has beside its text, in order. `url`, `file_id` (at the provider of `endpoint`) or `blob_id` says where its bytes
-- are; what the provider said of it is in `data`, or in the item that it is of.
CREATE TABLE ai_engine_message_parts (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    message_id BIGINT NOT NULL REFERENCES ai_engine_messages (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    media_type TEXT,
    name TEXT,
    size BIGINT,
    digest TEXT,
    url TEXT,
    file_id TEXT,
    endpoint TEXT,
    blob_id BIGINT REFERENCES ai_engine_blobs (id) ON DELETE CASCADE,
    item_id BIGINT REFERENCES ai_engine_run_items (id) ON DELETE CASCADE,
    data TEXT,
    -- Of an annotation: the characters of the message before the text that its indices count in.
    text_offset BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (message_id, position)
);
CREATE INDEX ai_engine_message_parts_blob ON ai_engine_message_parts (blob_id) WHERE blob_id IS NOT NULL;
CREATE INDEX ai_engine_message_parts_item ON ai_engine_message_parts (item_id) WHERE item_id IS NOT NULL;
-- How many there are: a message without any costs its readers nothing. A process of the version before writes none.
ALTER TABLE ai_engine_messages ADD COLUMN part_count BIGINT NOT NULL DEFAULT 0;
