DROP TABLE ai_engine_tool_calls;
