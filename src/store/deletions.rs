//! The outbox of remote deletions: written in the transaction that deletes locally, so that no remote id
//! we stored is forgotten.

use diesel::prelude::*;

use super::session::{Session, of, on};
use crate::error::Result;
use crate::model::{Messageable, text_enum, utc_now};
use crate::schema::ai_engine_remote_deletions::{self, dsl as deletions};

text_enum! {
    /// What is to be deleted at the provider.
    pub(crate) enum RemoteKind {
        /// A stored response.
        Response => "response",
        /// A conversation; its items go before it.
        Conversation => "conversation",
    }
}

/// One remote object to delete.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = ai_engine_remote_deletions)]
pub(crate) struct Deletion {
    pub(crate) id: i64,
    pub(crate) kind: RemoteKind,
    pub(crate) remote_id: String,
}

/// Notes all that the provider keeps of a thread or chat.
pub(crate) fn note(session: &mut dyn Session, parent: Messageable) -> Result<()> {
    use crate::schema::ai_engine_responses::dsl as responses;
    use crate::schema::ai_engine_runs::dsl as runs;

    let found: Vec<(Option<String>, String, String)> =
        on!(session, |conn| responses::ai_engine_responses
            .inner_join(runs::ai_engine_runs)
            .filter(responses::stored.eq(true))
            .filter(of!(runs, parent))
            .select((responses::remote_id, responses::endpoint, responses::protocol))
            .order(responses::id)
            .load(conn))?;
    for (remote_id, endpoint, protocol) in found {
        if let Some(remote_id) = remote_id {
            insert(session, RemoteKind::Response, &remote_id, &endpoint, &protocol)?;
        }
    }
    match parent {
        Messageable::AssistantThread(id) => note_conversation_of(session, id),
        // Chats are local.
        Messageable::Chat(_) => Ok(()),
    }
}

/// Notes the conversation of a thread, if it has one.
pub(crate) fn note_conversation_of(session: &mut dyn Session, thread: i64) -> Result<()> {
    use crate::schema::ai_engine_assistant_threads::dsl as threads;
    type Remote = (Option<String>, Option<String>, Option<String>);
    let found: Option<Remote> = on!(session, |conn| threads::ai_engine_assistant_threads
        .find(thread)
        .select((threads::remote_id, threads::endpoint, threads::protocol))
        .first(conn)
        .optional())?;
    match found {
        Some((Some(remote_id), Some(endpoint), Some(protocol))) => {
            note_conversation(session, &remote_id, &endpoint, &protocol)
        }
        _ => Ok(()),
    }
}

pub(crate) fn note_conversation(
    session: &mut dyn Session,
    remote_id: &str,
    endpoint: &str,
    protocol: &str,
) -> Result<()> {
    insert(session, RemoteKind::Conversation, remote_id, endpoint, protocol)
}

fn insert(
    session: &mut dyn Session,
    kind: RemoteKind,
    remote_id: &str,
    endpoint: &str,
    protocol: &str,
) -> Result<()> {
    let row = (
        deletions::kind.eq(kind),
        deletions::remote_id.eq(remote_id),
        deletions::endpoint.eq(endpoint),
        deletions::protocol.eq(protocol),
        deletions::created_at.eq(utc_now()),
    );
    on!(session, |conn| diesel::insert_into(deletions::ai_engine_remote_deletions)
        .values(row)
        .execute(conn))?;
    Ok(())
}

/// The oldest open deletions at `endpoint` after the row `after`.
pub(crate) fn open(session: &mut dyn Session, endpoint: &str, after: i64) -> Result<Vec<Deletion>> {
    Ok(on!(session, |conn| deletions::ai_engine_remote_deletions
        .filter(deletions::endpoint.eq(endpoint))
        .filter(deletions::id.gt(after))
        .order(deletions::id)
        .limit(100)
        .select(Deletion::as_select())
        .load(conn))?)
}

pub(crate) fn done(session: &mut dyn Session, id: i64) -> Result<()> {
    on!(session, |conn| diesel::delete(deletions::ai_engine_remote_deletions.find(id))
        .execute(conn))?;
    Ok(())
}

pub(crate) fn failed(session: &mut dyn Session, id: i64, error: &str) -> Result<()> {
    let change = (deletions::attempts.eq(deletions::attempts + 1), deletions::last_error.eq(error));
    on!(session, |conn| diesel::update(deletions::ai_engine_remote_deletions.find(id))
        .set(change)
        .execute(conn))?;
    Ok(())
}
