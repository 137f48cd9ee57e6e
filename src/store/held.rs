//! What the provider's conversation of a thread is known to hold of its messages and items.

use diesel::prelude::*;

use super::any_of::any_of;
use super::session::{Session, on};
use super::update::update;
use crate::error::Result;
use crate::model::{RemoteState, Service};
use crate::schema::ai_engine_messages::dsl as messages;
use crate::schema::ai_engine_run_items::dsl as items;
use crate::schema::ai_engine_runs::dsl as runs;

/// Notes what the conversation at a service is known to hold of these.
pub(crate) fn note(
    session: &mut dyn Session,
    (of_messages, of_items): (&[i64], &[i64]),
    state: RemoteState,
    at: &Service,
) -> Result<()> {
    macro_rules! note {
        ($table:ident, $rows:ident, $ids:expr) => {
            // A new conversation is sent all there is, and SQLite limits the variables of a statement.
            for ids in $ids.chunks(1000) {
                let change = (
                    $table::remote_state.eq(state),
                    $table::endpoint.eq(&*at.endpoint),
                    $table::protocol.eq(&*at.protocol),
                );
                on!(session, |conn| update($table::$rows.filter(any_of($table::id, ids)))
                    .set(change)
                    .execute(conn))?;
            }
        };
    }
    note!(messages, ai_engine_messages, of_messages);
    note!(items, ai_engine_run_items, of_items);
    Ok(())
}

/// A message was found there, under this id.
pub(crate) fn found(session: &mut dyn Session, message: i64, remote_id: &str) -> Result<()> {
    let change = (messages::remote_state.eq(RemoteState::Held), messages::remote_id.eq(remote_id));
    on!(session, |conn| update(messages::ai_engine_messages.find(message))
        .set(change)
        .execute(conn))?;
    Ok(())
}

/// The conversation of this thread is gone, and with it all it held.
pub(crate) fn forget(session: &mut dyn Session, thread: i64) -> Result<()> {
    let change =
        (messages::remote_state.eq(RemoteState::Absent), messages::remote_id.eq(None::<String>));
    on!(session, |conn| update(
        messages::ai_engine_messages.filter(messages::assistant_thread_id.eq(thread))
    )
    .set(change)
    .execute(conn))?;
    let of_thread =
        runs::ai_engine_runs.filter(runs::assistant_thread_id.eq(thread)).select(runs::id);
    on!(session, |conn| update(
        items::ai_engine_run_items.filter(items::run_id.eq_any(of_thread))
    )
    .set((items::remote_state.eq(RemoteState::Absent), items::remote_id.eq(None::<String>)))
    .execute(conn))?;
    Ok(())
}
