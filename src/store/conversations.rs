//! The provider's conversation of a thread, which one service keeps: the thread names it, or none.

use diesel::prelude::*;

use super::first_row::First;
use super::session::{Session, on};
use super::update::update;
use super::{held, outbox};
use crate::error::Result;
use crate::model::{Service, utc_now};
use crate::schema::ai_engine_assistant_threads::dsl as threads;

/// The remote conversation of a thread, if it was minted at this service.
pub(crate) fn at(session: &mut dyn Session, thread: i64, at: &Service) -> Result<Option<String>> {
    let found: Option<Option<String>> = on!(session, |conn| threads::ai_engine_assistant_threads
        .find(thread)
        .filter(threads::endpoint.eq(&*at.endpoint))
        .filter(threads::protocol.eq(&*at.protocol))
        .select(threads::remote_id)
        .first_row()
        .get_result(conn)
        .optional())?;
    Ok(found.flatten())
}

/// What becomes of the conversation that a thread has at another service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    /// The thread leaves it.
    GoesToTheOutbox,
    /// It stays: a run may be using it.
    Stays,
}

/// Notes the conversation just minted for a thread, and returns the one it is to use here: another process may have minted
/// one meanwhile, which may be in use already. `None`: the thread is gone, or stays with the one it has elsewhere. A conversation
/// that is not used, or not any more, goes to the outbox: its id would be forgotten otherwise. What the thread's old one held is
/// not in the new one.
pub(crate) fn set(
    session: &mut dyn Session,
    thread: i64,
    remote_id: &str,
    at: &Service,
    other: Other,
) -> Result<Option<String>> {
    let now = utc_now();
    // An UPDATE locks the row, and tells whether it is there.
    let touched: Option<(Option<String>, Option<String>, Option<String>)> =
        on!(session, |conn| update(threads::ai_engine_assistant_threads.find(thread))
            .set(threads::updated_at.eq(now))
            .returning((threads::remote_id, threads::endpoint, threads::protocol))
            .get_result(conn)
            .optional())?;
    let used = match touched {
        None => None,
        Some((Some(used), endpoint, protocol))
            if at.is(endpoint.as_deref(), protocol.as_deref()) =>
        {
            Some(used)
        }
        Some((Some(_), ..)) if other == Other::Stays => None,
        Some((old, ..)) => {
            if old.is_some() {
                outbox::note_conversation_of(session, thread)?;
                held::forget(session, thread)?;
            }
            on!(session, |conn| update(threads::ai_engine_assistant_threads.find(thread))
                .set((
                    threads::remote_id.eq(remote_id),
                    threads::endpoint.eq(&*at.endpoint),
                    threads::protocol.eq(&*at.protocol),
                ))
                .execute(conn))?;
            Some(remote_id.to_owned())
        }
    };
    if used.as_deref() != Some(remote_id) {
        outbox::note_conversation(session, remote_id, at)?;
    }
    Ok(used)
}

/// Forgets the conversation of a thread that its provider no longer knows, and that it held anything.
pub(crate) fn forget(session: &mut dyn Session, thread: i64) -> Result<()> {
    on!(session, |conn| update(threads::ai_engine_assistant_threads.find(thread))
        .set((
            threads::remote_id.eq(None::<String>),
            threads::endpoint.eq(None::<String>),
            threads::protocol.eq(None::<String>)
        ))
        .execute(conn))?;
    held::forget(session, thread)
}
