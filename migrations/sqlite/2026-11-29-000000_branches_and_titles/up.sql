-- Names and notes of threads, chats and messages; branches; and what a run's submission knew.
--
-- A rolling deploy: processes of the version before insert rows without these columns, so each may be NULL or has a default.

ALTER TABLE ai_engine_assistant_threads ADD COLUMN title TEXT;
-- Who set the title: 'person' or 'model'. A model never overwrites a person's.
ALTER TABLE ai_engine_assistant_threads ADD COLUMN title_by TEXT;
ALTER TABLE ai_engine_assistant_threads ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
-- When its last turn began. NULL in a row of the version before, for which `updated_at` serves.
ALTER TABLE ai_engine_assistant_threads ADD COLUMN last_activity_at TIMESTAMP;
-- The turn that the next one follows, where that is not the turn with the highest number.
ALTER TABLE ai_engine_assistant_threads ADD COLUMN head_seq BIGINT;
-- Of a fork: the conversation and the message it was made from, which may be deleted since.
ALTER TABLE ai_engine_assistant_threads ADD COLUMN forked_from_id BIGINT;
ALTER TABLE ai_engine_assistant_threads ADD COLUMN forked_at_message_id BIGINT;
UPDATE ai_engine_assistant_threads SET last_activity_at = updated_at;

ALTER TABLE ai_engine_chats ADD COLUMN title TEXT;
-- Who set the title: 'person' or 'model'. A model never overwrites a person's.
ALTER TABLE ai_engine_chats ADD COLUMN title_by TEXT;
ALTER TABLE ai_engine_chats ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
-- When its last turn began. NULL in a row of the version before, for which `updated_at` serves.
ALTER TABLE ai_engine_chats ADD COLUMN last_activity_at TIMESTAMP;
-- The turn that the next one follows, where that is not the turn with the highest number.
ALTER TABLE ai_engine_chats ADD COLUMN head_seq BIGINT;
-- Of a fork: the conversation and the message it was made from, which may be deleted since.
ALTER TABLE ai_engine_chats ADD COLUMN forked_from_id BIGINT;
ALTER TABLE ai_engine_chats ADD COLUMN forked_at_message_id BIGINT;
UPDATE ai_engine_chats SET last_activity_at = updated_at;
CREATE INDEX ai_engine_assistant_threads_recent
    ON ai_engine_assistant_threads (threadable_type, threadable_id, coalesce(last_activity_at, updated_at) DESC, id DESC);
CREATE INDEX ai_engine_chats_recent
    ON ai_engine_chats (chattable_type, chattable_id, coalesce(last_activity_at, updated_at) DESC, id DESC);

-- Branches. All messages of a turn that left the current path have the number that the conversation's next turn had then; of
-- several branches, the one that left last has the highest. NULL: on the current path.
ALTER TABLE ai_engine_messages ADD COLUMN superseded_at_seq BIGINT;
-- The turn that this one follows, on the first message of a turn; 0: none. NULL: the one with the highest number below its own.
ALTER TABLE ai_engine_messages ADD COLUMN parent_seq BIGINT;
ALTER TABLE ai_engine_messages ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
-- Who of several people said it.
ALTER TABLE ai_engine_messages ADD COLUMN author TEXT;
CREATE INDEX ai_engine_messages_siblings_in_thread ON ai_engine_messages (assistant_thread_id, parent_seq)
    WHERE parent_seq IS NOT NULL;
CREATE INDEX ai_engine_messages_siblings_in_chat ON ai_engine_messages (chat_id, parent_seq)
    WHERE parent_seq IS NOT NULL;

-- What was known when the run was submitted: the assistant's record and version, the trace it belongs to.
ALTER TABLE ai_engine_runs ADD COLUMN submission TEXT;
-- Tokens that the provider did not report are estimated.
ALTER TABLE ai_engine_runs ADD COLUMN usage_estimated BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE ai_engine_responses ADD COLUMN usage_estimated BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE ai_engine_messages ADD COLUMN usage_estimated BOOLEAN NOT NULL DEFAULT false;

-- The runs of a conversation that have not ended, however many have.
CREATE INDEX ai_engine_runs_active_of_thread ON ai_engine_runs (assistant_thread_id, seq)
    WHERE status IN ('queued', 'in_progress', 'requires_action');
CREATE INDEX ai_engine_runs_active_of_chat ON ai_engine_runs (chat_id, seq)
    WHERE status IN ('queued', 'in_progress', 'requires_action');
