-- The provider that a run asks, or asked last, by its name in the engine; NULL: the engine's default one. `model` goes with it.
ALTER TABLE ai_engine_runs ADD COLUMN provider TEXT;
