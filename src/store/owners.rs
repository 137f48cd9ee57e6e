//! The records that rows belong to: which types and ids there are, and how many rows each has.
//!
//! Ids are compared by the database alone, as its indexes order them.

use std::collections::HashMap;

use diesel::dsl::{count_star, min};
use diesel::prelude::*;

use super::session::{Session, on};
use crate::error::Result;
use crate::schema::{ai_engine_assistant_threads, ai_engine_assistants, ai_engine_chats};

/// What belongs to records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belongings {
    Threads,
    Chats,
    Assistants,
}

impl Belongings {
    pub(crate) const ALL: [Self; 3] = [Self::Threads, Self::Chats, Self::Assistants];

    /// The first type of owner after this one.
    pub(crate) fn next_type(
        self,
        session: &mut dyn Session,
        after: Option<&str>,
    ) -> Result<Option<String>> {
        match self {
            Self::Threads => threads::next_type(session, after),
            Self::Chats => chats::next_type(session, after),
            Self::Assistants => assistants::next_type(session, after),
        }
    }

    /// The next ids of owners of this type, each once.
    pub(crate) fn next_ids(
        self,
        session: &mut dyn Session,
        kind: &str,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<String>> {
        match self {
            Self::Threads => threads::next_ids(session, kind, after, limit),
            Self::Chats => chats::next_ids(session, kind, after, limit),
            Self::Assistants => assistants::next_ids(session, kind, after, limit),
        }
    }

    /// How many rows each of these owners has; who has none is left out.
    pub(crate) fn count_of(
        self,
        session: &mut dyn Session,
        kind: &str,
        ids: &[String],
    ) -> Result<HashMap<String, u64>> {
        match self {
            Self::Threads => threads::count_of(session, kind, ids),
            Self::Chats => chats::count_of(session, kind, ids),
            Self::Assistants => assistants::count_of(session, kind, ids),
        }
    }

    /// How many rows owners of this type have.
    pub(crate) fn count_of_type(self, session: &mut dyn Session, kind: &str) -> Result<u64> {
        match self {
            Self::Threads => threads::count_of_type(session, kind),
            Self::Chats => chats::count_of_type(session, kind),
            Self::Assistants => assistants::count_of_type(session, kind),
        }
    }
}

/// A count of rows is never below zero.
fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}

/// The statements that the three tables share.
macro_rules! belongings {
    ($module:ident, $table:ident, $kind:ident, $id:ident) => {
        mod $module {
            use super::$table::dsl as t;
            use super::*;

            pub(super) fn next_type(
                session: &mut dyn Session,
                after: Option<&str>,
            ) -> Result<Option<String>> {
                Ok(match after {
                    Some(after) => on!(session, |conn| t::$table
                        .filter(t::$kind.gt(after))
                        .select(min(t::$kind))
                        .first(conn))?,
                    None => on!(session, |conn| t::$table.select(min(t::$kind)).first(conn))?,
                })
            }

            pub(super) fn next_ids(
                session: &mut dyn Session,
                kind: &str,
                after: Option<&str>,
                limit: i64,
            ) -> Result<Vec<String>> {
                let of_type = t::$table
                    .filter(t::$kind.eq(kind))
                    .select(t::$id)
                    .distinct()
                    .order(t::$id)
                    .limit(limit);
                Ok(match after {
                    Some(after) => {
                        on!(session, |conn| of_type.filter(t::$id.gt(after)).load(conn))?
                    }
                    None => on!(session, |conn| of_type.load(conn))?,
                })
            }

            pub(super) fn count_of(
                session: &mut dyn Session,
                kind: &str,
                ids: &[String],
            ) -> Result<HashMap<String, u64>> {
                let counted: Vec<(String, i64)> = on!(session, |conn| t::$table
                    .filter(t::$kind.eq(kind))
                    .filter(t::$id.eq_any(ids))
                    .group_by(t::$id)
                    .select((t::$id, count_star()))
                    .load(conn))?;
                Ok(counted.into_iter().map(|(id, rows)| (id, count(rows))).collect())
            }

            pub(super) fn count_of_type(session: &mut dyn Session, kind: &str) -> Result<u64> {
                let rows = on!(session, |conn| t::$table
                    .filter(t::$kind.eq(kind))
                    .select(count_star())
                    .first(conn))?;
                Ok(count(rows))
            }
        }
    };
}

belongings!(threads, ai_engine_assistant_threads, threadable_type, threadable_id);
belongings!(chats, ai_engine_chats, chattable_type, chattable_id);
belongings!(assistants, ai_engine_assistants, assistable_type, assistable_id);
