-- The other columns are as the trigger left them.
DROP TRIGGER ai_engine_assistants_in_both_forms ON ai_engine_assistants;
DROP FUNCTION ai_engine_assistants_in_both_forms();
ALTER TABLE ai_engine_assistants DROP COLUMN definition;
ALTER TABLE ai_engine_assistants ALTER COLUMN metadata DROP DEFAULT;
ALTER TABLE ai_engine_assistants ALTER COLUMN tools DROP DEFAULT;
ALTER TABLE ai_engine_assistants ALTER COLUMN parameters DROP DEFAULT;
