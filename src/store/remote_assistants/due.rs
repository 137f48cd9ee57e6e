//! Which of them something is to be done about.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Providers;
use crate::error::Result;
use crate::model::Service;
use crate::schema::ai_engine_assistants::dsl as assistants;
use crate::store::clock;
use crate::store::first_row::First;
use crate::store::session::{Session, on};

/// Those that are noted, of these providers.
macro_rules! noted {
    ($names:expr) => {
        assistants::ai_engine_assistants
            .filter(assistants::remote_due_at.is_not_null())
            .filter(sql::<Text>("coalesce(remote_provider, '')").eq_any($names))
    };
}

/// Those among them that were made at a service.
macro_rules! left {
    ($at:expr, $of:expr) => {
        noted!(&$of.elsewhere)
            .filter(assistants::endpoint.eq(&*$at.endpoint))
            .filter(assistants::protocol.eq(&*$at.protocol))
    };
}

/// The oldest of those that are due and that nobody else has, by now.
macro_rules! oldest {
    ($session:expr, $of_them:expr, $now:expr, $but:expr) => {{
        let of_them = $of_them
            .filter(assistants::id.ne_all($but))
            .filter(assistants::remote_due_at.le($now))
            .filter(
                assistants::remote_claim_ends_at
                    .is_null()
                    .or(assistants::remote_claim_ends_at.le($now)),
            )
            .order((assistants::remote_due_at, assistants::id))
            .select(assistants::id);
        let oldest: Option<i64> =
            on!($session, |conn| of_them.first_row().get_result(conn).optional())?;
        oldest
    }};
}

/// When the first of these may be looked at.
macro_rules! earliest {
    ($session:expr, $of_them:expr) => {{
        let earliest = $of_them.select(sql::<Nullable<BigInt>>(
            "min(CASE WHEN remote_claim_ends_at > remote_due_at THEN remote_claim_ends_at ELSE remote_due_at END)",
        ));
        let earliest: Option<i64> = on!($session, |conn| earliest.get_result(conn))?;
        earliest
    }};
}

/// One that something is to be done about at a service: it is to be made there, or to be left, since its definition names a provider
/// elsewhere by now. Not one of `but`.
pub(crate) fn due(
    session: &mut dyn Session,
    at: &Service,
    of: &Providers,
    but: &[i64],
) -> Result<Option<i64>> {
    let now = clock::now_ms(session)?;
    Ok(match oldest!(session, noted!(&of.here), now, but) {
        None => oldest!(session, left!(at, of), now, but),
        due => due,
    })
}

/// In how many milliseconds there may be something to do; `None`: nothing is noted.
pub(crate) fn next_due(
    session: &mut dyn Session,
    at: &Service,
    of: &Providers,
) -> Result<Option<i64>> {
    let now = clock::now_ms(session)?;
    let (here, left) = (earliest!(session, noted!(&of.here)), earliest!(session, left!(at, of)));
    let next = here.into_iter().chain(left).min();
    Ok(next.map(|next| next.saturating_sub(now).max(0)))
}
