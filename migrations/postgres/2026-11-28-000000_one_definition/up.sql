-- An assistant's definition is one JSON object, so that a new field of it needs no column. `name` and `model` stay beside it, as
-- copies that can be looked for.
--
-- A rolling deploy: processes of the version before go on reading and writing a column for each field. For their sake the columns
-- stay, until a migration of the next version drops them, and a trigger carries over what is written in the one form to the
-- other. It goes by how both versions write: the one before sets every column and no definition, this one `name`, `model` and
-- `definition`.
ALTER TABLE ai_engine_assistants ADD COLUMN definition JSON NOT NULL DEFAULT '{}';
-- This version names no column that it does not know.
ALTER TABLE ai_engine_assistants ALTER COLUMN metadata SET DEFAULT '{}';
ALTER TABLE ai_engine_assistants ALTER COLUMN tools SET DEFAULT '[]';
ALTER TABLE ai_engine_assistants ALTER COLUMN parameters SET DEFAULT '{}';

CREATE FUNCTION ai_engine_assistants_in_both_forms() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    said JSON := NEW.definition;
    by_columns BOOLEAN;
BEGIN
    IF TG_OP = 'INSERT' THEN
        by_columns := said::TEXT = '{}';
    ELSE
        by_columns := said::TEXT = OLD.definition::TEXT;
    END IF;
    IF by_columns THEN
        NEW.definition := json_build_object(
            'model', NEW.model,
            'name', NEW.name,
            'description', NEW.description,
            'instructions', NEW.instructions,
            'temperature', NEW.temperature,
            'top_p', NEW.top_p,
            'max_output_tokens', NEW.max_output_tokens,
            'max_prompt_tokens', NEW.max_prompt_tokens,
            'reasoning', NEW.reasoning,
            'metadata', NEW.metadata,
            'tools', NEW.tools,
            'parameters', NEW.parameters
        );
    ELSE
        NEW.description := said->>'description';
        NEW.instructions := said->>'instructions';
        -- What is no number has no column; the definition says so itself when it is read.
        NEW.temperature := CASE json_typeof(said->'temperature') WHEN 'number' THEN said->>'temperature' END;
        NEW.top_p := CASE json_typeof(said->'top_p') WHEN 'number' THEN said->>'top_p' END;
        NEW.max_output_tokens := CASE json_typeof(said->'max_output_tokens')
            WHEN 'number' THEN (said->>'max_output_tokens')::NUMERIC END;
        NEW.max_prompt_tokens := CASE json_typeof(said->'max_prompt_tokens')
            WHEN 'number' THEN (said->>'max_prompt_tokens')::NUMERIC END;
        NEW.reasoning := CASE json_typeof(said->'reasoning') WHEN 'null' THEN NULL ELSE said->'reasoning' END;
        NEW.metadata := coalesce(said->'metadata', '{}');
        NEW.tools := coalesce(said->'tools', '[]');
        NEW.parameters := coalesce(said->'parameters', '{}');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER ai_engine_assistants_in_both_forms
    BEFORE INSERT OR UPDATE OF model, definition ON ai_engine_assistants
    FOR EACH ROW EXECUTE FUNCTION ai_engine_assistants_in_both_forms();

-- The definitions that are there.
UPDATE ai_engine_assistants SET model = model;
