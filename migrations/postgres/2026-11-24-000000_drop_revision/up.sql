-- Readers compare the text itself; nobody reads how often texts were replaced.
ALTER TABLE ai_engine_assistant_threads DROP COLUMN revision;
ALTER TABLE ai_engine_chats DROP COLUMN revision;
