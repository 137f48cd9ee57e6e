//! The outbox of remote deletions: written in the transaction that deletes locally, so that no remote id
//! we stored is forgotten.

use diesel::prelude::*;

use super::clock;
use super::first_row::First;
use super::session::{Conn, Session, of, on};
use super::update::update;
use crate::error::Result;
use crate::model::{Messageable, Service, text_enum, utc_now};
use crate::schema::ai_engine_remote_deletions::{self, dsl as deletions};

text_enum! {
    /// What is to be deleted at the provider.
    pub(crate) enum RemoteKind {
        /// A stored response.
        Response => "response",
        /// A conversation; its items go before it.
        Conversation => "conversation",
        /// An assistant.
        Assistant => "assistant",
        /// All assistants that carry a key of ours and are not used: one that was asked for and never answered has no id that we know.
        AssistantsOfKey => "assistants_of_key",
    }
}

/// What this version knows of them: a later one may note others.
const KNOWN: [&str; 4] = [
    RemoteKind::Response.as_str(),
    RemoteKind::Conversation.as_str(),
    RemoteKind::Assistant.as_str(),
    RemoteKind::AssistantsOfKey.as_str(),
];

/// One remote object to delete.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = ai_engine_remote_deletions)]
pub(crate) struct Deletion {
    pub(crate) id: i64,
    pub(crate) kind: RemoteKind,
    pub(crate) remote_id: String,
    /// Tries so far, the one under way included.
    pub(crate) attempts: i64,
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
            note_response(session, &remote_id, &Service::new(endpoint, protocol))?;
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
        .first_row()
        .get_result(conn)
        .optional())?;
    match found {
        Some((Some(remote_id), Some(endpoint), Some(protocol))) => {
            note_conversation(session, &remote_id, &Service::new(endpoint, protocol))
        }
        _ => Ok(()),
    }
}

pub(crate) fn note_conversation(
    session: &mut dyn Session,
    remote_id: &str,
    at: &Service,
) -> Result<()> {
    insert(session, RemoteKind::Conversation, remote_id, at)
}

/// Notes a response.
pub(crate) fn note_response(
    session: &mut dyn Session,
    remote_id: &str,
    at: &Service,
) -> Result<()> {
    insert(session, RemoteKind::Response, remote_id, at)
}

/// Notes what a call makes for itself alone; it is deleted when the call is over, or when it must be.
pub(crate) fn note_own(
    session: &mut dyn Session,
    kind: RemoteKind,
    remote_id: &str,
    at: &Service,
) -> Result<()> {
    // An earlier try may have been committed without our hearing of it.
    if any_of(session, remote_id, at)? {
        return Ok(());
    }
    let due = clock::now_ms(session)?.saturating_add(OWN_MS);
    insert_due(session, kind, remote_id, at, due)
}

/// What a call made for itself.
#[derive(Debug)]
pub(crate) struct MadeOwn {
    /// It may not be noted yet.
    pub(crate) thread: Option<String>,
    /// The key of its assistant.
    pub(crate) key: String,
}

/// A call is over: what it made for itself is deleted, or is to be deleted now.
pub(crate) fn end_own(
    session: &mut dyn Session,
    made: &MadeOwn,
    at: &Service,
    deleted: bool,
) -> Result<()> {
    let ids = made.thread.iter().chain([&made.key]);
    let rows = deletions::ai_engine_remote_deletions
        .filter(deletions::endpoint.eq(&*at.endpoint))
        .filter(deletions::protocol.eq(&*at.protocol))
        .filter(deletions::remote_id.eq_any(ids));
    if deleted {
        on!(session, |conn| diesel::delete(rows).execute(conn))?;
        return Ok(());
    }
    on!(session, |conn| update(rows).set(deletions::next_attempt_at.eq(0)).execute(conn))?;
    match &made.thread {
        Some(thread) if !any_of(session, thread, at)? => {
            insert(session, RemoteKind::Conversation, thread, at)
        }
        _ => Ok(()),
    }
}

/// Whether something with this id is to be deleted there.
fn any_of(session: &mut dyn Session, remote_id: &str, at: &Service) -> Result<bool> {
    let noted = deletions::ai_engine_remote_deletions
        .filter(deletions::endpoint.eq(&*at.endpoint))
        .filter(deletions::protocol.eq(&*at.protocol))
        .filter(deletions::remote_id.eq(remote_id));
    Ok(on!(session, |conn| diesel::select(diesel::dsl::exists(noted)).get_result(conn))?)
}

pub(super) fn note_assistant(
    session: &mut dyn Session,
    remote_id: &str,
    at: &Service,
) -> Result<()> {
    insert(session, RemoteKind::Assistant, remote_id, at)
}

