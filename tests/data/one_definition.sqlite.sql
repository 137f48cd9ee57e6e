-- Written by tests/suite/earlier_versions/write.rs: the schema of that version, and rows in every state.
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

-- Readers compare the text itself; nobody reads how often texts were replaced.
ALTER TABLE ai_engine_assistant_threads DROP COLUMN revision;
ALTER TABLE ai_engine_chats DROP COLUMN revision;

-- What a run's submitter wants done when its process dies; NULL: what the engine does by default.
ALTER TABLE ai_engine_runs ADD COLUMN recovery TEXT;

-- When a deletion may be tried again, by the database's clock in milliseconds since 1970. Whoever tries one moves it into
-- the future first, so that no two processes ask the provider for the same deletion at once.
ALTER TABLE ai_engine_remote_deletions ADD COLUMN next_attempt_at BIGINT NOT NULL DEFAULT 0;

-- The provider's own word for why a run ended as it did; `reason` has ours, the same for every provider.
ALTER TABLE ai_engine_runs ADD COLUMN provider_reason TEXT;
-- What was out of the ordinary on the way: a JSON list of words.
ALTER TABLE ai_engine_runs ADD COLUMN notes TEXT;

-- An assistant's definition is one JSON object, so that a new field of it needs no column. `name` and `model` stay beside it, as
-- copies that can be looked for.
--
-- A rolling deploy: processes of the version before go on reading and writing a column for each field. For their sake the columns
-- stay, until a migration of the next version drops them, and triggers carry over what is written in the one form to the other.
-- They go by how both versions write: the one before sets every column and no definition, this one `name`, `model`, `definition`
-- and a higher `version`.
--
-- All of it by ALTER TABLE, without a rebuild: a host may have Diesel run this folder with foreign keys enforced, and dropping
-- the table would then take the assistant from each of its runs. SQLite's JSON functions are needed (built in since 3.38).
ALTER TABLE ai_engine_assistants ADD COLUMN definition TEXT NOT NULL DEFAULT '{}';

-- This version names no column that it does not know, so these three need a default. What they hold waits in `definition`.
UPDATE ai_engine_assistants
    SET definition = json_array(CAST(metadata AS TEXT), CAST(tools AS TEXT), CAST(parameters AS TEXT));
ALTER TABLE ai_engine_assistants DROP COLUMN metadata;
ALTER TABLE ai_engine_assistants DROP COLUMN tools;
ALTER TABLE ai_engine_assistants DROP COLUMN parameters;
ALTER TABLE ai_engine_assistants ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE ai_engine_assistants ADD COLUMN tools TEXT NOT NULL DEFAULT '[]';
ALTER TABLE ai_engine_assistants ADD COLUMN parameters TEXT NOT NULL DEFAULT '{}';
UPDATE ai_engine_assistants SET
    metadata = json_extract(definition, '$[0]'),
    tools = json_extract(definition, '$[1]'),
    parameters = json_extract(definition, '$[2]');

-- What is no JSON goes into the definition as text: one assistant cannot be read then, instead of all migrations failing.
CREATE TRIGGER ai_engine_assistants_columns_updated
AFTER UPDATE OF model ON ai_engine_assistants
WHEN NEW.definition = OLD.definition
BEGIN
    UPDATE ai_engine_assistants SET definition = json_object(
        'model', NEW.model,
        'name', NEW.name,
        'description', NEW.description,
        'instructions', NEW.instructions,
        'temperature', NEW.temperature,
        'top_p', NEW.top_p,
        'max_output_tokens', NEW.max_output_tokens,
        'max_prompt_tokens', NEW.max_prompt_tokens,
        'reasoning', CASE WHEN json_valid(NEW.reasoning) THEN json(NEW.reasoning) ELSE NEW.reasoning END,
        'metadata', CASE WHEN json_valid(NEW.metadata) THEN json(NEW.metadata) ELSE NEW.metadata END,
        'tools', CASE WHEN json_valid(NEW.tools) THEN json(NEW.tools) ELSE NEW.tools END,
        'parameters', CASE WHEN json_valid(NEW.parameters) THEN json(NEW.parameters) ELSE NEW.parameters END
    ) WHERE id = NEW.id;
END;
CREATE TRIGGER ai_engine_assistants_columns_inserted
AFTER INSERT ON ai_engine_assistants
WHEN NEW.definition = '{}'
BEGIN
    UPDATE ai_engine_assistants SET model = model WHERE id = NEW.id;
END;

