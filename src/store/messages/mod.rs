//! Messages: what was said. A streaming message is its row and the deltas that came after it.

mod new;
mod path;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::any_of::any_of;
use super::constant::constant;
use super::session::{Session, of, on};
use crate::error::{Error, Result};
use crate::model::{
    Costs, Message, MessageRow, MessageStatus, Messageable, Page, Spent, Usage, costs_columns,
    usage_columns,
};
use crate::schema::ai_engine_messages::dsl as messages;

pub(crate) use new::{
    NewMessage, break_off, destroy_all, insert, insert_copy, insert_with, settle,
};
pub(crate) use path::{
    answered, between, chosen_at, first_between, not_held_up_to, on_path, system_texts,
    turns_before, turns_found,
};

#[cfg(feature = "sqlite")]
constant! {
    /// Text after `content` that is still in deltas. In the order of writing, which is that of the text.
    pub(super) TailSqlite: Text = "coalesce((SELECT group_concat(text, '') FROM (SELECT text FROM ai_engine_message_deltas \
        WHERE message_id = ai_engine_messages.id ORDER BY id)), '')"
}
#[cfg(feature = "postgres")]
constant! {
    /// The same.
    pub(super) TailPg: Text = "coalesce((SELECT string_agg(text, '' ORDER BY id) FROM ai_engine_message_deltas \
        WHERE message_id = ai_engine_messages.id), '')"
}

/// Loads messages whole, each read being one statement: `content` and deltas of the same moment. Parts, which come with the end of
/// a message, are read in one more where there are any.
macro_rules! load_whole {
    ($session:expr, |$query:ident| $build:expr) => {{
        use $crate::model::MessageRow;
        use $crate::store::messages as stored;
        use $crate::store::session::Conn;
        let rows: Vec<(MessageRow, String)> = match $session.conn() {
            #[cfg(feature = "sqlite")]
            Conn::Sqlite(conn) => {
                let $query = $crate::schema::ai_engine_messages::table
                    .select((MessageRow::as_select(), stored::TailSqlite));
                $build.load(conn)?
            }
            #[cfg(feature = "postgres")]
            Conn::Pg(conn) => {
                let $query = $crate::schema::ai_engine_messages::table
                    .select((MessageRow::as_select(), stored::TailPg));
                $build.load(conn)?
            }
        };
        $crate::store::parts::beside($session, rows.into_iter().map(stored::whole).collect())?
            .into_iter()
    }};
}
use load_whole;

pub(super) fn whole((mut row, tail): (MessageRow, String)) -> MessageRow {
    row.body.content.push_str(&tail);
    row
}

/// A page of the newest messages (before one of them), oldest first.
pub(crate) fn page(
    session: &mut dyn Session,
    parent: Messageable,
    page: Page,
) -> Result<Vec<Message>> {
    let (seq, position) = match page.row()? {
        None => (i64::MAX, i64::MAX),
        Some(id) => place(session, parent, id)?,
    };
    let earlier =
        || messages::seq.lt(seq).or(messages::seq.eq(seq).and(messages::position.lt(position)));
    let newest_first = load_whole!(session, |query| query
        .filter(of!(messages, parent))
        // What an index can begin at.
        .filter(messages::seq.le(seq))
        .filter(messages::superseded_at_seq.is_null())
        .filter(earlier())
        .order((messages::seq.desc(), messages::position.desc()))
        .limit(i64::from(page.limit)));
    let mut found: Vec<Message> = newest_first.map(Message::from).collect();
    found.reverse();
    Ok(found)
}

/// What a run was asked.
pub(crate) fn question(session: &mut dyn Session, run: i64) -> Result<Option<Message>> {
    let mut found = load_whole!(session, |query| query
        .filter(messages::run_id.eq(run))
        .filter(messages::position.eq(0)));
    Ok(found.next().map(Message::from))
}

/// The turn of a message of this conversation, and its place there.
pub(crate) fn place(session: &mut dyn Session, of: Messageable, id: i64) -> Result<(i64, i64)> {
    on!(session, |conn| messages::ai_engine_messages
        .find(id)
        .filter(of!(messages, of))
        .select((messages::seq, messages::position))
        .first(conn)
        .optional())?
    .ok_or_else(|| Error::not_found("message", id))
}

/// Whether nothing comes after this place in its turn, on the path or off it.
pub(crate) fn is_last(
    session: &mut dyn Session,
    of: Messageable,
    seq: i64,
    position: i64,
) -> Result<bool> {
    let later = messages::ai_engine_messages
        .filter(of!(messages, of))
        .filter(messages::seq.eq(seq))
        .filter(messages::position.gt(position));
    let any: bool =
        on!(session, |conn| diesel::select(diesel::dsl::exists(later)).get_result(conn))?;
    Ok(!any)
}

/// The messages of a run, in order.
pub(crate) fn of_run(session: &mut dyn Session, run: i64) -> Result<Vec<Message>> {
    Ok(load_whole!(session, |query| query
        .filter(messages::run_id.eq(run))
        .order((messages::seq, messages::position)))
    .map(Message::from)
    .collect())
}

/// What those of a run were counted that have their final form.
pub(crate) fn spent_on_run(session: &mut dyn Session, run: i64) -> Result<Spent> {
    let counted: Vec<(Usage, Costs)> = on!(session, |conn| messages::ai_engine_messages
        .filter(messages::run_id.eq(run))
        .filter(messages::status.ne(MessageStatus::Streaming))
        .select((usage_columns!(messages), costs_columns!(messages)))
        .load(conn))?;
    let spent = |(usage, costs)| Spent { usage, costs, priced_on: None };
    Ok(counted.into_iter().map(spent).sum())
}

/// Messages by their ids, in order.
pub(crate) fn by_ids(session: &mut dyn Session, ids: &[i64]) -> Result<Vec<Message>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(load_whole!(session, |query| query
        .filter(any_of(messages::id, ids))
        .order((messages::seq, messages::position)))
    .map(Message::from)
    .collect())
}

/// A message without its text.
#[derive(Debug, Queryable)]
pub(crate) struct State {
    pub(crate) id: i64,
    pub(crate) run_id: i64,
    pub(crate) status: MessageStatus,
}

/// The messages of these runs without their texts.
pub(crate) fn states_of_runs(session: &mut dyn Session, runs: &[i64]) -> Result<Vec<State>> {
    Ok(on!(session, |conn| messages::ai_engine_messages
        .filter(any_of(messages::run_id, runs))
        .select((messages::id, messages::run_id.assume_not_null(), messages::status))
        .load(conn))?)
}
