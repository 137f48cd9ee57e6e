//! The turns of a conversation a page at a time, as a page shows them: one statement, whatever the depth.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::belongs::Of;
use super::constant::constant;
#[cfg(feature = "postgres")]
use super::messages::TailPg;
#[cfg(feature = "sqlite")]
use super::messages::TailSqlite;
use super::messages::whole;
use super::parts;
use super::session::{Conn, Session, of};
use super::tool_calls;
use crate::error::Result;
use crate::model::{Message, MessageRow, Messageable, Page, PageToken, Paged, ShownRun, Turn};
use crate::schema::ai_engine_messages::dsl as messages;
use crate::schema::ai_engine_runs::dsl as runs;

diesel::alias!(crate::schema::ai_engine_messages as first: First);

/// The runs whose questions follow the same turn as this one's, where that is said: their ids, with commas between. The `+` keeps
/// SQLite from reading all messages of the conversation in their order instead of sorting a few.
macro_rules! siblings {
    ($column:literal, $aggregate:literal) => {
        concat!(
            "coalesce((SELECT ",
            $aggregate,
            " FROM (SELECT sibling.run_id FROM ai_engine_messages AS sibling \
             WHERE sibling.",
            $column,
            " = ai_engine_messages.",
            $column,
            " AND sibling.parent_seq = ai_engine_messages.parent_seq AND sibling.position = 0 \
             AND sibling.run_id IS NOT NULL ORDER BY +sibling.seq) AS siblings), '')"
        )
    };
}

constant! {
    CallsForTools: Bool = "EXISTS (SELECT 1 FROM ai_engine_tool_calls AS called WHERE called.run_id = ai_engine_messages.run_id)"
}
#[cfg(feature = "sqlite")]
constant! { InThreadSqlite: Text = siblings!("assistant_thread_id", "group_concat(run_id, ',')") }
#[cfg(feature = "sqlite")]
constant! { InChatSqlite: Text = siblings!("chat_id", "group_concat(run_id, ',')") }
#[cfg(feature = "postgres")]
constant! { InThreadPg: Text = siblings!("assistant_thread_id", "string_agg(CAST(run_id AS text), ',')") }
#[cfg(feature = "postgres")]
constant! { InChatPg: Text = siblings!("chat_id", "string_agg(CAST(run_id AS text), ',')") }

/// A message, its text in deltas, its run (beside the first message alone), the runs beside that, the turn before the page, and
/// whether the run called for tools.
type Row = (MessageRow, String, Option<ShownRun>, String, Option<i64>, bool);

/// The newest turns of the current path (below one of them), in order. Their rows are put in order here: where the database did, it
/// would read more of them than it is asked for.
pub(crate) fn page(
    session: &mut dyn Session,
    parent: Messageable,
    page: Page,
) -> Result<Paged<Turn>> {
    let below = page.turn()?.unwrap_or(i64::MAX);
    // Each turn has one first message.
    let newest = || {
        first
            .filter(Of::new(
                first.field(messages::assistant_thread_id),
                first.field(messages::chat_id),
                parent,
            ))
            .filter(first.field(messages::position).eq(0))
            .filter(first.field(messages::superseded_at_seq).is_null())
            .filter(first.field(messages::seq).lt(below))
            .order(first.field(messages::seq).desc())
            .select(first.field(messages::seq))
    };
    let limit = i64::from(page.limit);
    macro_rules! load {
        ($conn:expr, $tail:expr, $siblings:expr) => {
            messages::ai_engine_messages
                .left_join(
                    runs::ai_engine_runs
                        .on(messages::run_id.eq(runs::id.nullable()).and(messages::position.eq(0))),
                )
                .filter(of!(messages, parent))
                .filter(messages::superseded_at_seq.is_null())
                .filter(messages::seq.eq_any(newest().limit(limit)))
                .select((
                    MessageRow::as_select(),
                    $tail,
                    Option::<ShownRun>::as_select(),
                    $siblings,
                    newest().offset(limit).limit(1).single_value(),
                    CallsForTools,
                ))
                .load($conn)?
        };
    }
    let in_chat = parent.chat_id().is_some();
    let found: Vec<Row> = match session.conn() {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) if in_chat => load!(conn, TailSqlite, InChatSqlite),
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => load!(conn, TailSqlite, InThreadSqlite),
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) if in_chat => load!(conn, TailPg, InChatPg),
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => load!(conn, TailPg, InThreadPg),
    };
    let calls_for_tools = found.iter().any(|row| row.5);
    let mut turns = put_together(found);
    if calls_for_tools {
        attach_calls(session, &mut turns.items)?;
    }
    let messages = turns.items.iter_mut().flat_map(|turn| &mut turn.messages);
    parts::attach(session, messages.collect())?;
    Ok(turns)
}

fn attach_calls(session: &mut dyn Session, turns: &mut [Turn]) -> Result<()> {
    let runs: Vec<i64> = turns.iter().filter_map(|turn| Some(turn.run.as_ref()?.id)).collect();
    for call in tool_calls::of_runs(session, &runs)? {
        let turn = turns
            .iter_mut()
            .find(|turn| turn.run.as_ref().is_some_and(|run| run.id == call.run_id));
        if let Some(turn) = turn {
            turn.tool_calls.push(call);
        }
    }
    Ok(())
}

fn put_together(found: Vec<Row>) -> Paged<Turn> {
    let mut turns = BTreeMap::new();
    let mut more = false;
    for (row, tail, run, siblings, before, _) in found {
        more |= before.is_some();
        let message = Message::from(whole((row, tail)));
        let turn = turns.entry(message.seq).or_insert_with(|| Turn {
            seq: message.seq,
            run: None,
            messages: Vec::new(),
            tool_calls: Vec::new(),
            siblings: Vec::new(),
        });
        if message.position == 0 {
            turn.run = run.map(Into::into);
            let ids: Vec<i64> = siblings.split(',').filter_map(|id| id.parse().ok()).collect();
            turn.siblings = if ids.len() > 1 { ids } else { Vec::new() };
        }
        turn.messages.push(message);
    }
    let mut items: Vec<Turn> = turns.into_values().collect();
    for turn in &mut items {
        turn.messages.sort_by_key(|message| message.position);
    }
    let next = items.first().filter(|_| more).map(|turn| PageToken::of_turn(turn.seq));
    Paged { items, next }
}
