-- What a call cost, in billionths of a dollar, by the prices that were known when it ended: its input, its output, the fees of the
-- provider's own tools; and the day on which that list of prices was true. NULL: not known.
ALTER TABLE ai_engine_responses ADD COLUMN input_cost BIGINT;
ALTER TABLE ai_engine_responses ADD COLUMN output_cost BIGINT;
ALTER TABLE ai_engine_responses ADD COLUMN tool_cost BIGINT;
ALTER TABLE ai_engine_responses ADD COLUMN priced_on DATE;
-- The same of all calls of a run together, once it has ended. NULL: one of them is not known, or it has not ended.
ALTER TABLE ai_engine_runs ADD COLUMN input_cost BIGINT;
ALTER TABLE ai_engine_runs ADD COLUMN output_cost BIGINT;
ALTER TABLE ai_engine_runs ADD COLUMN tool_cost BIGINT;
ALTER TABLE ai_engine_runs ADD COLUMN priced_on DATE;
-- The same of the call that wrote a message, at the last of its messages.
ALTER TABLE ai_engine_messages ADD COLUMN input_cost BIGINT;
ALTER TABLE ai_engine_messages ADD COLUMN output_cost BIGINT;
ALTER TABLE ai_engine_messages ADD COLUMN tool_cost BIGINT;
