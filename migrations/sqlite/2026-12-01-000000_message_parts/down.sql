ALTER TABLE ai_engine_messages DROP COLUMN part_count;
DROP TABLE ai_engine_message_parts;
DROP TABLE ai_engine_blobs;
