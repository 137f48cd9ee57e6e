//! Threads and chats: what messages and runs belong to. Each row is also the lock of its conversation.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::Value;

use super::any_of::any_of;
use super::first_row::First;
use super::news::{self, News};
use super::session::{Session, on};
use super::update::update;
use super::{outbox, runs_of};
use crate::error::{Error, Result};
use crate::model::{
    AssistantThread, Chat, Messageable, Named, Page, TitleAuthor, last_activity, utc_now,
    without_nul,
};
use crate::schema::{ai_engine_assistant_threads, ai_engine_chats};

/// A locked thread or chat.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) owner_type: String,
    pub(crate) owner_id: String,
    /// The turn number that came with the lock.
    pub(crate) seq: i64,
    /// The turn that the next one follows, where that is not the one with the highest number.
    pub(crate) head: Option<i64>,
}

impl Parent {
    /// The type and id of its owner.
    pub(crate) fn owner(&self) -> (String, String) {
        (self.owner_type.clone(), self.owner_id.clone())
    }
}

/// What threads and chats have in common in the database.
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the conversations are ours")]
pub trait ConversationRow: Send + Sized + 'static {
    fn messageable(&self) -> Messageable;

    fn insert(
        session: &mut dyn Session,
        owner_type: &str,
        owner_id: &str,
        named: &Named,
    ) -> Result<Self>;

    fn find(session: &mut dyn Session, owner_type: &str, owner_id: &str, id: i64) -> Result<Self>;

    /// Newest first, as they were created.
    fn list(
        session: &mut dyn Session,
        owner_type: &str,
        owner_id: &str,
        page: Page,
    ) -> Result<Vec<Self>>;

    fn ids(session: &mut dyn Session, owner_type: &str, owner_id: &str) -> Result<Vec<i64>>;

    /// A new row of the same owner, with the names of the one that it is made from and `next_seq` as its next turn.
    fn fork(
        session: &mut dyn Session,
        origin: Messageable,
        next_seq: i64,
        message: i64,
    ) -> Result<Self>;

    /// Deletes the row and all that hangs on it; notes what the provider must delete. Returns its runs.
    fn destroy(session: &mut dyn Session, id: i64) -> Result<Vec<i64>>;
}

