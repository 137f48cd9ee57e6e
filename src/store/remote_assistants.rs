//! The provider's own assistants: what is to be done about one is noted on the row of ours, in the transaction that changes it.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::clock;
use super::first_row::First;
use super::outbox::{self, TRY_MS};
use super::session::{Conn, Session, on};
use super::update::update;
use crate::error::Result;
use crate::model::{AssistantDefinition, Service, StoredDefinition};
use crate::schema::ai_engine_assistants::{self, dsl as assistants};

/// What the provider has of an assistant, by its row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = ai_engine_assistants)]
pub(crate) struct Theirs {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) definition: StoredDefinition,
    pub(crate) remote_id: Option<String>,
    remote_version: Option<i64>,
    endpoint: Option<String>,
    protocol: Option<String>,
    /// The provider that the definition names.
    remote_provider: Option<String>,
    remote_key: Option<String>,
    pub(crate) remote_due_at: Option<i64>,
    remote_claim_ends_at: Option<i64>,
    pub(crate) remote_attempts: i64,
    pub(crate) remote_error: Option<String>,
}

impl Theirs {
    /// The provider that the definition names. A process of the version before stored no copy of that.
    pub(crate) fn provider(&self) -> Option<String> {
        match self.definition.read() {
            Ok(definition) => definition.provider,
            Err(_) => self.remote_provider.clone(),
        }
    }

    pub(crate) fn is_at(&self, service: &Service) -> bool {
        service.is(self.endpoint.as_deref(), self.protocol.as_deref())
    }

    /// Its id at this service, where it is as ours is.
    pub(crate) fn in_step(&self, service: &Service) -> Option<&str> {
        let id = self.remote_id.as_deref().filter(|_| self.is_at(service))?;
        (self.remote_version == Some(self.version)).then_some(id)
    }

    /// Whether a process has it to itself.
    pub(crate) fn is_claimed(&self, now: i64) -> bool {
        self.remote_claim_ends_at.is_some_and(|ends| ends > now)
    }

    /// Whether it failed a moment ago.
    pub(crate) fn is_backing_off(&self, now: i64) -> bool {
        self.remote_error.is_some() && self.remote_due_at.is_some_and(|due| due > now)
    }

    /// The service of which it is known that there is one, or may be.
    fn service(&self) -> Option<Service> {
        Service::stored(self.endpoint.clone(), self.protocol.clone())
    }
}

/// The providers of an engine, by whether they reach a service. The default one is among them under the empty name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Providers {
    here: Vec<String>,
    elsewhere: Vec<String>,
}

impl Providers {
    /// `None`: the default one.
    pub(crate) fn add(&mut self, name: Option<&str>, is_here: bool) {
        let names = if is_here { &mut self.here } else { &mut self.elsewhere };
        names.push(name.unwrap_or_default().to_owned());
    }

    fn are_here(&self, name: Option<&str>) -> bool {
        self.here.iter().any(|known| known == name.unwrap_or_default())
    }

    fn are_elsewhere(&self, name: Option<&str>) -> bool {
        self.elsewhere.iter().any(|known| known == name.unwrap_or_default())
    }
}

/// One as it is now, and the time by the database.
pub(crate) fn look(session: &mut dyn Session, id: i64) -> Result<Option<(Theirs, i64)>> {
    let now = clock::now_ms(session)?;
    Ok(find(session, id)?.map(|theirs| (theirs, now)))
}

fn find(session: &mut dyn Session, id: i64) -> Result<Option<Theirs>> {
    Ok(on!(session, |conn| assistants::ai_engine_assistants
        .find(id)
        .select(Theirs::as_select())
        .first_row()
        .get_result(conn)
        .optional())?)
}

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
    let due = match now.version == version {
        // A change that was not answered may still be carried out, and is then undone.
        true => in_doubt.then_some(later),
        false => now.remote_due_at,
    };
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

/// Notes the deletion of what the provider has of one, or may have: a request may be under way.
pub(super) fn note_deletion(session: &mut dyn Session, theirs: &Theirs) -> Result<()> {
    let Some(at) = theirs.service() else { return Ok(()) };
    if let Some(id) = &theirs.remote_id {
        outbox::note_assistant(session, id, &at)?;
    }
    let Some(key) = theirs.remote_key.as_ref().filter(|_| theirs.remote_attempts > 0) else {
        return Ok(());
    };
    // What was asked for may be carried out late.
    let later = clock::now_ms(session)?.saturating_add(TRY_MS);
    let later = theirs.remote_claim_ends_at.map_or(later, |ends| ends.max(later));
    outbox::note_assistants_of_key(session, key, &at, later)
}

/// The one that is used of those that carry a key; `Err`: a process is just finding out which.
pub(crate) fn used_of_key(
    session: &mut dyn Session,
    key: &str,
) -> Result<std::result::Result<Option<String>, Claimant>> {
    let now = clock::now_ms(session)?;
    let user: Option<Theirs> = on!(session, |conn| assistants::ai_engine_assistants
        .filter(assistants::remote_key.eq(key))
        .select(Theirs::as_select())
        .first_row()
        .get_result(conn)
        .optional())?;
    Ok(match user {
        Some(user) if user.is_claimed(now) => Err(Claimant),
        user => Ok(user.and_then(|user| user.remote_id)),
    })
}

/// A process has an assistant to itself.
#[derive(Debug)]
pub(crate) struct Claimant;

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

/// The row as it is now and stays until the transaction ends.
pub(super) fn lock(session: &mut dyn Session, id: i64) -> Result<Option<Theirs>> {
    let row = assistants::ai_engine_assistants.find(id);
    Ok(match session.conn() {
        // Writers are alone on SQLite.
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => row.select(Theirs::as_select()).first(conn).optional()?,
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => {
            row.select(Theirs::as_select()).for_no_key_update().first(conn).optional()?
        }
    })
}
