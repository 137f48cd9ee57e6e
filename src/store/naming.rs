//! Titles and metadata of threads and chats. None of these statements takes a turn's number, nor is any an activity.

use diesel::prelude::*;

use super::session::{Session, on};
use super::update::update;
use crate::error::{Error, Result};
use crate::model::{
    AssistantThread, Chat, Messageable, StoredMetadata, TitleAuthor, last_activity, utc_now,
};
use crate::schema::{ai_engine_assistant_threads, ai_engine_chats};

/// A conversation that can be named.
pub(crate) trait Nameable: Sized {
    /// Gives it a person's title, or takes any title from it.
    fn rename(session: &mut dyn Session, id: i64, title: Option<&str>) -> Result<Self>;

    fn set_metadata(session: &mut dyn Session, id: i64, metadata: &StoredMetadata) -> Result<Self>;
}

macro_rules! nameable {
    ($module:ident, $row:ty, $table:ident, $what:literal) => {
        mod $module {
            use super::$table::dsl as t;
            use super::*;

            /// Changed, but for its activity: that of a row of an earlier version is `updated_at` until now.
            macro_rules! touched {
                () => {
                    (
                        t::updated_at.eq(utc_now()),
                        t::last_activity_at
                            .eq(last_activity(t::last_activity_at, t::updated_at).nullable()),
                    )
                };
            }

            impl Nameable for $row {
                fn rename(session: &mut dyn Session, id: i64, title: Option<&str>) -> Result<Self> {
                    let by = title.map(|_| TitleAuthor::Person);
                    on!(session, |conn| update(t::$table.find(id))
                        .set((t::title.eq(title), t::title_by.eq(by), touched!()))
                        .returning(<$row>::as_returning())
                        .get_result(conn)
                        .optional())?
                    .ok_or_else(|| Error::not_found($what, id))
                }

                fn set_metadata(
                    session: &mut dyn Session,
                    id: i64,
                    metadata: &StoredMetadata,
                ) -> Result<Self> {
                    on!(session, |conn| update(t::$table.find(id))
                        .set((t::metadata.eq(metadata), touched!()))
                        .returning(<$row>::as_returning())
                        .get_result(conn)
                        .optional())?
                    .ok_or_else(|| Error::not_found($what, id))
                }
            }

            pub(super) fn is_untitled(session: &mut dyn Session, id: i64) -> Result<bool> {
                let untitled = t::$table.find(id).filter(t::title.is_null());
                Ok(on!(session, |conn| diesel::select(diesel::dsl::exists(untitled))
                    .get_result(conn))?)
            }

            pub(super) fn title_by_model(
                session: &mut dyn Session,
                id: i64,
                title: &str,
            ) -> Result<bool> {
                let untitled = t::$table.find(id).filter(t::title.is_null());
                let changed = on!(session, |conn| update(untitled)
                    .set((t::title.eq(title), t::title_by.eq(TitleAuthor::Model), touched!()))
                    .execute(conn))?;
                Ok(changed > 0)
            }
        }
    };
}

nameable!(threads, AssistantThread, ai_engine_assistant_threads, "assistant thread");
nameable!(chats, Chat, ai_engine_chats, "chat");

/// Whether a conversation is there and has no title.
pub(crate) fn is_untitled(session: &mut dyn Session, of: Messageable) -> Result<bool> {
    match of {
        Messageable::AssistantThread(id) => threads::is_untitled(session, id),
        Messageable::Chat(id) => chats::is_untitled(session, id),
    }
}

/// Gives a conversation a model's title, if it has none: a person's stays, also one that was given a moment ago. Returns whether
/// it was given.
pub(crate) fn title_by_model(
    session: &mut dyn Session,
    of: Messageable,
    title: &str,
) -> Result<bool> {
    match of {
        Messageable::AssistantThread(id) => threads::title_by_model(session, id, title),
        Messageable::Chat(id) => chats::title_by_model(session, id, title),
    }
}
