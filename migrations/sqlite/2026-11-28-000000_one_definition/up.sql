-- An assistant's definition is one JSON object, so that a new field of it needs no column. `name` and `model` stay beside it, as
-- copies that can be looked for.
--
-- A rolling deploy: processes of the version before go on reading and writing a column for each field. For their sake the columns
-- stay, until a migration of the next version drops them, and triggers carry over what is written in the one form to the other.
-- They go by how both versions write: the one before sets every column and no definition, this one `name`, `model`, `definition`
-- and a higher `version`.
--
-- All of it by ALTER TABLE, without a rebuild: a host may have Diesel run this folder with foreign keys enforced, and dropping
-- the table would then take the assistant from each of its runs. SQLite's JSON functions are needed (built in since 3.38).
ALTER TABLE ai_engine_assistants ADD COLUMN definition TEXT NOT NULL DEFAULT '{}';

-- This version names no column that it does not know, so these three need a default. What they hold waits in `definition`.
UPDATE ai_engine_assistants
    SET definition = json_array(CAST(metadata AS TEXT), CAST(tools AS TEXT), CAST(parameters AS TEXT));
ALTER TABLE ai_engine_assistants DROP COLUMN metadata;
ALTER TABLE ai_engine_assistants DROP COLUMN tools;
ALTER TABLE ai_engine_assistants DROP COLUMN parameters;
ALTER TABLE ai_engine_assistants ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE ai_engine_assistants ADD COLUMN tools TEXT NOT NULL DEFAULT '[]';
ALTER TABLE ai_engine_assistants ADD COLUMN parameters TEXT NOT NULL DEFAULT '{}';
UPDATE ai_engine_assistants SET
    metadata = json_extract(definition, '$[0]'),
    tools = json_extract(definition, '$[1]'),
    parameters = json_extract(definition, '$[2]');

-- What is no JSON goes into the definition as text: one assistant cannot be read then, instead of all migrations failing.
CREATE TRIGGER ai_engine_assistants_columns_updated
AFTER UPDATE OF model ON ai_engine_assistants
WHEN NEW.definition = OLD.definition
BEGIN
    UPDATE ai_engine_assistants SET definition = json_object(
        'model', NEW.model,
        'name', NEW.name,
        'description', NEW.description,
        'instructions', NEW.instructions,
        'temperature', NEW.temperature,
        'top_p', NEW.top_p,
        'max_output_tokens', NEW.max_output_tokens,
        'max_prompt_tokens', NEW.max_prompt_tokens,
        'reasoning', CASE WHEN json_valid(NEW.reasoning) THEN json(NEW.reasoning) ELSE NEW.reasoning END,
        'metadata', CASE WHEN json_valid(NEW.metadata) THEN json(NEW.metadata) ELSE NEW.metadata END,
        'tools', CASE WHEN json_valid(NEW.tools) THEN json(NEW.tools) ELSE NEW.tools END,
        'parameters', CASE WHEN json_valid(NEW.parameters) THEN json(NEW.parameters) ELSE NEW.parameters END
    ) WHERE id = NEW.id;
END;
CREATE TRIGGER ai_engine_assistants_columns_inserted
AFTER INSERT ON ai_engine_assistants
WHEN NEW.definition = '{}'
BEGIN
    UPDATE ai_engine_assistants SET model = model WHERE id = NEW.id;
END;

CREATE TRIGGER ai_engine_assistants_definition_updated
AFTER UPDATE OF definition ON ai_engine_assistants
WHEN NEW.definition <> OLD.definition AND NEW.version <> OLD.version
BEGIN
    UPDATE ai_engine_assistants SET
        description = json_extract(NEW.definition, '$.description'),
        instructions = json_extract(NEW.definition, '$.instructions'),
        temperature = json_extract(NEW.definition, '$.temperature'),
        top_p = json_extract(NEW.definition, '$.top_p'),
        max_output_tokens = json_extract(NEW.definition, '$.max_output_tokens'),
        max_prompt_tokens = json_extract(NEW.definition, '$.max_prompt_tokens'),
        reasoning = json_extract(NEW.definition, '$.reasoning'),
        metadata = coalesce(json_extract(NEW.definition, '$.metadata'), '{}'),
        tools = coalesce(json_extract(NEW.definition, '$.tools'), '[]'),
        parameters = coalesce(json_extract(NEW.definition, '$.parameters'), '{}')
    WHERE id = NEW.id;
END;
CREATE TRIGGER ai_engine_assistants_definition_inserted
AFTER INSERT ON ai_engine_assistants
WHEN NEW.definition <> '{}'
BEGIN
    UPDATE ai_engine_assistants SET
        description = json_extract(NEW.definition, '$.description'),
        instructions = json_extract(NEW.definition, '$.instructions'),
        temperature = json_extract(NEW.definition, '$.temperature'),
        top_p = json_extract(NEW.definition, '$.top_p'),
        max_output_tokens = json_extract(NEW.definition, '$.max_output_tokens'),
        max_prompt_tokens = json_extract(NEW.definition, '$.max_prompt_tokens'),
        reasoning = json_extract(NEW.definition, '$.reasoning'),
        metadata = coalesce(json_extract(NEW.definition, '$.metadata'), '{}'),
        tools = coalesce(json_extract(NEW.definition, '$.tools'), '[]'),
        parameters = coalesce(json_extract(NEW.definition, '$.parameters'), '{}')
    WHERE id = NEW.id;
END;

-- The definitions that are there.
UPDATE ai_engine_assistants SET model = model;
