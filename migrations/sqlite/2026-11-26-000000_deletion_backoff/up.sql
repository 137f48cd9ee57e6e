-- When a deletion may be tried again, by the database's clock in milliseconds since 1970. Whoever tries one moves it into
-- the future first, so that no two processes ask the provider for the same deletion at once.
ALTER TABLE ai_engine_remote_deletions ADD COLUMN next_attempt_at BIGINT NOT NULL DEFAULT 0;
