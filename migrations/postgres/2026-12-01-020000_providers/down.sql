ALTER TABLE ai_engine_runs DROP COLUMN provider;