/// Notes those that carry a key and are not used. One may be on its way until `later`.
pub(super) fn note_assistants_of_key(
    session: &mut dyn Session,
    key: &str,
    at: &Service,
    later: i64,
) -> Result<()> {
    insert_due(session, RemoteKind::AssistantsOfKey, key, at, later)
}

fn insert(
    session: &mut dyn Session,
    kind: RemoteKind,
    remote_id: &str,
    at: &Service,
) -> Result<()> {
    insert_due(session, kind, remote_id, at, 0)
}

fn insert_due(
    session: &mut dyn Session,
    kind: RemoteKind,
    remote_id: &str,
    at: &Service,
    due: i64,
) -> Result<()> {
    let row = (
        deletions::next_attempt_at.eq(due),
        deletions::kind.eq(kind),
        deletions::remote_id.eq(remote_id),
        deletions::endpoint.eq(&*at.endpoint),
        deletions::protocol.eq(&*at.protocol),
        deletions::created_at.eq(utc_now()),
    );
    on!(session, |conn| diesel::insert_into(deletions::ai_engine_remote_deletions)
        .values(row)
        .execute(conn))?;
    Ok(())
}

/// When what a call made for itself must be of no use any more, in milliseconds: a run lasts ten minutes at most by the protocol, and
/// waits a minute and a half for others before.
const OWN_MS: i64 = 20 * 60_000;
/// How long one try may take before another process may make its own, in milliseconds.
pub(crate) const TRY_MS: i64 = 60_000;
/// The wait after the first try that failed; it doubles with each further one.
const FIRST_WAIT_MS: i64 = 1_000;
/// The longest wait between two tries.
const LONGEST_WAIT_MS: i64 = 60 * 60 * 1_000;

/// The wait after so many tries that failed, in milliseconds.
pub(super) fn wait(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(30);
    FIRST_WAIT_MS.saturating_mul(1 << doublings).min(LONGEST_WAIT_MS)
}

/// Takes the oldest deletion at a service that is due: for [`TRY_MS`] nobody else is given it.
pub(crate) fn take(session: &mut dyn Session, at: &Service) -> Result<Option<Deletion>> {
    let now = clock::now_ms(session)?;
    let due = deletions::ai_engine_remote_deletions
        .filter(deletions::endpoint.eq(&*at.endpoint))
        .filter(deletions::protocol.eq(&*at.protocol))
        .filter(deletions::kind.eq_any(KNOWN))
        .filter(deletions::next_attempt_at.le(now))
        .order((deletions::next_attempt_at, deletions::id))
        .select(deletions::id);
    let due: Option<i64> = match session.conn() {
        // Writers are alone on SQLite.
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => due.first_row().get_result(conn).optional()?,
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => due.for_update().skip_locked().first(conn).optional()?,
    };
    let Some(id) = due else { return Ok(None) };
    let change = (
        deletions::next_attempt_at.eq(now.saturating_add(TRY_MS)),
        deletions::attempts.eq(deletions::attempts + 1),
    );
    Ok(Some(on!(session, |conn| update(deletions::ai_engine_remote_deletions.find(id))
        .set(change)
        .returning(Deletion::as_returning())
        .get_result(conn))?))
}

/// In how many milliseconds the next deletion at a service is due; `None`: there is none.
pub(crate) fn next_due(session: &mut dyn Session, at: &Service) -> Result<Option<i64>> {
    let now = clock::now_ms(session)?;
    let next: Option<i64> = on!(session, |conn| deletions::ai_engine_remote_deletions
        .filter(deletions::endpoint.eq(&*at.endpoint))
        .filter(deletions::protocol.eq(&*at.protocol))
        .filter(deletions::kind.eq_any(KNOWN))
        .select(diesel::dsl::min(deletions::next_attempt_at))
        .get_result(conn))?;
    Ok(next.map(|next| next.saturating_sub(now).max(0)))
}

pub(crate) fn done(session: &mut dyn Session, id: i64) -> Result<()> {
    on!(session, |conn| diesel::delete(deletions::ai_engine_remote_deletions.find(id))
        .execute(conn))?;
    Ok(())
}

/// Notes why a try failed, and when the next one may be made.
pub(crate) fn failed(session: &mut dyn Session, deletion: &Deletion, error: &str) -> Result<()> {
    let wait = wait(deletion.attempts);
    let change = (
        deletions::next_attempt_at.eq(clock::now_ms(session)?.saturating_add(wait)),
        deletions::last_error.eq(error),
    );
    on!(session, |conn| update(deletions::ai_engine_remote_deletions.find(deletion.id))
        .set(change)
        .execute(conn))?;
    Ok(())
}
