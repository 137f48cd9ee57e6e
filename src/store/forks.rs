//! A fork: a conversation that begins with copies of a part of another one's path.

use diesel::prelude::*;
use diesel::sql_query;

use super::parts::COPIED;
use super::session::{Session, of, on};
use super::threads::{self, ConversationRow};
use super::{clock, messages, paths};
use crate::error::{Error, Result};
use crate::model::path::WHOLE;
use crate::model::{Messageable, RunStatus};
use crate::schema::ai_engine_runs::dsl as runs;

/// Turns that one statement copies.
const AT_ONCE: usize = 500;

/// Makes a conversation of the same owner with copies of the path up to the turn of this message. The turns keep their numbers.
pub(crate) fn fork<C: ConversationRow>(
    session: &mut dyn Session,
    origin: Messageable,
    message: i64,
) -> Result<C> {
    // What is read together is of one moment.
    threads::hold(session, origin)?;
    let (seq, position) = messages::place(session, origin, message)?;
    let turns = paths::tree(session, origin)?.up_to(seq);
    let ends = paths::ends(session, origin)?;
    let mut parts = ends.along(&turns);
    // A message that left its turn is in the whole of it.
    parts.push((seq, Some(ends.now(seq)).filter(|end| position <= *end).unwrap_or(WHOLE)));
    parts.retain(|(_, end)| *end != WHOLE);
    for some in turns.chunks(AT_ONCE) {
        refuse_unended(session, origin, some)?;
    }
    let fork = C::fork(session, origin, seq + 1, message)?;
    let (to, now) = (fork.messageable(), clock::now_ms(session)?);
    let copy = Copy { from: origin, to, now, parts };
    for some in turns.chunks(AT_ONCE) {
        for statement in copy.statements(some) {
            on!(session, |conn| sql_query(&statement).execute(conn))?;
        }
    }
    Ok(fork)
}

/// What is copied does not change any more.
fn refuse_unended(session: &mut dyn Session, on: Messageable, turns: &[i64]) -> Result<()> {
    let unended: Option<i64> = on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, on))
        .filter(runs::seq.eq_any(turns))
        .filter(runs::status.eq_any(RunStatus::ACTIVE))
        .order(runs::seq)
        .select(runs::id)
        .first(conn)
        .optional())?;
    unended.map_or(Ok(()), |run_id| Err(Error::Busy { run_id, on }))
}

/// Numbers go into the statements as they are: nothing of them is text.
struct Copy {
    from: Messageable,
    to: Messageable,
    now: i64,
    /// Turns of which a part is copied, each with the last place of that.
    parts: Vec<(i64, i64)>,
}

/// What a run and a message cost was paid by the ones they were copied from.
const NO_COST: &str = "0, 0, 0, 0, 0, 0, 0, 0";
const COST: &str = "input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, \
                    input_cost, output_cost, tool_cost";

/// What is copied of a call of a tool.
const CALLS: &str = "step, position, output_position, call_id, kind, name, arguments, changed_arguments, status, repeatable, output, \
    error, attempts, idempotency_key, decided_by, decide_until, version, created_at, started_at, decided_at, finished_at";