CREATE TRIGGER ai_engine_assistants_definition_updated
AFTER UPDATE OF definition ON ai_engine_assistants
WHEN NEW.definition <> OLD.definition AND NEW.version <> OLD.version
BEGIN
    UPDATE ai_engine_assistants SET
        description = json_extract(NEW.definition, '$.description'),
        instructions = json_extract(NEW.definition, '$.instructions'),
        temperature = json_extract(NEW.definition, '$.temperature'),
        top_p = json_extract(NEW.definition, '$.top_p'),
        max_output_tokens = json_extract(NEW.definition, '$.max_output_tokens'),
        max_prompt_tokens = json_extract(NEW.definition, '$.max_prompt_tokens'),
        reasoning = json_extract(NEW.definition, '$.reasoning'),
        metadata = coalesce(json_extract(NEW.definition, '$.metadata'), '{}'),
        tools = coalesce(json_extract(NEW.definition, '$.tools'), '[]'),
        parameters = coalesce(json_extract(NEW.definition, '$.parameters'), '{}')
    WHERE id = NEW.id;
END;
CREATE TRIGGER ai_engine_assistants_definition_inserted
AFTER INSERT ON ai_engine_assistants
WHEN NEW.definition <> '{}'
BEGIN
    UPDATE ai_engine_assistants SET
        description = json_extract(NEW.definition, '$.description'),
        instructions = json_extract(NEW.definition, '$.instructions'),
        temperature = json_extract(NEW.definition, '$.temperature'),
        top_p = json_extract(NEW.definition, '$.top_p'),
        max_output_tokens = json_extract(NEW.definition, '$.max_output_tokens'),
        max_prompt_tokens = json_extract(NEW.definition, '$.max_prompt_tokens'),
        reasoning = json_extract(NEW.definition, '$.reasoning'),
        metadata = coalesce(json_extract(NEW.definition, '$.metadata'), '{}'),
        tools = coalesce(json_extract(NEW.definition, '$.tools'), '[]'),
        parameters = coalesce(json_extract(NEW.definition, '$.parameters'), '{}')
    WHERE id = NEW.id;
END;

-- The definitions that are there.
UPDATE ai_engine_assistants SET model = model;

CREATE TABLE ai_engine_schema_migrations (version TEXT NOT NULL PRIMARY KEY, run_on TIMESTAMP NOT NULL);

