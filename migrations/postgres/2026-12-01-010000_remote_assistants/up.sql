-- The provider's own assistant of an assistant, and what is to be done about it.
--
-- A rolling deploy: processes of the version before write none of these columns, so each may be NULL or has a default.

-- The provider that the definition names; NULL: the engine's default one.
ALTER TABLE ai_engine_assistants ADD COLUMN remote_provider TEXT;
-- What the provider's own one carries in its metadata: by it one is found of which the answer was lost.
ALTER TABLE ai_engine_assistants ADD COLUMN remote_key TEXT;
-- When the provider's own one is to be made as this one is, in milliseconds; NULL: nothing is to be done.
ALTER TABLE ai_engine_assistants ADD COLUMN remote_due_at BIGINT;
-- Until when one process has that to itself, in milliseconds.
ALTER TABLE ai_engine_assistants ADD COLUMN remote_claim_ends_at BIGINT;
-- Tries since it last went well.
ALTER TABLE ai_engine_assistants ADD COLUMN remote_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ai_engine_assistants ADD COLUMN remote_error TEXT;
CREATE INDEX ai_engine_assistants_remote_due
    ON ai_engine_assistants (coalesce(remote_provider, ''), remote_due_at, id) WHERE remote_due_at IS NOT NULL;
CREATE INDEX ai_engine_assistants_remote_left
    ON ai_engine_assistants (endpoint, protocol) WHERE remote_due_at IS NOT NULL;
CREATE INDEX ai_engine_assistants_remote_key ON ai_engine_assistants (remote_key) WHERE remote_key IS NOT NULL;

-- What a process of the version before changes or deletes, it does not note.
CREATE FUNCTION ai_engine_assistants_remote() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.version <> OLD.version AND NEW.remote_id IS NOT NULL AND NEW.remote_due_at IS NULL THEN
            NEW.remote_due_at := 0;
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.remote_id IS NOT NULL AND OLD.endpoint IS NOT NULL AND OLD.protocol IS NOT NULL THEN
        INSERT INTO ai_engine_remote_deletions (kind, remote_id, endpoint, protocol, created_at)
        SELECT 'assistant', OLD.remote_id, OLD.endpoint, OLD.protocol, now() AT TIME ZONE 'utc'
        WHERE NOT EXISTS (SELECT 1 FROM ai_engine_remote_deletions WHERE kind = 'assistant' AND remote_id = OLD.remote_id);
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER ai_engine_assistants_remote_changed
    BEFORE UPDATE OF version ON ai_engine_assistants
    FOR EACH ROW EXECUTE FUNCTION ai_engine_assistants_remote();
CREATE TRIGGER ai_engine_assistants_remote_deleted
    AFTER DELETE ON ai_engine_assistants
    FOR EACH ROW EXECUTE FUNCTION ai_engine_assistants_remote();
