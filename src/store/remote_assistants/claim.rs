//! One process has an assistant to itself while it asks the provider, and notes what became of it.

use diesel::prelude::*;

use super::{Providers, Theirs, lock, note_deletion};
use crate::error::Result;
use crate::model::{AssistantDefinition, Service};
use crate::schema::ai_engine_assistants::dsl as assistants;
use crate::store::clock;
use crate::store::outbox::{self, TRY_MS};
use crate::store::session::{Conn, Session, on};
use crate::store::update::update;

/// What became of a claim.
#[derive(Debug)]
pub(crate) enum Claim {
    /// For [`TRY_MS`] nobody else is given it.
    Taken(Box<Claimed>),
    /// Its definition names a provider elsewhere. What it has here is left to the outbox.
    Elsewhere,
    /// It is gone, another process or a transaction of a host's has it, or it is in step already.
    NotNow,
}

/// What a process has to itself until the claim ends.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) theirs: Theirs,
    pub(crate) key: String,
    /// When it ends: nobody else's ends then.
    claim: i64,
}

/// From so many tries on, an earlier one was not answered and may have been carried out, or may be yet.
const IN_DOUBT: i64 = 2;
/// Pairs of metadata of an assistant there.
const MOST_METADATA: usize = 16;

impl Claimed {
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.theirs.remote_attempts >= IN_DOUBT
    }

    /// Whether one with this definition has room for the key: it cannot be looked for when it has all pairs of the host's own.
    pub(crate) fn takes_the_key(definition: &AssistantDefinition) -> bool {
        definition.metadata.len() < MOST_METADATA
    }
}

/// Takes an assistant, whether it is due or not. `doubted`: also one that is in step, as far as is known.
pub(crate) fn claim(
    session: &mut dyn Session,
    id: i64,
    at: &Service,
    of: &Providers,
    (new_key, doubted): (&str, bool),
) -> Result<Claim> {
    let Some(mut theirs) = lock_if_free(session, id)? else { return Ok(Claim::NotNow) };
    let now = clock::now_ms(session)?;
    if theirs.is_claimed(now) {
        return Ok(Claim::NotNow);
    }
    let (is_here, provider) = (theirs.is_at(at), theirs.provider());
    let row = assistants::ai_engine_assistants.find(id);
    // The copy is what is looked for.
    let named = assistants::remote_provider.eq(&provider);
    if !of.are_here(provider.as_deref()) {
        if is_here && of.are_elsewhere(provider.as_deref()) {
            note_deletion(session, &theirs)?;
            let nowhere = (
                named,
                assistants::remote_id.eq(None::<String>),
                assistants::remote_version.eq(None::<i64>),
                assistants::endpoint.eq(None::<String>),
                assistants::protocol.eq(None::<String>),
                assistants::remote_key.eq(None::<String>),
                assistants::remote_claim_ends_at.eq(None::<i64>),
                assistants::remote_attempts.eq(0),
                assistants::remote_error.eq(None::<String>),
            );
            on!(session, |conn| update(row).set(nowhere).execute(conn))?;
        } else {
            on!(session, |conn| update(row).set(named).execute(conn))?;
        }
        return Ok(Claim::Elsewhere);
    }
    // Somebody else may have done it since it was looked for.
    if !doubted && theirs.remote_due_at.is_none() && theirs.in_step(at).is_some() {
        return Ok(Claim::NotNow);
    }
    if !is_here {
        note_deletion(session, &theirs)?;
        (theirs.remote_id, theirs.remote_version, theirs.remote_key) = (None, None, None);
        theirs.remote_attempts = 0;
    }
    let key = theirs.remote_key.clone().unwrap_or_else(|| new_key.to_owned());
    // Unlike that of whoever had it before.
    let claim = now.saturating_add(TRY_MS).max(theirs.remote_claim_ends_at.unwrap_or_default() + 1);
    // Who asks before it is due makes nobody wait longer for the next try.
    let is_due = theirs.remote_due_at.is_none_or(|due| due <= now);
    if is_due || theirs.remote_attempts < IN_DOUBT {
        theirs.remote_attempts += 1;
    }
    let change = (
        named,
        assistants::remote_id.eq(&theirs.remote_id),
        assistants::remote_version.eq(theirs.remote_version),
        assistants::endpoint.eq(&*at.endpoint),
        assistants::protocol.eq(&*at.protocol),
        assistants::remote_key.eq(&key),
        assistants::remote_due_at.eq(theirs.remote_due_at.unwrap_or(now)),
        assistants::remote_claim_ends_at.eq(claim),
        assistants::remote_attempts.eq(theirs.remote_attempts),
    );
    on!(session, |conn| update(row).set(change).execute(conn))?;
    Ok(Claim::Taken(Box::new(Claimed { theirs, key, claim })))
}

