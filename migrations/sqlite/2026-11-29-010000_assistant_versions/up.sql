-- Each definition that an assistant was stored with, once. A process of the version before stores none; what is missing is
-- stored with the next change.
CREATE TABLE ai_engine_assistant_versions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    assistant_id BIGINT NOT NULL REFERENCES ai_engine_assistants (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    definition TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (assistant_id, version)
);
INSERT INTO ai_engine_assistant_versions (assistant_id, version, definition, created_at)
    SELECT id, version, definition, updated_at FROM ai_engine_assistants;
