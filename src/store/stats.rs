//! What the database holds of work that is not done, in one statement. Its conditions are written out, so that the partial index of
//! unannounced runs serves them; ended runs, of which there are many, are not looked at.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::session::{Session, on};
use crate::error::Result;
use crate::model::{Backlog, DatabaseStats, utc_now};

/// Of each kind 10,000 are counted at most: a backlog must not make it dear to look at.
macro_rules! counted {
    ($what:literal, $since:literal, $from:literal) => {
        concat!(
            "SELECT '",
            $what,
            "' AS what, count(*) AS count, min(since) AS oldest \
             FROM (SELECT ",
            $since,
            " AS since FROM ",
            $from,
            " LIMIT 10000) AS ",
            $what
        )
    };
}

const ALL: &str = concat!(
    counted!(
        "queued",
        "created_at",
        "ai_engine_runs WHERE announced_at IS NULL AND status = 'queued'"
    ),
    " UNION ALL ",
    counted!(
        "in_progress",
        "coalesce(started_at, created_at)",
        "ai_engine_runs WHERE announced_at IS NULL AND status = 'in_progress'"
    ),
    " UNION ALL ",
    counted!(
        "requires_action",
        "updated_at",
        "ai_engine_runs WHERE announced_at IS NULL AND status = 'requires_action'"
    ),
    " UNION ALL ",
    counted!(
        "unannounced",
        "coalesce(finished_at, updated_at)",
        "ai_engine_runs WHERE announced_at IS NULL \
         AND status IN ('completed', 'incomplete', 'failed', 'cancelled')"
    ),
    " UNION ALL ",
    counted!("remote_deletions", "created_at", "ai_engine_remote_deletions"),
);

#[derive(Debug, QueryableByName)]
struct Counted {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<Timestamp>)]
    oldest: Option<NaiveDateTime>,
}

pub(crate) fn look(session: &mut dyn Session) -> Result<DatabaseStats> {
    let rows: Vec<Counted> = on!(session, |conn| diesel::sql_query(ALL).load(conn))?;
    let now = utc_now();
    let of = |what: &str| {
        let row = rows.iter().find(|row| row.what == what);
        row.map_or_else(Backlog::default, |row| {
            // Another process's clock may be ahead.
            let age = row.oldest.map(|oldest| (now - oldest).num_milliseconds().max(0));
            let whole = |number: i64| u64::try_from(number).unwrap_or_default();
            Backlog::new(whole(row.count), age.map(whole))
        })
    };
    Ok(DatabaseStats {
        queued: of("queued"),
        in_progress: of("in_progress"),
        requires_action: of("requires_action"),
        unannounced: of("unannounced"),
        remote_deletions: of("remote_deletions"),
    })
}
