//! Messages: what was said. A streaming message is its row and the deltas that came after it.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::any_of::any_of;
use super::constant::constant;
use super::first_row::First;
use super::parts;
use super::session::{Session, of, on};
use super::update::update;
use crate::error::{Error, Result};
use crate::model::{
    Message, MessageBody, MessageNote, MessagePlace, MessageRow, MessageStatus, Messageable,
    NewPart, Page, RemoteState, Role, Said, Service, Usage, usage_set, utc_now,
};
use crate::schema::ai_engine_messages::{self, dsl as messages};

/// A new row. What is `None` is written as NULL, so that there is one text for all.
#[derive(Debug, Insertable)]
#[diesel(table_name = ai_engine_messages, treat_none_as_default_value = false)]
pub(crate) struct NewMessage {
    #[diesel(embed)]
    pub(crate) place: MessagePlace,
    #[diesel(embed)]
    pub(crate) body: MessageBody,
    #[diesel(embed)]
    pub(crate) note: MessageNote,
    /// Of the first message of a turn: the turn that it follows, where that is not the one below it.
    pub(crate) parent_seq: Option<i64>,
    pub(crate) created_at: chrono::NaiveDateTime,
    pub(crate) updated_at: chrono::NaiveDateTime,
}

impl NewMessage {
    /// A message with nothing but its text, complete, unknown to the provider.
    pub(crate) fn local(
        parent: Messageable,
        run_id: Option<i64>,
        seq: i64,
        position: i64,
        role: Role,
        content: String,
    ) -> Self {
        let now = utc_now();
        Self {
            place: MessagePlace {
                assistant_thread_id: parent.thread_id(),
                chat_id: parent.chat_id(),
                run_id,
                seq,
                position,
                role,
            },
            body: MessageBody {
                status: MessageStatus::Completed,
                content,
                model: None,
                usage: Usage::default(),
                remote_id: None,
                remote_state: RemoteState::Absent,
                endpoint: None,
                protocol: None,
                part_count: 0,
            },
            note: MessageNote::default(),
            parent_seq: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The same, with what the host says of it.
    pub(crate) fn noted(self, note: MessageNote) -> Self {
        Self { note, ..self }
    }

    /// The first message of a turn that follows this one; `None`: the turn below it.
    pub(crate) fn following(self, parent_seq: Option<i64>) -> Self {
        Self { parent_seq, ..self }
    }
}

pub(crate) fn insert(session: &mut dyn Session, new: &NewMessage) -> Result<Message> {
    let row: MessageRow = on!(session, |conn| diesel::insert_into(messages::ai_engine_messages)
        .values(new)
        .returning(MessageRow::as_returning())
        .get_result(conn))?;
    Ok(row.into())
}

/// A new row, and its parts.
pub(crate) fn insert_with(
    session: &mut dyn Session,
    mut new: NewMessage,
    beside: &[NewPart],
) -> Result<Message> {
    new.body.part_count = parts::count(beside.len());
    let mut message = insert(session, &new)?;
    message.parts = parts::insert(session, &message, beside)?;
    Ok(message)
}

/// A new row with the text and the parts of a message of the same conversation.
pub(crate) fn insert_copy(
    session: &mut dyn Session,
    mut new: NewMessage,
    of: &Message,
) -> Result<Message> {
    new.body.part_count = of.part_count;
    let mut message = insert(session, &new)?;
    parts::copy(session, of, &message)?;
    parts::attach(session, vec![&mut message])?;
    Ok(message)
}

/// Gives a message its final form. What is `None` in it stays as it is.
pub(crate) fn settle(session: &mut dyn Session, id: i64, settled: &MessageBody) -> Result<Message> {
    let row: MessageRow = on!(session, |conn| update(messages::ai_engine_messages.find(id))
        .set((settled, messages::updated_at.eq(utc_now())))
        .returning(MessageRow::as_returning())
        .get_result(conn))?;
    Ok(row.into())
}

/// Ends these growing messages without touching their texts, which stay where they are. `cost` is that of the last one.
pub(crate) fn break_off(
    session: &mut dyn Session,
    growing: &[&Message],
    cost: Usage,
) -> Result<()> {
    let last = growing.last().map(|message| message.id);
    for message in growing {
        let usage = if Some(message.id) == last { cost } else { message.usage };
        let broken = (
            messages::status.eq(MessageStatus::Incomplete),
            messages::updated_at.eq(utc_now()),
            usage_set!(messages, usage),
        );
        on!(session, |conn| update(messages::ai_engine_messages.find(message.id))
            .set(broken)
            .execute(conn))?;
    }
    Ok(())
}

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
        use super::session::Conn;
        let rows: Vec<(MessageRow, String)> = match $session.conn() {
            #[cfg(feature = "sqlite")]
            Conn::Sqlite(conn) => {
                let $query =
                    messages::ai_engine_messages.select((MessageRow::as_select(), TailSqlite));
                $build.load(conn)?
            }
            #[cfg(feature = "postgres")]
            Conn::Pg(conn) => {
                let $query = messages::ai_engine_messages.select((MessageRow::as_select(), TailPg));
                $build.load(conn)?
            }
        };
        parts::beside($session, rows.into_iter().map(whole).collect())?.into_iter()
    }};
}

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

