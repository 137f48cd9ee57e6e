-- What left the current path of a conversation, and what came back to it, under the number that was taken for it: readers are
-- told of it in its place among the turns. A process of the version before changes no path.
CREATE TABLE ai_engine_path_changes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    assistant_thread_id BIGINT REFERENCES ai_engine_assistant_threads (id) ON DELETE CASCADE,
    chat_id BIGINT REFERENCES ai_engine_chats (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    -- `{"left": [[turn, run or null], …], "back": [turn, …]}`, each in order.
    change TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    CHECK ((assistant_thread_id IS NULL) <> (chat_id IS NULL)),
    UNIQUE (assistant_thread_id, seq),
    UNIQUE (chat_id, seq)
);
-- Of a message that came back to the path: the number under which it did.
ALTER TABLE ai_engine_messages ADD COLUMN chosen_at_seq BIGINT;
