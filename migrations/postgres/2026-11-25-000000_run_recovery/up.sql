-- What a run's submitter wants done when its process dies; NULL: what the engine does by default.
ALTER TABLE ai_engine_runs ADD COLUMN recovery TEXT;
