ALTER TABLE ai_engine_assistant_threads ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ai_engine_chats ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
