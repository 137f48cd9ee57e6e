//! The provider's own assistants: what is to be done about one is noted on the row of ours, in the transaction that changes it.

use diesel::prelude::*;

use super::clock;
use super::first_row::First;
use super::outbox::{self, TRY_MS};
use super::session::{Conn, Session, on};
use super::update::update;
use crate::error::Result;
use crate::model::{Service, StoredDefinition};
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

    /// The service of which it is known that there is one, or may be.
    fn service(&self) -> Option<Service> {
        Service::stored(self.endpoint.clone(), self.protocol.clone())
    }
}

/// The assistants whose provider is one of these.
#[derive(Debug, Clone)]
pub(crate) struct Providers {
    pub(crate) names: Vec<String>,
    /// Those that name none are among them.
    pub(crate) default: bool,
}

pub(crate) fn find(session: &mut dyn Session, id: i64) -> Result<Option<Theirs>> {
    Ok(on!(session, |conn| assistants::ai_engine_assistants
        .find(id)
        .select(Theirs::as_select())
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// Those that are noted, of these providers.
macro_rules! open {
    ($of:expr) => {
        assistants::ai_engine_assistants.filter(assistants::remote_due_at.is_not_null()).filter(
            assistants::remote_provider.eq_any(&$of.names).or(assistants::remote_provider
                .is_null()
                .and(diesel::dsl::sql::<diesel::sql_types::Bool>(if $of.default {
                    "1 = 1"
                } else {
                    "1 = 0"
                }))),
        )
    };
}

/// The oldest that is due and that nobody else has, by now.
pub(crate) fn due(session: &mut dyn Session, of: &Providers) -> Result<Option<i64>> {
    let now = clock::now_ms(session)?;
    let due = open!(of)
        .filter(assistants::remote_due_at.le(now))
        .filter(
            assistants::remote_claim_ends_at.is_null().or(assistants::remote_claim_ends_at.le(now)),
        )
        .order((assistants::remote_due_at, assistants::id))
        .select(assistants::id);
    Ok(on!(session, |conn| due.first(conn).optional())?)
}

/// In how many milliseconds there may be something to do; `None`: nothing is noted.
pub(crate) fn next_due(session: &mut dyn Session, of: &Providers) -> Result<Option<i64>> {
    let now = clock::now_ms(session)?;
    let next: Option<(Option<i64>, Option<i64>)> = on!(session, |conn| open!(of)
        .order((assistants::remote_due_at, assistants::id))
        .select((assistants::remote_due_at, assistants::remote_claim_ends_at))
        .first(conn)
        .optional())?;
    let next = next.map(|(due, claimed)| due.max(claimed).unwrap_or_default());
    Ok(next.map(|next| next.saturating_sub(now).max(0)))
}

/// What a process has to itself until the claim ends.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) theirs: Theirs,
    pub(crate) key: String,
    /// When it ends: nobody else's ends then.
    claim: i64,
}

/// Takes an assistant, whether it is due or not: for [`TRY_MS`] nobody else is given it. `None`: it is gone, or another process has
/// it. One at another service is left to the outbox.
pub(crate) fn claim(
    session: &mut dyn Session,
    id: i64,
    at: &Service,
    new_key: &str,
) -> Result<Option<Claimed>> {
    let Some(mut theirs) = lock(session, id)? else { return Ok(None) };
    let now = clock::now_ms(session)?;
    if theirs.remote_claim_ends_at.is_some_and(|ends| ends > now) {
        return Ok(None);
    }
    if !theirs.is_at(at) {
        note_deletion(session, &theirs)?;
        (theirs.remote_id, theirs.remote_version, theirs.remote_key) = (None, None, None);
        theirs.remote_attempts = 0;
    }
    let key = theirs.remote_key.clone().unwrap_or_else(|| new_key.to_owned());
    // Unlike that of whoever had it before.
    let claim = now.saturating_add(TRY_MS).max(theirs.remote_claim_ends_at.unwrap_or_default() + 1);
    theirs.remote_attempts += 1;
    let change = (
        assistants::remote_id.eq(&theirs.remote_id),
        assistants::remote_version.eq(theirs.remote_version),
        assistants::endpoint.eq(&*at.endpoint),
        assistants::protocol.eq(&*at.protocol),
        assistants::remote_key.eq(&key),
        assistants::remote_provider.eq(theirs.provider()),
        assistants::remote_due_at.eq(theirs.remote_due_at.unwrap_or(now)),
        assistants::remote_claim_ends_at.eq(claim),
        assistants::remote_attempts.eq(theirs.remote_attempts),
    );
    on!(session, |conn| update(assistants::ai_engine_assistants.find(id))
        .set(change)
        .execute(conn))?;
    Ok(Some(Claimed { theirs, key, claim }))
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
    let now = lock(session, claimed.theirs.id)?;
    let Some(now) = now.filter(|now| now.remote_claim_ends_at == Some(claimed.claim)) else {
        // Whoever has it may have found this very one.
        let is_used = find(session, claimed.theirs.id)?
            .is_some_and(|now| now.is_at(at) && now.remote_id.as_deref() == Some(remote_id));
        return if is_used { Ok(()) } else { outbox::note_assistant(session, remote_id, at) };
    };
    let version = claimed.theirs.version;
    let due = if now.version == version { None } else { now.remote_due_at };
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

/// Notes why a try failed, and when the next one may be made.
pub(crate) fn failed(session: &mut dyn Session, claimed: &Claimed, error: &str) -> Result<()> {
    let id = claimed.theirs.id;
    let now = lock(session, id)?;
    let Some(now) = now.filter(|now| now.remote_claim_ends_at == Some(claimed.claim)) else {
        return Ok(());
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
        return outbox::note_assistant(session, id, &at);
    }
    match &theirs.remote_key {
        Some(key) => outbox::note_assistant_of_key(session, key, &at, theirs.remote_claim_ends_at),
        None => Ok(()),
    }
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
