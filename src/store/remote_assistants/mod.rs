//! The provider's own assistants: what is to be done about one is noted on the row of ours, in the transaction that changes it.

mod claim;
mod due;

pub(crate) use claim::{Claim, Claimed, claim, done, failed};
pub(crate) use due::{due, next_due};

use diesel::prelude::*;

use super::clock;
use super::first_row::First;
use super::outbox::{self, TRY_MS};
use super::session::{Conn, Session, on};
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
