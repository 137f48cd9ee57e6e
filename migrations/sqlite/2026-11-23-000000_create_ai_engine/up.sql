-- A host's record as an assistant: the definition that travels with each call.
CREATE TABLE ai_engine_assistants (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    assistable_type TEXT NOT NULL,
    assistable_id TEXT NOT NULL,
    name TEXT,
    description TEXT,
    model TEXT NOT NULL,
    instructions TEXT,
    temperature DOUBLE,
    top_p DOUBLE,
    max_output_tokens BIGINT,
    max_prompt_tokens BIGINT,
    reasoning TEXT,
    metadata TEXT NOT NULL,
    tools TEXT NOT NULL,
    parameters TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    remote_id TEXT,
    remote_version BIGINT,
    endpoint TEXT,
    protocol TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (assistable_type, assistable_id)
);

-- A conversation with assistants. `next_seq` numbers its turns, `revision` counts replaced texts.
CREATE TABLE ai_engine_assistant_threads (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    threadable_type TEXT NOT NULL,
    threadable_id TEXT NOT NULL,
    remote_id TEXT,
    endpoint TEXT,
    protocol TEXT,
    next_seq BIGINT NOT NULL DEFAULT 1,
    revision BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX ai_engine_assistant_threads_owner ON ai_engine_assistant_threads (threadable_type, threadable_id);

-- A conversation with a bare model.
CREATE TABLE ai_engine_chats (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    chattable_type TEXT NOT NULL,
    chattable_id TEXT NOT NULL,
    remote_id TEXT,
    endpoint TEXT,
    protocol TEXT,
    next_seq BIGINT NOT NULL DEFAULT 1,
    revision BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX ai_engine_chats_owner ON ai_engine_chats (chattable_type, chattable_id);

-- One turn. `definition` is what the assistant was when the run was submitted.
CREATE TABLE ai_engine_runs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    assistant_thread_id BIGINT REFERENCES ai_engine_assistant_threads (id) ON DELETE CASCADE,
    chat_id BIGINT REFERENCES ai_engine_chats (id) ON DELETE CASCADE,
    assistant_id BIGINT REFERENCES ai_engine_assistants (id) ON DELETE SET NULL,
    assistant_name TEXT,
    model TEXT NOT NULL,
    definition TEXT NOT NULL,
    seq BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    error TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    fencing_token BIGINT NOT NULL DEFAULT 0,
    cancel_requested_at BIGINT,
    idempotency_key TEXT,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    cached_input_tokens BIGINT NOT NULL DEFAULT 0,
    cache_write_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    reasoning_tokens BIGINT NOT NULL DEFAULT 0,
    announced_at BIGINT,
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    updated_at TIMESTAMP NOT NULL,
    CHECK ((assistant_thread_id IS NULL) <> (chat_id IS NULL)),
    UNIQUE (assistant_thread_id, seq),
    UNIQUE (chat_id, seq),
    UNIQUE (assistant_thread_id, idempotency_key),
    UNIQUE (chat_id, idempotency_key)
);
CREATE INDEX ai_engine_runs_assistant ON ai_engine_runs (assistant_id);
-- What recovery looks for: runs that have not ended, or whose end was not announced.
CREATE INDEX ai_engine_runs_unfinished ON ai_engine_runs (status) WHERE announced_at IS NULL;
CREATE UNIQUE INDEX ai_engine_runs_one_active_per_thread ON ai_engine_runs (assistant_thread_id)
    WHERE status IN ('in_progress', 'requires_action');
CREATE UNIQUE INDEX ai_engine_runs_one_active_per_chat ON ai_engine_runs (chat_id)
    WHERE status IN ('in_progress', 'requires_action');

-- One remote call of a run: where it went, what it cost.
CREATE TABLE ai_engine_responses (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id BIGINT NOT NULL REFERENCES ai_engine_runs (id) ON DELETE CASCADE,
    remote_id TEXT,
    endpoint TEXT NOT NULL,
    protocol TEXT NOT NULL,
    stored BOOLEAN NOT NULL,
    sequence_number BIGINT,
    model TEXT,
    status TEXT NOT NULL,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    cached_input_tokens BIGINT NOT NULL DEFAULT 0,
    cache_write_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    reasoning_tokens BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP
);
CREATE INDEX ai_engine_responses_run ON ai_engine_responses (run_id);

-- What was said, in the order (seq, position).
CREATE TABLE ai_engine_messages (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    assistant_thread_id BIGINT REFERENCES ai_engine_assistant_threads (id) ON DELETE CASCADE,
    chat_id BIGINT REFERENCES ai_engine_chats (id) ON DELETE CASCADE,
    run_id BIGINT REFERENCES ai_engine_runs (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    position BIGINT NOT NULL,
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    content TEXT NOT NULL,
    model TEXT,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    cached_input_tokens BIGINT NOT NULL DEFAULT 0,
    cache_write_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    reasoning_tokens BIGINT NOT NULL DEFAULT 0,
    remote_id TEXT,
    remote_state TEXT NOT NULL,
    endpoint TEXT,
    protocol TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    CHECK ((assistant_thread_id IS NULL) <> (chat_id IS NULL)),
    UNIQUE (assistant_thread_id, seq, position),
    UNIQUE (chat_id, seq, position)
);
CREATE INDEX ai_engine_messages_run ON ai_engine_messages (run_id);

-- What is no message but belongs to the conversation: calls, their outputs, reasoning; as the provider sent it.
CREATE TABLE ai_engine_run_items (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id BIGINT NOT NULL REFERENCES ai_engine_runs (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    call_id TEXT,
    phase TEXT,
    item TEXT NOT NULL,
    remote_id TEXT,
    remote_state TEXT NOT NULL,
    endpoint TEXT,
    protocol TEXT,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (run_id, position)
);

-- Streamed text until its message settles. `sequence_number` is how far the stream was applied with it.
CREATE TABLE ai_engine_message_deltas (
    id INTEGER NOT NULL PRIMARY KEY,
    message_id BIGINT NOT NULL REFERENCES ai_engine_messages (id) ON DELETE CASCADE,
    byte_offset BIGINT NOT NULL,
    sequence_number BIGINT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX ai_engine_message_deltas_message ON ai_engine_message_deltas (message_id);

-- A process that drives runs. A run's lease ends when that of its worker ends (milliseconds of the database's clock).
CREATE TABLE ai_engine_workers (
    id TEXT NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    lease_ends_at BIGINT NOT NULL
);

-- Remote objects to delete: written with the local deletion, worked off afterwards.
CREATE TABLE ai_engine_remote_deletions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    protocol TEXT NOT NULL,
    kind TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    parent_remote_id TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    last_error TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX ai_engine_remote_deletions_endpoint ON ai_engine_remote_deletions (endpoint);