/// All messages on the path of a conversation, of the turns from one to another, in order.
pub(crate) fn on_path(
    session: &mut dyn Session,
    parent: Messageable,
    turns: RangeInclusive<i64>,
) -> Result<Vec<Said>> {
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::seq.ge(*turns.start()))
        .filter(messages::seq.le(*turns.end()))
        .filter(messages::superseded_at_seq.is_null())
        .order((messages::seq, messages::position)))
    .collect())
}

/// The system texts on the path of a conversation up to a turn, in order.
pub(crate) fn system_texts(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
) -> Result<Vec<String>> {
    Ok(on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::seq.le(seq))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::role.eq(Role::System))
        .order((messages::seq, messages::position))
        .select(messages::content)
        .load(conn))?)
}

/// The turn on the path that has so many others between itself and this one; `None`: there are not so many.
pub(crate) fn turns_before(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    others: i64,
) -> Result<Option<i64>> {
    Ok(on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::position.eq(0))
        .filter(messages::seq.le(seq))
        .filter(messages::superseded_at_seq.is_null())
        .order(messages::seq.desc())
        .select(messages::seq)
        .offset(others)
        .limit(1)
        .first(conn)
        .optional())?)
}

/// Those of them that the provider's conversation at this service does not surely hold.
pub(crate) fn not_held_up_to(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    at: &Service,
) -> Result<Vec<Said>> {
    let elsewhere = || {
        let unnamed = messages::endpoint.is_null().or(messages::protocol.is_null());
        let other = messages::endpoint.ne(&*at.endpoint).or(messages::protocol.ne(&*at.protocol));
        unnamed.or(other)
    };
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::seq.le(seq))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::remote_state.ne(RemoteState::Held).or(elsewhere()))
        .order((messages::seq, messages::position)))
    .collect())
}

/// Which of these turns have a message of the model.
pub(crate) fn answered(
    session: &mut dyn Session,
    parent: Messageable,
    turns: &[i64],
) -> Result<HashSet<i64>> {
    turns_found(turns, |some| {
        Ok(on!(session, |conn| messages::ai_engine_messages
            .filter(of!(messages, parent))
            .filter(any_of(messages::seq, some))
            .filter(messages::role.eq(Role::Assistant))
            .filter(messages::superseded_at_seq.is_null())
            .select(messages::seq)
            .load(conn))?)
    })
}

/// Which of these turns `find` finds, some at a time: a statement takes so many values and no more.
pub(super) fn turns_found(
    turns: &[i64],
    mut find: impl FnMut(&[i64]) -> Result<Vec<i64>>,
) -> Result<HashSet<i64>> {
    let mut found = HashSet::new();
    for some in turns.chunks(500) {
        found.extend(find(some)?);
    }
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

/// The messages of a run, in order.
pub(crate) fn of_run(session: &mut dyn Session, run: i64) -> Result<Vec<Message>> {
    Ok(load_whole!(session, |query| query
        .filter(messages::run_id.eq(run))
        .order((messages::seq, messages::position)))
    .map(Message::from)
    .collect())
}

/// The messages of the turns numbered `from` up to, not including, `to`, in order: of those that are on the path and always were.
pub(crate) fn between(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Vec<Message>> {
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::seq.ge(from))
        .filter(messages::seq.lt(to))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::chosen_at_seq.is_null())
        .order((messages::seq, messages::position)))
    .map(Message::from)
    .collect())
}

/// The number of the first of these turns that has a message.
pub(crate) fn first_between(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Option<i64>> {
    Ok(on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::seq.ge(from))
        .filter(messages::seq.lt(to))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::chosen_at_seq.is_null())
        .order(messages::seq)
        .select(messages::seq)
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// The messages of turns that came back to the path under this number, and are on it, in order.
pub(crate) fn chosen_at(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
) -> Result<Vec<Message>> {
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::chosen_at_seq.eq(seq))
        .filter(messages::superseded_at_seq.is_null())
        .order((messages::seq, messages::position)))
    .map(Message::from)
    .collect())
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

pub(crate) fn destroy_all(session: &mut dyn Session, parent: Messageable) -> Result<()> {
    on!(session, |conn| diesel::delete(
        messages::ai_engine_messages.filter(of!(messages, parent))
    )
    .execute(conn))?;
    Ok(())
}
