//! Rows whose record is gone: hosts delete records in ways that nobody tells the engine of.

use std::collections::VecDeque;

use crate::engine::AiEngine;
use crate::engine::core::{Core, Loader};
use crate::error::Result;
use crate::store::owners::Belongings;
use crate::store::session::Session;

/// How many owners are asked for at once, in one piece of work for the database.
const AT_ONCE: usize = 100;

/// A record that is gone while rows still belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// [`Record::TYPE`](crate::Record::TYPE).
    pub kind: String,
    /// The record's id as text.
    pub id: String,
    /// How many threads it has.
    pub threads: u64,
    /// How many chats.
    pub chats: u64,
    /// Whether it has an assistant: 1 or 0.
    pub assistants: u64,
}

/// A type of records that the engine cannot look for, since its builder was given no loader of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnregisteredType {
    /// [`Record::TYPE`](crate::Record::TYPE).
    pub kind: String,
    /// How many threads belong to records of this type.
    pub threads: u64,
    /// How many chats.
    pub chats: u64,
    /// How many assistants.
    pub assistants: u64,
}

/// The rows whose record is gone, one record after the other: [`AiEngine::orphans`].
#[derive(Debug)]
pub struct Orphans {
    engine: AiEngine,
    /// Where to look on; `None`: everywhere was looked.
    place: Option<Place>,
    found: VecDeque<Result<Orphan>>,
    unregistered: Vec<UnregisteredType>,
}

/// All owners, in order: those of threads, of chats, of assistants; of each the types, and of each type the ids.
#[derive(Debug, Clone)]
struct Place {
    of: usize,
    kind: Option<String>,
    /// The last id that was looked at.
    id: Option<String>,
}

impl AiEngine {
    /// Finds threads, chats and assistants whose record is gone. Whether it is, it asks the loaders that the builder was given
    /// ([`EngineBuilder::owner`](crate::EngineBuilder::owner)): a record is gone when its loader returns `Ok(None)` or Diesel's
    /// `NotFound`. Types without a loader are not looked at; [`Orphans::unregistered`] names them.
    ///
    /// It deletes nothing. [`forget_owner_in`](Self::forget_owner_in) does, for one of them:
    ///
    /// ```no_run
    /// # async fn clean(db: &ai_engine::SqliteDatabase, engine: &ai_engine::AiEngine) -> ai_engine::Result<()> {
    /// let mut orphans = engine.orphans();
    /// while let Some(orphan) = orphans.next().await {
    ///     let orphan = orphan?;
    ///     println!("{} {} left {} threads", orphan.kind, orphan.id, orphan.threads);
    ///     let engine = engine.clone();
    ///     db.transaction(move |conn| engine.forget_owner_in(conn, &orphan.kind, &orphan.id)).await?;
    /// }
    /// for unknown in orphans.unregistered() {
    ///     println!("no loader for {}, which has {} threads", unknown.kind, unknown.threads);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn orphans(&self) -> Orphans {
        Orphans {
            engine: self.clone(),
            place: Some(Place { of: 0, kind: None, id: None }),
            found: VecDeque::new(),
            unregistered: Vec::new(),
        }
    }
}

impl Orphans {
    /// The next record that is gone; `None` when all were looked at. It looks at a hundred records at a time, so what it holds does
    /// not grow with the database. What changes meanwhile may be missed.
    ///
    /// When the loader of one record fails, or its id does not parse ([`Error::OwnerId`](crate::Error::OwnerId)), that error is
    /// returned, and the next call goes on with the others. After any other error there is no more.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future loses nothing, and the next call goes on from here.
    ///
    /// # Errors
    ///
    /// A loader's, or the database's.
    pub async fn next(&mut self) -> Option<Result<Orphan>> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(found);
            }
            let place = self.place.clone()?;
            let core = self.engine.core.clone();
            let looked =
                self.engine.core.store().read(move |session| look(session, &core, &place)).await;
            match looked {
                Ok(looked) => {
                    self.place = looked.next;
                    self.found = looked.found.into();
                    if let Some(kind) = looked.unregistered
                        && !self.unregistered.contains(&kind)
                    {
                        self.unregistered.push(kind);
                    }
                }
                Err(error) => {
                    self.place = None;
                    return Some(Err(error));
                }
            }
        }
    }

    /// The types without a loader that were met so far: all of them once [`next`](Self::next) has returned `None`.
    #[must_use]
    pub fn unregistered(&self) -> &[UnregisteredType] {
        &self.unregistered
    }
}

