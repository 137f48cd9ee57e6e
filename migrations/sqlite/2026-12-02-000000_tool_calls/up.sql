-- Calls of tools: one row for each that a model asked for and the engine, a person or the host decides on.
CREATE TABLE ai_engine_tool_calls (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id BIGINT NOT NULL REFERENCES ai_engine_runs (id) ON DELETE CASCADE,
    -- Which answer of the model in its run it is of, from 1.
    step BIGINT NOT NULL,
    -- Where the call stands in its turn, and where its output will.
    position BIGINT NOT NULL,
    output_position BIGINT NOT NULL,
    -- The provider's id of the call.
    call_id TEXT NOT NULL,
    -- The kind of its item, such as function_call.
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- As the model said them; those that a person changed stand beside them.
    arguments TEXT NOT NULL,
    changed_arguments TEXT,
    status TEXT NOT NULL,
    -- What becomes of it when its process dies in the middle of it.
    repeatable TEXT NOT NULL,
    -- What the model is told.
    output TEXT,
    -- Why it failed, or was refused.
    error TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    idempotency_key TEXT NOT NULL,
    -- Who decided, in the host's words.
    decided_by TEXT,
    -- Until when it may be decided on, in milliseconds; NULL: for ever.
    decide_until BIGINT,
    -- One more with each change.
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    decided_at TIMESTAMP,
    finished_at TIMESTAMP,
    UNIQUE (run_id, position)
);
-- What somebody has to decide on.
CREATE INDEX ai_engine_tool_calls_waiting ON ai_engine_tool_calls (status, decide_until) WHERE finished_at IS NULL;