/// Notes what the provider has now. What is not used goes to the outbox: the row is gone, or another process has it.
pub(crate) fn done(
    session: &mut dyn Session,
    claimed: &Claimed,
    at: &Service,
    remote_id: &str,
    further: &[String],
) -> Result<()> {
    for unused in further.iter().filter(|further| *further != remote_id) {
        outbox::note_assistant(session, unused, at)?;
    }
    let later = clock::now_ms(session)?.saturating_add(TRY_MS);
    let in_doubt = claimed.is_in_doubt();
    if in_doubt {
        // What was not answered may have been carried out after it was looked for.
        outbox::note_assistants_of_key(session, &claimed.key, at, later)?;
    }
    let now = match holder(session, claimed)? {
        Holder::Us(now) => now,
        Holder::Nobody => return outbox::note_assistant(session, remote_id, at),
        Holder::Another(now) => {
            // Whoever has it finds this very one, or has made another.
            outbox::note_assistants_of_key(session, &claimed.key, at, later)?;
            let definition = claimed.theirs.definition.read();
            let is_found = definition.is_ok_and(|told| Claimed::takes_the_key(&told));
            if !is_found && now.remote_id.as_deref() != Some(remote_id) {
                outbox::note_assistant(session, remote_id, at)?;
            }
            return doubt(session, &now);
        }
    };
    if let Some(before) = claimed.theirs.remote_id.as_ref().filter(|before| *before != remote_id) {
        // It was not found, which may have been said in error.
        outbox::note_assistant(session, before, at)?;
    }
    let version = claimed.theirs.version;
    // A change that was not answered may still be carried out, and is then undone.
    let again = in_doubt.then_some(later);
    let due = if now.version == version { again } else { now.remote_due_at };
    let change = (
        assistants::remote_id.eq(remote_id),
        assistants::remote_version.eq(version),
        assistants::remote_due_at.eq(due),
        assistants::remote_claim_ends_at.eq(None::<i64>),
        assistants::remote_attempts.eq(0),
        assistants::remote_error.eq(None::<String>),
    );
    on!(session, |conn| update(assistants::ai_engine_assistants.find(now.id))
        .set(change)
        .execute(conn))?;
    Ok(())
}

/// Who has what was claimed.
enum Holder {
    Us(Theirs),
    /// The claim had ended: another process may have changed the same one there.
    Another(Theirs),
    /// The row is gone, or is about another one there.
    Nobody,
}

fn holder(session: &mut dyn Session, claimed: &Claimed) -> Result<Holder> {
    Ok(match lock(session, claimed.theirs.id)? {
        Some(now) if now.remote_key.as_ref() != Some(&claimed.key) => Holder::Nobody,
        Some(now) if now.remote_claim_ends_at == Some(claimed.claim) => Holder::Us(now),
        Some(now) => Holder::Another(now),
        None => Holder::Nobody,
    })
}

/// What was sent late may be what is there now, so it is not known to be in step.
fn doubt(session: &mut dyn Session, now: &Theirs) -> Result<()> {
    let change = (assistants::remote_version.eq(None::<i64>), assistants::remote_due_at.eq(0));
    on!(session, |conn| update(assistants::ai_engine_assistants.find(now.id))
        .set(change)
        .execute(conn))?;
    Ok(())
}

/// Notes why a try failed, and when the next one may be made.
pub(crate) fn failed(session: &mut dyn Session, claimed: &Claimed, error: &str) -> Result<()> {
    let id = claimed.theirs.id;
    let now = match holder(session, claimed)? {
        Holder::Us(now) => now,
        Holder::Another(now) => return doubt(session, &now),
        Holder::Nobody => return Ok(()),
    };
    // One that was changed meanwhile is not what failed.
    let wait =
        if now.version == claimed.theirs.version { outbox::wait(now.remote_attempts) } else { 0 };
    let change = (
        assistants::remote_due_at.eq(clock::now_ms(session)?.saturating_add(wait)),
        assistants::remote_claim_ends_at.eq(None::<i64>),
        assistants::remote_error.eq(error),
    );
    on!(session, |conn| update(assistants::ai_engine_assistants.find(id))
        .set(change)
        .execute(conn))?;
    Ok(())
}

/// The same as [`lock`], unless somebody has it: a host's transaction may hold it for long.
fn lock_if_free(session: &mut dyn Session, id: i64) -> Result<Option<Theirs>> {
    let row = assistants::ai_engine_assistants.find(id);
    Ok(match session.conn() {
        // Writers are alone on SQLite.
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => row.select(Theirs::as_select()).first(conn).optional()?,
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => {
            let free = row.select(Theirs::as_select()).for_no_key_update().skip_locked();
            free.first(conn).optional()?
        }
    })
}