struct Looked {
    next: Option<Place>,
    found: Vec<Result<Orphan>>,
    unregistered: Option<UnregisteredType>,
}

/// Looks at the records after this place.
fn look(session: &mut dyn Session, core: &Core, place: &Place) -> Result<Looked> {
    let Some(of) = Belongings::ALL.get(place.of).copied() else {
        return Ok(Looked { next: None, found: Vec::new(), unregistered: None });
    };
    let (kind, after) = match (&place.kind, &place.id) {
        (Some(kind), Some(id)) => (kind.clone(), Some(id)),
        (met, _) => match of.next_type(session, met.as_deref())? {
            Some(kind) => (kind, None),
            None => {
                let next = Some(Place { of: place.of + 1, kind: None, id: None });
                return Ok(Looked { next, found: Vec::new(), unregistered: None });
            }
        },
    };
    if let Some(load) = core.loader(&kind) {
        return some_of(session, &load, place.of, kind, after.map(String::as_str));
    }
    let unregistered = unregistered(session, place.of, &kind)?;
    let next = Some(Place { of: place.of, kind: Some(kind), id: None });
    Ok(Looked { next, found: Vec::new(), unregistered })
}

/// Looks at the next records of a type.
fn some_of(
    session: &mut dyn Session,
    load: &Loader,
    of: usize,
    kind: String,
    after: Option<&str>,
) -> Result<Looked> {
    let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
    let ids = Belongings::ALL[of].next_ids(session, &kind, after, limit)?;
    // With fewer than asked for this type is done.
    let last = ids.last().filter(|_| ids.len() == AT_ONCE).cloned();
    let mut rest = ids;
    for earlier in &Belongings::ALL[..of] {
        let seen = earlier.count_of(session, &kind, &rest)?;
        rest.retain(|id| !seen.contains_key(id));
    }
    let mut gone = Vec::new();
    let mut found = Vec::new();
    for id in rest {
        match load(session, &id) {
            Ok(Some(_)) => {}
            Ok(None) => gone.push(id),
            Err(error) => {
                tracing::warn!(kind, id, error = error.brief(), "could not look for an owner");
                found.push(Err(error));
            }
        }
    }
    let threads = Belongings::Threads.count_of(session, &kind, &gone)?;
    let chats = Belongings::Chats.count_of(session, &kind, &gone)?;
    let assistants = Belongings::Assistants.count_of(session, &kind, &gone)?;
    found.extend(gone.into_iter().map(|id| {
        let count = |counts: &std::collections::HashMap<String, u64>| {
            counts.get(&id).copied().unwrap_or_default()
        };
        Ok(Orphan {
            kind: kind.clone(),
            threads: count(&threads),
            chats: count(&chats),
            assistants: count(&assistants),
            id,
        })
    }));
    Ok(Looked { next: Some(Place { of, kind: Some(kind), id: last }), found, unregistered: None })
}

/// A type that is met here for the first time.
fn unregistered(
    session: &mut dyn Session,
    of: usize,
    kind: &str,
) -> Result<Option<UnregisteredType>> {
    let mut counts = [0; Belongings::ALL.len()];
    for (count, each) in counts.iter_mut().zip(Belongings::ALL) {
        *count = each.count_of_type(session, kind)?;
    }
    if counts[..of].iter().any(|count| *count > 0) {
        return Ok(None);
    }
    let [threads, chats, assistants] = counts;
    Ok(Some(UnregisteredType { kind: kind.to_owned(), threads, chats, assistants }))
}