impl Copy {
    fn statements(&self, turns: &[i64]) -> [String; 7] {
        let (column, from) = owner(self.from);
        let (_, to) = owner(self.to);
        let thread = self.to.thread_id().map_or("NULL".to_owned(), |id| id.to_string());
        let chat = self.to.chat_id().map_or("NULL".to_owned(), |id| id.to_string());
        let numbers: Vec<String> = turns.iter().map(i64::to_string).collect();
        let (numbers, now) = (numbers.join(", "), self.now);
        let copied = |seq: &str| {
            format!("(SELECT r.id FROM ai_engine_runs r WHERE r.{column} = {to} AND r.seq = {seq})")
        };
        let parts: Vec<_> = self.parts.iter().filter(|(turn, _)| turns.contains(turn)).collect();
        let of_parts = |of: &str| {
            let left = |(turn, end): &&(i64, i64)| {
                format!(" AND NOT ({of}.seq = {turn} AND {of}.position > {end})")
            };
            format!("(1 = 1{})", parts.iter().map(left).collect::<String>())
        };
        let (copied_message, copied_other) = (of_parts("ai_engine_messages"), of_parts("m"));
        let run_of_message = copied("ai_engine_messages.seq");
        let run_of_item = copied("o.seq");
        let run_of_part = copied("m.seq");
        let parts_of_turns = format!(
            "JOIN ai_engine_messages m ON m.id = p.message_id \
             WHERE m.{column} = {from} AND m.seq IN ({numbers}) AND {copied_other}"
        );
        let as_it_is: Vec<String> =
            COPIED.split(", ").map(|column| format!("p.{column}")).collect();
        let as_it_is = as_it_is.join(", ");
        let calls_as_they_are: Vec<String> =
            CALLS.split(", ").map(|column| format!("c.{column}")).collect();
        let calls_as_they_are = calls_as_they_are.join(", ");
        [
            format!(
                "INSERT INTO ai_engine_runs (assistant_thread_id, chat_id, assistant_id, assistant_name, model, definition, seq, \
                 status, reason, provider_reason, error, notes, submission, provider, attempts, {COST}, announced_at, created_at, \
                 started_at, finished_at, updated_at) \
                 SELECT {thread}, {chat}, assistant_id, assistant_name, model, definition, seq, \
                 status, reason, provider_reason, error, notes, submission, provider, 0, {NO_COST}, {now}, created_at, \
                 started_at, finished_at, updated_at \
                 FROM ai_engine_runs WHERE {column} = {from} AND seq IN ({numbers}) ORDER BY seq"
            ),
            format!(
                "INSERT INTO ai_engine_messages (assistant_thread_id, chat_id, run_id, seq, position, role, status, content, \
                 model, {COST}, remote_state, endpoint, protocol, created_at, updated_at, metadata, author, part_count) \
                 SELECT {thread}, {chat}, {run_of_message}, seq, position, role, status, content, \
                 model, {NO_COST}, 'absent', endpoint, protocol, created_at, updated_at, metadata, author, part_count \
                 FROM ai_engine_messages WHERE {column} = {from} AND seq IN ({numbers}) AND {copied_message} \
                 ORDER BY seq, position"
            ),
            // As they are: a host's database may have refused the text in one row.
            format!(
                "INSERT INTO ai_engine_message_deltas (message_id, byte_offset, sequence_number, text) \
                 SELECT (SELECT n.id FROM ai_engine_messages n WHERE n.{column} = {to} AND n.seq = m.seq \
                 AND n.position = m.position), d.byte_offset, d.sequence_number, d.text \
                 FROM ai_engine_message_deltas d JOIN ai_engine_messages m ON m.id = d.message_id \
                 WHERE m.{column} = {from} AND m.seq IN ({numbers}) AND {copied_other} ORDER BY d.id"
            ),
            format!(
                "INSERT INTO ai_engine_run_items (run_id, position, kind, call_id, phase, item, remote_state, endpoint, \
                 protocol, created_at) \
                 SELECT {run_of_item}, i.position, i.kind, i.call_id, i.phase, i.item, 'absent', i.endpoint, \
                 i.protocol, i.created_at \
                 FROM ai_engine_run_items i JOIN ai_engine_runs o ON o.id = i.run_id \
                 WHERE o.{column} = {from} AND o.seq IN ({numbers}) AND (\
                 NOT EXISTS (SELECT 1 FROM ai_engine_messages m WHERE m.run_id = o.id AND NOT {copied_other}) \
                 OR EXISTS (SELECT 1 FROM ai_engine_messages m WHERE m.run_id = o.id AND {copied_other} \
                 AND m.position > i.position)) ORDER BY o.seq, i.position"
            ),
            format!(
                "INSERT INTO ai_engine_tool_calls ({CALLS}, run_id) \
                 SELECT {calls_as_they_are}, {run_of_item} \
                 FROM ai_engine_tool_calls c JOIN ai_engine_runs o ON o.id = c.run_id \
                 WHERE o.{column} = {from} AND o.seq IN ({numbers}) AND (\
                 NOT EXISTS (SELECT 1 FROM ai_engine_messages m WHERE m.run_id = o.id AND NOT {copied_other}) \
                 OR EXISTS (SELECT 1 FROM ai_engine_messages m WHERE m.run_id = o.id AND {copied_other} \
                 AND m.position > c.output_position)) ORDER BY o.seq, c.position"
            ),
            format!(
                "INSERT INTO ai_engine_blobs (assistant_thread_id, chat_id, digest, bytes, created_at) \
                 SELECT {thread}, {chat}, b.digest, b.bytes, b.created_at FROM ai_engine_blobs b \
                 WHERE b.id IN (SELECT p.blob_id FROM ai_engine_message_parts p {parts_of_turns}) \
                 AND NOT EXISTS (SELECT 1 FROM ai_engine_blobs k WHERE k.{column} = {to} AND k.digest = b.digest)"
            ),
            format!(
                "INSERT INTO ai_engine_message_parts ({COPIED}, message_id, blob_id, item_id) \
                 SELECT {as_it_is}, (SELECT n.id FROM ai_engine_messages n WHERE n.{column} = {to} AND n.seq = m.seq \
                 AND n.position = m.position), (SELECT k.id FROM ai_engine_blobs k JOIN ai_engine_blobs b ON b.digest = k.digest \
                 WHERE k.{column} = {to} AND b.id = p.blob_id), (SELECT j.id FROM ai_engine_run_items j \
                 JOIN ai_engine_run_items i ON i.position = j.position WHERE j.run_id = {run_of_part} AND i.id = p.item_id) \
                 FROM ai_engine_message_parts p {parts_of_turns} ORDER BY p.id"
            ),
        ]
    }
}

/// The column that says which conversation a row is of, and its value there.
const fn owner(of: Messageable) -> (&'static str, i64) {
    match of {
        Messageable::AssistantThread(id) => ("assistant_thread_id", id),
        Messageable::Chat(id) => ("chat_id", id),
    }
}
