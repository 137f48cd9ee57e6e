-- What changed of an owner's threads and chats is looked for by when it did.
CREATE INDEX ai_engine_assistant_threads_changed ON ai_engine_assistant_threads (threadable_type, threadable_id, updated_at);
CREATE INDEX ai_engine_chats_changed ON ai_engine_chats (chattable_type, chattable_id, updated_at);
