-- The other columns are as the triggers left them; their defaults harm nobody.
DROP TRIGGER ai_engine_assistants_columns_updated;
DROP TRIGGER ai_engine_assistants_columns_inserted;
DROP TRIGGER ai_engine_assistants_definition_updated;
DROP TRIGGER ai_engine_assistants_definition_inserted;
ALTER TABLE ai_engine_assistants DROP COLUMN definition;
