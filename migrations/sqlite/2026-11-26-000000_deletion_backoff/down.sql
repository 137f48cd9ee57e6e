ALTER TABLE ai_engine_remote_deletions DROP COLUMN next_attempt_at;
