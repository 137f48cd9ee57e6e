//! The threads or the chats of an owner by their last activity, each with what a list shows of it: one statement, whatever the
//! number.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::before::before;
use super::constant::constant;
#[cfg(feature = "postgres")]
use super::messages::TailPg;
#[cfg(feature = "sqlite")]
use super::messages::TailSqlite;
use super::messages::whole;
use super::parts;
use super::session::{Conn, Session};
use super::threads::ConversationRow;
use crate::error::Result;
use crate::model::{
    AssistantThread, Chat, ChatSummary, Message, MessageRow, Page, PageToken, Paged, Run, ShownRun,
    ThreadSummary, last_activity, without_nul,
};
use crate::schema::ai_engine_messages::dsl as messages;
use crate::schema::ai_engine_runs::dsl as runs;
use crate::schema::{ai_engine_assistant_threads, ai_engine_chats};

/// A conversation of which a list shows a summary.
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the conversations are ours")]
pub trait Recent: ConversationRow {
    /// What a list shows of it.
    type Summary: Send + 'static;

    /// By their last activity, the newest first.
    fn recent(
        session: &mut dyn Session,
        owner_type: &str,
        owner_id: &str,
        page: Page,
    ) -> Result<Paged<Self::Summary>>;
}

/// Before it all times are: of later ones SQLite has another form, and compares them as text.
const END: NaiveDateTime = match NaiveDate::from_ymd_opt(9999, 12, 31) {
    Some(day) => match day.and_hms_opt(23, 59, 59) {
        Some(end) => end,
        None => NaiveDateTime::MAX,
    },
    None => NaiveDateTime::MAX,
};

macro_rules! recent {
    (
        $row:ty, $table:ident, $table_name:literal, $column:literal, $owner_type:ident, $owner_id:ident,
        $summary:ident, $field:ident
    ) => {
        impl Recent for $row {
            type Summary = $summary;

            fn recent(
                session: &mut dyn Session,
                owner_type: &str,
                owner_id: &str,
                page: Page,
            ) -> Result<Paged<$summary>> {
                use $table::dsl as t;

                type Found = ($row, Option<MessageRow>, String, Option<ShownRun>);

                constant! { LastMessage: Nullable<BigInt> = concat!(
                    "(SELECT said.id FROM ai_engine_messages AS said WHERE said.", $column, " = ", $table_name,
                    ".id AND said.superseded_at_seq IS NULL ORDER BY said.seq DESC, said.position DESC LIMIT 1)"
                ) }
                // In the words of the partial index.
                constant! { ActiveRun: Nullable<BigInt> = concat!(
                    "(SELECT active.id FROM ai_engine_runs AS active WHERE active.", $column, " = ", $table_name,
                    ".id AND active.status IN ('queued', 'in_progress', 'requires_action') \
                     ORDER BY active.seq LIMIT 1)"
                ) }
                macro_rules! load {
                    ($conn:expr, $tail:expr, $before:expr, $limit:expr) => {{
                        let activity = || last_activity(t::last_activity_at, t::updated_at);
                        t::$table
                            .left_join(messages::ai_engine_messages.on(
                                messages::id.nullable().eq(LastMessage),
                            ))
                            .left_join(runs::ai_engine_runs.on(
                                runs::id.nullable().eq(ActiveRun),
                            ))
                            .filter(t::$owner_type.eq(owner_type))
                            .filter(t::$owner_id.eq(owner_id))
                            .filter(before((activity(), t::id), $before))
                            .order((activity().desc(), t::id.desc()))
                            .limit($limit)
                            .select((
                                <$row>::as_select(),
                                Option::<MessageRow>::as_select(),
                                $tail,
                                Option::<ShownRun>::as_select(),
                            ))
                            .load($conn)?
                    }};
                }
                without_nul(stringify!($owner_id), owner_id)?;
                let place = match (page.recent()?, page.before) {
                    (Some(place), _) => place,
                    (None, None) => (END, i64::MAX),
                    (None, Some(id)) => {
                        let named = <$row>::find(session, owner_type, owner_id, id)?;
                        (named.last_activity_at.naive_utc(), id)
                    }
                };
                // One more than asked for tells whether there is more.
                let limit = i64::from(page.limit) + 1;
                let found: Vec<Found> = match session.conn() {
                    #[cfg(feature = "sqlite")]
                    Conn::Sqlite(conn) => load!(conn, TailSqlite, place, limit),
                    #[cfg(feature = "postgres")]
                    Conn::Pg(conn) => load!(conn, TailPg, place, limit),
                };
                let summaries = found.into_iter().map(|($field, said, tail, run)| $summary {
                    $field,
                    last_message: said.map(|row| Message::from(whole((row, tail)))),
                    active_run: run.map(Run::from),
                });
                let mut summaries: Vec<$summary> = summaries.collect();
                let last = summaries.iter_mut().filter_map(|summary| summary.last_message.as_mut());
                parts::attach(session, last.collect())?;
                Ok(Paged::of(summaries, page.limit, |last| {
                    PageToken::of_recent(last.$field.last_activity_at.naive_utc(), last.$field.id)
                }))
            }
        }
    };
}

recent!(
    AssistantThread,
    ai_engine_assistant_threads,
    "ai_engine_assistant_threads",
    "assistant_thread_id",
    threadable_type,
    threadable_id,
    ThreadSummary,
    thread
);
recent!(
    Chat,
    ai_engine_chats,
    "ai_engine_chats",
    "chat_id",
    chattable_type,
    chattable_id,
    ChatSummary,
    chat
);
