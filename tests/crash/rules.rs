//! What every row is like once all is recovered, as SQL.

/// What no row may be like, and the rows that are.
pub const RULES: [(&str, &str); 25] = [
    (
        "a run has not ended",
        "'run ' || id || ' ' || status FROM ai_engine_runs WHERE status NOT IN ('completed', 'incomplete', 'failed', 'cancelled')",
    ),
    (
        "a run is not announced",
        "'run ' || id || ' ' || status FROM ai_engine_runs WHERE announced_at IS NULL",
    ),
    (
        "an ended run has no time of its end",
        "'run ' || id FROM ai_engine_runs WHERE finished_at IS NULL",
    ),
    (
        "a message has not settled",
        "'message ' || id || ' ' || status FROM ai_engine_messages WHERE status NOT IN ('completed', 'incomplete')",
    ),
    (
        "a delta is left",
        "'message ' || d.message_id FROM ai_engine_message_deltas AS d JOIN ai_engine_messages AS m ON m.id = d.message_id JOIN ai_engine_runs AS r ON r.id = m.run_id WHERE r.status <> 'failed' OR r.reason <> 'database'",
    ),
    (
        "a call is left open",
        "'response ' || id FROM ai_engine_responses WHERE finished_at IS NULL OR status = 'in_progress'",
    ),
    (
        "a run is an orphan",
        "'run ' || id FROM ai_engine_runs AS r WHERE NOT EXISTS (SELECT 1 FROM ai_engine_assistant_threads AS t WHERE t.id = r.assistant_thread_id) AND NOT EXISTS (SELECT 1 FROM ai_engine_chats AS c WHERE c.id = r.chat_id)",
    ),
    (
        "a message is an orphan",
        "'message ' || id FROM ai_engine_messages AS m WHERE NOT EXISTS (SELECT 1 FROM ai_engine_assistant_threads AS t WHERE t.id = m.assistant_thread_id) AND NOT EXISTS (SELECT 1 FROM ai_engine_chats AS c WHERE c.id = m.chat_id)",
    ),
    (
        "a message's run is not its own",
        "'message ' || m.id FROM ai_engine_messages AS m WHERE m.run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ai_engine_runs AS r WHERE r.id = m.run_id AND r.seq = m.seq AND (r.assistant_thread_id = m.assistant_thread_id OR r.chat_id = m.chat_id))",
    ),
    (
        "an answer has no run",
        "'message ' || id FROM ai_engine_messages WHERE run_id IS NULL AND role <> 'system'",
    ),
    (
        "a response is an orphan",
        "'response ' || id FROM ai_engine_responses AS o WHERE NOT EXISTS (SELECT 1 FROM ai_engine_runs AS r WHERE r.id = o.run_id)",
    ),
    (
        "an item is an orphan",
        "'item ' || id FROM ai_engine_run_items AS o WHERE NOT EXISTS (SELECT 1 FROM ai_engine_runs AS r WHERE r.id = o.run_id)",
    ),
    (
        "a part is an orphan",
        "'part ' || id FROM ai_engine_message_parts AS p WHERE NOT EXISTS (SELECT 1 FROM ai_engine_messages AS m WHERE m.id = p.message_id)",
    ),
    (
        "bytes belong to no part",
        "'blob ' || id FROM ai_engine_blobs AS b WHERE NOT EXISTS (SELECT 1 FROM ai_engine_message_parts AS p WHERE p.blob_id = b.id)",
    ),
    (
        "the same bytes are there twice in a conversation",
        "min('blob ' || id) FROM ai_engine_blobs GROUP BY assistant_thread_id, chat_id, digest HAVING count(*) > 1",
    ),
    (
        "two messages are at one place",
        "min('message ' || id) FROM ai_engine_messages GROUP BY assistant_thread_id, chat_id, seq, position HAVING count(*) > 1",
    ),
    (
        "a key has two runs",
        "min('run ' || id) FROM ai_engine_runs WHERE idempotency_key IS NOT NULL GROUP BY assistant_thread_id, chat_id, idempotency_key HAVING count(*) > 1",
    ),
    (
        "a later run is earlier in its conversation",
        "'run ' || a.id || ' and ' || b.id FROM ai_engine_runs AS a JOIN ai_engine_runs AS b ON (a.assistant_thread_id = b.assistant_thread_id OR a.chat_id = b.chat_id) AND a.seq < b.seq AND a.id > b.id",
    ),
    (
        "a run that has not ended is off the path",
        "'run ' || r.id FROM ai_engine_runs AS r JOIN ai_engine_messages AS m ON m.run_id = r.id WHERE m.superseded_at_seq IS NOT NULL AND r.finished_at IS NULL",
    ),
    (
        "a part of a turn is on the path without its beginning",
        "'message ' || m.id FROM ai_engine_messages AS m JOIN ai_engine_messages AS q ON (q.assistant_thread_id = m.assistant_thread_id OR q.chat_id = m.chat_id) AND q.seq = m.seq AND q.position = 0 WHERE m.superseded_at_seq IS NULL AND q.superseded_at_seq IS NOT NULL",
    ),
    (
        "two turns on the path follow the same one",
        "min('message ' || id) FROM ai_engine_messages WHERE position = 0 AND superseded_at_seq IS NULL AND parent_seq IS NOT NULL GROUP BY assistant_thread_id, chat_id, parent_seq HAVING count(*) > 1",
    ),
    (
        "a turn on the path follows one off it",
        "'message ' || m.id FROM ai_engine_messages AS m JOIN ai_engine_messages AS q ON (q.assistant_thread_id = m.assistant_thread_id OR q.chat_id = m.chat_id) AND q.position = 0 AND q.superseded_at_seq IS NOT NULL AND q.seq = coalesce(m.parent_seq, (SELECT max(b.seq) FROM ai_engine_messages AS b WHERE (b.assistant_thread_id = m.assistant_thread_id OR b.chat_id = m.chat_id) AND b.position = 0 AND b.seq < m.seq)) WHERE m.position = 0 AND m.superseded_at_seq IS NULL",
    ),
    (
        "the next turn of a thread follows one off the path",
        "'message ' || m.id FROM ai_engine_assistant_threads AS t JOIN ai_engine_messages AS m ON m.assistant_thread_id = t.id AND m.position = 0 AND m.superseded_at_seq IS NOT NULL AND m.seq = coalesce(t.head_seq, (SELECT max(b.seq) FROM ai_engine_messages AS b WHERE b.assistant_thread_id = t.id AND b.position = 0)) WHERE 1 = 1",
    ),
    (
        "usage is not that of the calls",
        "'run ' || r.id FROM ai_engine_runs AS r WHERE (r.input_tokens, r.output_tokens) <> (SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM ai_engine_responses AS o WHERE o.run_id = r.id)",
    ),
    (
        // What came of no message is the run's alone.
        "usage is not that of the messages",
        "'run ' || r.id FROM ai_engine_runs AS r JOIN (SELECT run_id, sum(output_tokens) AS said FROM ai_engine_messages WHERE role = 'assistant' GROUP BY run_id) AS m ON m.run_id = r.id WHERE m.said <> r.output_tokens AND coalesce(r.reason, '') <> 'database' AND NOT EXISTS (SELECT 1 FROM ai_engine_tool_calls AS c WHERE c.run_id = r.id AND NOT EXISTS (SELECT 1 FROM ai_engine_messages AS a WHERE a.run_id = r.id AND a.role = 'assistant' AND a.position > c.position))",
    ),
];

/// G4, at any moment: one run of a conversation is driven, and none before its turn.
pub const ONE_AT_A_TIME: &str = "SELECT 'run ' || a.id || ' is driven and run ' || b.id || ' is ' || b.status AS line \
     FROM ai_engine_runs AS a JOIN ai_engine_runs AS b ON (a.assistant_thread_id = b.assistant_thread_id OR a.chat_id = b.chat_id) \
     WHERE a.status IN ('in_progress', 'requires_action') AND a.id <> b.id \
     AND (b.status IN ('in_progress', 'requires_action') OR (b.status = 'queued' AND b.seq < a.seq))";
