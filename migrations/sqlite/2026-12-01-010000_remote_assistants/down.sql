DROP INDEX ai_engine_assistants_remote_left;
DROP INDEX ai_engine_assistants_remote_due;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_error;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_attempts;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_claim_ends_at;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_due_at;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_key;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_provider;
