-- The provider's own word for why a run ended as it did; `reason` has ours, the same for every provider.
ALTER TABLE ai_engine_runs ADD COLUMN provider_reason TEXT;
-- What was out of the ordinary on the way: a JSON list of words.
ALTER TABLE ai_engine_runs ADD COLUMN notes TEXT;
