ALTER TABLE ai_engine_messages DROP COLUMN chosen_at_seq;
DROP TABLE ai_engine_path_changes;