/// The statements that threads and chats share.
macro_rules! conversations {
    ($module:ident, $variant:ident, $table:ident, $row:ty, $owner_type:ident, $owner_id:ident, $what:literal) => {
        pub(crate) mod $module {
            use super::$table::dsl as t;
            use super::*;

            pub(super) fn heads(session: &mut dyn Session, ids: &[i64]) -> Result<Vec<(i64, i64)>> {
                let mut heads = Vec::with_capacity(ids.len());
                for ids in ids.chunks(1000) {
                    let found: Vec<(i64, i64)> = on!(session, |conn| t::$table
                        .filter(any_of(t::id, ids))
                        .select((t::id, t::next_seq))
                        .load(conn))?;
                    heads.extend(found);
                }
                Ok(heads)
            }

            /// Locks the row until the transaction ends and takes the next number.
            ///
            /// An UPDATE, so that it locks on PostgreSQL, and so that a host's SQLite transaction begins
            /// with a write instead of failing at its first one.
            macro_rules! locked {
                ($session:expr, $id:expr, $activity:expr) => {{
                    let locked: Option<(String, String, i64, Option<i64>)> =
                        on!($session, |conn| update(t::$table.find($id))
                            .set((
                                t::next_seq.eq(t::next_seq + 1),
                                t::updated_at.eq(utc_now()),
                                t::last_activity_at.eq($activity),
                            ))
                            .returning((t::$owner_type, t::$owner_id, t::next_seq, t::head_seq))
                            .get_result(conn)
                            .optional())?;
                    let (owner_type, owner_id, next_seq, head) =
                        locked.ok_or_else(|| Error::not_found($what, $id))?;
                    Ok(Parent { owner_type, owner_id, seq: next_seq - 1, head })
                }};
            }

            /// For a turn that begins.
            pub(crate) fn lock(session: &mut dyn Session, id: i64) -> Result<Parent> {
                locked!(session, id, utc_now())
            }

            /// For another path, which is no activity. That of a row of an earlier version is `updated_at` until now.
            pub(super) fn lock_path(session: &mut dyn Session, id: i64) -> Result<Parent> {
                locked!(session, id, last_activity(t::last_activity_at, t::updated_at).nullable())
            }

            /// Locks the row until the transaction ends.
            pub(super) fn hold(session: &mut dyn Session, id: i64) -> Result<()> {
                let held = on!(session, |conn| update(t::$table.find(id))
                    .set(t::next_seq.eq(t::next_seq))
                    .execute(conn))?;
                if held == 0 { Err(Error::not_found($what, id)) } else { Ok(()) }
            }

            pub(super) fn set_head(
                session: &mut dyn Session,
                id: i64,
                head: Option<i64>,
            ) -> Result<()> {
                on!(session, |conn| update(t::$table.find(id))
                    .set(t::head_seq.eq(head))
                    .execute(conn))?;
                Ok(())
            }

            impl ConversationRow for $row {
                fn messageable(&self) -> Messageable {
                    Messageable::$variant(self.id)
                }

                fn insert(
                    session: &mut dyn Session,
                    owner_type: &str,
                    owner_id: &str,
                    named: &Named,
                ) -> Result<Self> {
                    without_nul(stringify!($owner_id), owner_id)?;
                    let now = utc_now();
                    let row = (
                        t::$owner_type.eq(owner_type),
                        t::$owner_id.eq(owner_id),
                        t::title.eq(&named.title),
                        t::title_by.eq(named.title.as_ref().map(|_| TitleAuthor::Person)),
                        t::metadata.eq(&named.metadata),
                        t::created_at.eq(now),
                        t::updated_at.eq(now),
                        t::last_activity_at.eq(now),
                    );
                    Ok(on!(session, |conn| diesel::insert_into(t::$table)
                        .values(row)
                        .returning(<$row>::as_returning())
                        .get_result(conn))?)
                }

                fn find(
                    session: &mut dyn Session,
                    owner_type: &str,
                    owner_id: &str,
                    id: i64,
                ) -> Result<Self> {
                    without_nul(stringify!($owner_id), owner_id)?;
                    on!(session, |conn| t::$table
                        .filter(t::id.eq(id))
                        .filter(t::$owner_type.eq(owner_type))
                        .filter(t::$owner_id.eq(owner_id))
                        .select(<$row>::as_select())
                        .first_row()
                        .get_result(conn)
                        .optional())?
                    .ok_or_else(|| Error::not_found($what, id))
                }

                fn list(
                    session: &mut dyn Session,
                    owner_type: &str,
                    owner_id: &str,
                    page: Page,
                ) -> Result<Vec<Self>> {
                    without_nul(stringify!($owner_id), owner_id)?;
                    let before = page.row()?.unwrap_or(i64::MAX);
                    if page.before.is_some() {
                        Self::find(session, owner_type, owner_id, before)?;
                    }
                    Ok(on!(session, |conn| t::$table
                        .filter(t::$owner_type.eq(owner_type))
                        .filter(t::$owner_id.eq(owner_id))
                        .filter(t::id.lt(before))
                        .order(t::id.desc())
                        .limit(i64::from(page.limit))
                        .select(<$row>::as_select())
                        .load(conn))?)
                }

                fn ids(
                    session: &mut dyn Session,
                    owner_type: &str,
                    owner_id: &str,
                ) -> Result<Vec<i64>> {
                    without_nul(stringify!($owner_id), owner_id)?;
                    Ok(on!(session, |conn| t::$table
                        .filter(t::$owner_type.eq(owner_type))
                        .filter(t::$owner_id.eq(owner_id))
                        .select(t::id)
                        .load(conn))?)
                }

                fn fork(
                    session: &mut dyn Session,
                    origin: Messageable,
                    next_seq: i64,
                    message: i64,
                ) -> Result<Self> {
                    type Names = (String, String, Option<String>, Option<String>, Value);
                    let Messageable::$variant(id) = origin else {
                        return Err(Error::not_found($what, origin));
                    };
                    let names: Names = on!(session, |conn| t::$table
                        .find(id)
                        .select((t::$owner_type, t::$owner_id, t::title, t::title_by, t::metadata))
                        .first(conn))?;
                    let now = utc_now();
                    let row = (
                        t::$owner_type.eq(&names.0),
                        t::$owner_id.eq(&names.1),
                        t::title.eq(&names.2),
                        t::title_by.eq(&names.3),
                        t::metadata.eq(&names.4),
                        t::next_seq.eq(next_seq),
                        t::forked_from_id.eq(id),
                        t::forked_at_message_id.eq(message),
                        t::last_activity_at.eq(now),
                        t::created_at.eq(now),
                        t::updated_at.eq(now),
                    );
                    Ok(on!(session, |conn| diesel::insert_into(t::$table)
                        .values(row)
                        .returning(<$row>::as_returning())
                        .get_result(conn))?)
                }

                fn destroy(session: &mut dyn Session, id: i64) -> Result<Vec<i64>> {
                    let parent = Messageable::$variant(id);
                    lock(session, id)?;
                    // First: whoever ends one notes with that what the provider keeps of it.
                    let runs = runs_of::lock_all(session, parent)?;
                    outbox::note(session, parent)?;
                    runs_of::destroy_all(session, parent)?;
                    on!(session, |conn| diesel::delete(t::$table.find(id)).execute(conn))?;
                    Ok(runs)
                }
            }
        }
    };
}

