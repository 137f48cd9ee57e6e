-- The version before does not know these, and deletes nothing while one is there.
DELETE FROM ai_engine_remote_deletions WHERE kind IN ('assistant', 'assistants_of_key');
DROP TRIGGER ai_engine_assistants_remote_deleted ON ai_engine_assistants;
DROP TRIGGER ai_engine_assistants_remote_changed ON ai_engine_assistants;
DROP FUNCTION ai_engine_assistants_remote();
DROP INDEX ai_engine_assistants_remote_key;
DROP INDEX ai_engine_assistants_remote_left;
DROP INDEX ai_engine_assistants_remote_due;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_error;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_attempts;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_claim_ends_at;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_due_at;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_key;
ALTER TABLE ai_engine_assistants DROP COLUMN remote_provider;
