ALTER TABLE ai_engine_runs DROP COLUMN notes;
ALTER TABLE ai_engine_runs DROP COLUMN provider_reason;