conversations!(
    threads,
    AssistantThread,
    ai_engine_assistant_threads,
    AssistantThread,
    threadable_type,
    threadable_id,
    "assistant thread"
);
conversations!(chats, Chat, ai_engine_chats, Chat, chattable_type, chattable_id, "chat");

/// The number of the next turn of each of these; a missing one is gone.
pub(crate) fn heads(
    session: &mut dyn Session,
    of: &[Messageable],
) -> Result<HashMap<Messageable, i64>> {
    let mut heads = HashMap::with_capacity(of.len());
    let ids: Vec<i64> = of.iter().filter_map(|of| of.thread_id()).collect();
    for (id, next) in threads::heads(session, &ids)? {
        heads.insert(Messageable::AssistantThread(id), next);
    }
    let ids: Vec<i64> = of.iter().filter_map(|of| of.chat_id()).collect();
    for (id, next) in chats::heads(session, &ids)? {
        heads.insert(Messageable::Chat(id), next);
    }
    Ok(heads)
}

pub(crate) fn lock(session: &mut dyn Session, parent: Messageable) -> Result<Parent> {
    let locked = match parent {
        Messageable::AssistantThread(id) => threads::lock(session, id),
        Messageable::Chat(id) => chats::lock(session, id),
    }?;
    news::tell(session, &[News::Turn(parent)])?;
    Ok(locked)
}

/// Locks a conversation for another path, and takes a number for it.
pub(crate) fn lock_path(session: &mut dyn Session, parent: Messageable) -> Result<Parent> {
    let locked = match parent {
        Messageable::AssistantThread(id) => threads::lock_path(session, id),
        Messageable::Chat(id) => chats::lock_path(session, id),
    }?;
    news::tell(session, &[News::Turn(parent)])?;
    Ok(locked)
}

/// Locks a conversation without taking a number.
pub(crate) fn hold(session: &mut dyn Session, parent: Messageable) -> Result<()> {
    match parent {
        Messageable::AssistantThread(id) => threads::hold(session, id),
        Messageable::Chat(id) => chats::hold(session, id),
    }
}

/// Says which turn the next one follows; `None`: the one with the highest number.
pub(crate) fn set_head(
    session: &mut dyn Session,
    parent: Messageable,
    head: Option<i64>,
) -> Result<()> {
    match parent {
        Messageable::AssistantThread(id) => threads::set_head(session, id, head),
        Messageable::Chat(id) => chats::set_head(session, id, head),
    }
}

/// Who owns a thread or chat; `None` when it is gone.
pub(crate) fn owner(
    session: &mut dyn Session,
    parent: Messageable,
) -> Result<Option<(String, String)>> {
    use ai_engine_assistant_threads::dsl as threads;
    use ai_engine_chats::dsl as chats;
    Ok(match parent {
        Messageable::AssistantThread(id) => {
            on!(session, |conn| threads::ai_engine_assistant_threads
                .find(id)
                .select((threads::threadable_type, threads::threadable_id))
                .first_row()
                .get_result(conn)
                .optional())?
        }
        Messageable::Chat(id) => on!(session, |conn| chats::ai_engine_chats
            .find(id)
            .select((chats::chattable_type, chats::chattable_id))
            .first_row()
            .get_result(conn)
            .optional())?,
    })
}