INSERT INTO ai_engine_assistants (id, assistable_type, assistable_id, name, description, model, instructions, temperature, top_p, max_output_tokens, max_prompt_tokens, reasoning, version, remote_id, remote_version, endpoint, protocol, created_at, updated_at, definition, metadata, tools, parameters) VALUES (1, 'Critic', '3', 'Statler', 'Sits in the balcony.', 'test-model', 'It''s ''good'', but not \ "great".', 0.5, 0.25, 1000, 2000, '{"effort":"low"}', 1, NULL, NULL, NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '{"description":"Sits in the balcony.","instructions":"It''s ''good'', but not \\ \"great\".","max_output_tokens":1000,"max_prompt_tokens":2000,"metadata":{"seat":"balcony"},"model":"test-model","name":"Statler","parameters":{"service_tier":"flex"},"reasoning":{"effort":"low"},"temperature":0.5,"tools":[{"type":"web_search"}],"top_p":0.25}', '{"seat":"balcony"}', '[{"type":"web_search"}]', '{"service_tier":"flex"}');
INSERT INTO ai_engine_assistants (id, assistable_type, assistable_id, name, description, model, instructions, temperature, top_p, max_output_tokens, max_prompt_tokens, reasoning, version, remote_id, remote_version, endpoint, protocol, created_at, updated_at, definition, metadata, tools, parameters) VALUES (2, 'Storyteller', '7', 'Scheherazade', NULL, 'test-model', 'You tell stories.', NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', '{}', '[]', '{}');
INSERT INTO ai_engine_assistant_threads (id, threadable_type, threadable_id, remote_id, endpoint, protocol, next_seq, created_at, updated_at) VALUES (1, 'User', '1', NULL, NULL, NULL, 6, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_assistant_threads (id, threadable_type, threadable_id, remote_id, endpoint, protocol, next_seq, created_at, updated_at) VALUES (2, 'User', '1', 'conv_d1758978bdab1bcb00000000001d', 'http://first.test/v1', 'responses', 2, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_assistant_threads (id, threadable_type, threadable_id, remote_id, endpoint, protocol, next_seq, created_at, updated_at) VALUES (3, 'User', '1', NULL, NULL, NULL, 2, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_assistant_threads (id, threadable_type, threadable_id, remote_id, endpoint, protocol, next_seq, created_at, updated_at) VALUES (4, 'User', '1', NULL, NULL, NULL, 2, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_assistant_threads (id, threadable_type, threadable_id, remote_id, endpoint, protocol, next_seq, created_at, updated_at) VALUES (5, 'User', '1', NULL, NULL, NULL, 2, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_chats (id, chattable_type, chattable_id, remote_id, endpoint, protocol, next_seq, created_at, updated_at) VALUES (1, 'User', '1', NULL, NULL, NULL, 2, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (1, 1, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 2, 'completed', NULL, NULL, 1, 'first', 1, NULL, 'once', 11, 0, 0, 4, 0, 1767225600000, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, NULL, NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (2, 1, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 3, 'incomplete', 'max_output_tokens', NULL, 1, 'first', 1, NULL, NULL, 17, 0, 0, 3, 0, 1767225600000, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'retry', 'max_output_tokens', NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (3, 1, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 4, 'failed', 'no_story', 'the provider answered HTTP 400 Bad Request: No such story.; code no_story; request id req_d1758978bdab1bcb00000000000b', 1, 'first', 1, NULL, NULL, 0, 0, 0, 0, 0, 1767225600000, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, 'no_story', NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (4, 1, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 5, 'incomplete', 'tool_calls', NULL, 1, 'first', 1, NULL, NULL, 29, 0, 0, 1, 0, 1767225600000, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, NULL, NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (5, 2, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 1, 'completed', NULL, NULL, 1, 'first', 1, NULL, NULL, 20, 0, 0, 3, 0, 1767225600000, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, NULL, NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (6, 3, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 1, 'cancelled', NULL, NULL, 1, 'first', 1, NULL, NULL, 0, 0, 0, 0, 0, 1767225600000, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, NULL, NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (7, NULL, 1, NULL, NULL, 'test-model', '{"description":null,"instructions":null,"max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":null,"parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 1, 'completed', NULL, NULL, 1, 'first', 1, NULL, NULL, 2, 0, 0, 1, 0, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, NULL, NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (8, 4, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 1, 'in_progress', NULL, NULL, 1, 'first', 1, NULL, NULL, 0, 0, 0, 0, 0, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00', NULL, '2026-01-01 00:00:00', NULL, NULL, NULL);
INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, status, reason, error, attempts, lease_owner, fencing_token, cancel_requested_at, idempotency_key, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, announced_at, created_at, started_at, finished_at, updated_at, recovery, provider_reason, notes) VALUES (9, 5, NULL, 2, 'Scheherazade', 'test-model', '{"description":null,"instructions":"You tell stories.","max_output_tokens":null,"max_prompt_tokens":null,"metadata":{},"model":"test-model","name":"Scheherazade","parameters":{},"reasoning":null,"temperature":null,"tools":[],"top_p":null}', 1, 'queued', NULL, NULL, 0, NULL, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL, '2026-01-01 00:00:00', NULL, NULL, '2026-01-01 00:00:00', NULL, NULL, NULL);
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (1, 1, 'resp_d1758978bdab1bcb000000000003', 'http://first.test/v1', 'responses', 0, 11, 'test-model', 'completed', 11, 0, 0, 4, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (2, 2, 'resp_d1758978bdab1bcb000000000009', 'http://first.test/v1', 'responses', 0, 9, 'test-model', 'incomplete', 17, 0, 0, 3, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (3, 3, NULL, 'http://first.test/v1', 'responses', 0, NULL, NULL, 'failed', 0, 0, 0, 0, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (4, 4, 'resp_d1758978bdab1bcb000000000017', 'http://first.test/v1', 'responses', 0, 9, 'test-model', 'incomplete', 29, 0, 0, 1, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (5, 5, 'resp_d1758978bdab1bcb000000000020', 'http://first.test/v1', 'responses', 1, 9, 'test-model', 'completed', 20, 0, 0, 3, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (6, 6, 'resp_d1758978bdab1bcb000000000025', 'http://first.test/v1', 'responses', 0, 4, NULL, 'cancelled', 0, 0, 0, 0, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (7, 7, 'resp_d1758978bdab1bcb000000000029', 'http://first.test/v1', 'responses', 0, 8, 'test-model', 'completed', 2, 0, 0, 1, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_responses (id, run_id, remote_id, endpoint, protocol, stored, sequence_number, model, status, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, created_at, finished_at) VALUES (8, 8, 'resp_d1758978bdab1bcb00000000002d', 'http://first.test/v1', 'responses', 0, 4, NULL, 'in_progress', 0, 0, 0, 0, 0, '2026-01-01 00:00:00', NULL);
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (1, 1, NULL, NULL, 1, 0, 'system', 'completed', 'Be brief.', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (2, 1, NULL, 1, 2, 0, 'user', 'completed', 'Tell me a story', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (3, 1, NULL, 1, 2, 1, 'assistant', 'completed', 'Once upon a time.', 'test-model', 11, 0, 0, 4, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (4, 1, NULL, 2, 3, 0, 'user', 'completed', 'Go on', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (5, 1, NULL, 2, 3, 1, 'assistant', 'incomplete', 'There was', 'test-model', 17, 0, 0, 3, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (6, 1, NULL, 3, 4, 0, 'user', 'completed', 'And then?', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (7, 1, NULL, 4, 5, 0, 'user', 'completed', 'Look it up', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (8, 2, NULL, 5, 1, 0, 'user', 'completed', 'Who are you?', NULL, 0, 0, 0, 0, 0, NULL, 'held', 'http://first.test/v1', 'responses', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (9, 2, NULL, 5, 1, 1, 'assistant', 'completed', 'A storyteller.', 'test-model', 20, 0, 0, 3, 0, 'msg_d1758978bdab1bcb000000000021', 'held', 'http://first.test/v1', 'responses', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (10, 3, NULL, 6, 1, 0, 'user', 'completed', 'Stop soon', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (11, 3, NULL, 6, 1, 1, 'assistant', 'incomplete', 'I shall', 'test-model', 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (12, NULL, 1, 7, 1, 0, 'user', 'completed', 'Hi', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (13, NULL, 1, 7, 1, 1, 'assistant', 'completed', 'Hello.', 'test-model', 2, 0, 0, 1, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (14, 4, NULL, 8, 1, 0, 'user', 'completed', 'Tell me more', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (15, 4, NULL, 8, 1, 1, 'assistant', 'streaming', 'It was ', 'test-model', 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_messages (id, assistant_thread_id, chat_id, run_id, seq, position, role, status, content, model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, remote_id, remote_state, endpoint, protocol, created_at, updated_at) VALUES (16, 5, NULL, 9, 1, 0, 'user', 'completed', 'Is anybody there?', NULL, 0, 0, 0, 0, 0, NULL, 'absent', NULL, NULL, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO ai_engine_run_items (id, run_id, position, kind, call_id, phase, item, remote_id, remote_state, endpoint, protocol, created_at) VALUES (1, 4, 1, 'reasoning', NULL, NULL, '{"id":"rs_d1758978bdab1bcb000000000019","summary":[],"type":"reasoning"}', 'rs_d1758978bdab1bcb000000000019', 'absent', 'http://first.test/v1', 'responses', '2026-01-01 00:00:00');
INSERT INTO ai_engine_run_items (id, run_id, position, kind, call_id, phase, item, remote_id, remote_state, endpoint, protocol, created_at) VALUES (2, 4, 2, 'function_call', 'call_1', NULL, '{"arguments":"{}","call_id":"call_1","id":"fc_d1758978bdab1bcb00000000001a","name":"look","status":"completed","type":"function_call"}', 'fc_d1758978bdab1bcb00000000001a', 'absent', 'http://first.test/v1', 'responses', '2026-01-01 00:00:00');
INSERT INTO ai_engine_run_items (id, run_id, position, kind, call_id, phase, item, remote_id, remote_state, endpoint, protocol, created_at) VALUES (3, 4, 3, 'function_call_output', 'call_1', NULL, '{"call_id":"call_1","output":"This call was not carried out.","type":"function_call_output"}', NULL, 'absent', 'http://first.test/v1', 'responses', '2026-01-01 00:00:00');
INSERT INTO ai_engine_message_deltas (id, message_id, byte_offset, sequence_number, text) VALUES (1, 15, 7, 5, 'dark ');
INSERT INTO ai_engine_message_deltas (id, message_id, byte_offset, sequence_number, text) VALUES (2, 15, 12, 6, 'and stormy');
INSERT INTO ai_engine_workers (id, started_at, lease_ends_at) VALUES ('first', 1767225600000, 1767225600000);
INSERT INTO ai_engine_remote_deletions (id, endpoint, protocol, kind, remote_id, parent_remote_id, attempts, last_error, created_at, next_attempt_at) VALUES (1, 'http://first.test/v1', 'responses', 'response', 'resp_d1758978bdab1bcb000000000033', NULL, 0, NULL, '2026-01-01 00:00:00', 0);
INSERT INTO ai_engine_remote_deletions (id, endpoint, protocol, kind, remote_id, parent_remote_id, attempts, last_error, created_at, next_attempt_at) VALUES (2, 'http://first.test/v1', 'responses', 'conversation', 'conv_d1758978bdab1bcb000000000030', NULL, 0, NULL, '2026-01-01 00:00:00', 0);
INSERT INTO ai_engine_schema_migrations (version, run_on) VALUES ('20261123000000', '2026-01-01 00:00:00');
INSERT INTO ai_engine_schema_migrations (version, run_on) VALUES ('20261124000000', '2026-01-01 00:00:00');
INSERT INTO ai_engine_schema_migrations (version, run_on) VALUES ('20261125000000', '2026-01-01 00:00:00');
INSERT INTO ai_engine_schema_migrations (version, run_on) VALUES ('20261126000000', '2026-01-01 00:00:00');
INSERT INTO ai_engine_schema_migrations (version, run_on) VALUES ('20261126010000', '2026-01-01 00:00:00');
INSERT INTO ai_engine_schema_migrations (version, run_on) VALUES ('20261128000000', '2026-01-01 00:00:00');
