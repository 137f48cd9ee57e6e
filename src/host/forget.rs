//! Deleting all that belongs to one record, for when the record itself is deleted.

use super::record::{Owner, Record};
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::model::{AssistantThread, Chat};
use crate::store::session::{Session, transaction};
use crate::store::threads::ConversationRow;
use crate::store::{assistants, refuse_within};

/// How much was deleted with a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forgotten {
    /// Its threads, with their messages.
    pub threads: u64,
    /// Its chats, with their messages.
    pub chats: u64,
    /// The runs on them.
    pub runs: u64,
    /// Whether it was an assistant: 1 or 0.
    pub assistants: u64,
}

impl AiEngine {
    /// Deletes all that belongs to a record, in your transaction, for when you delete the record itself: its threads and chats with
    /// their runs and messages, and its assistant with its versions. Runs that it took part in as an assistant stay with their
    /// owners. For a record of any type; one that has nothing has nothing deleted.
    ///
    /// Active runs stop at their next write after your commit. What the provider keeps is deleted after your commit, too; when that
    /// fails it is tried again, at growing intervals, by any started engine ([`start`](Self::start)).
    ///
    /// A thread that another process creates for this record before your commit may stay: [`orphans`](Self::orphans) finds it.
    ///
    /// ```
    /// # use ai_engine::{AiEngine, SqliteDatabase, prelude::*};
    /// # use diesel::prelude::*;
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # struct User { id: i32 }
    /// # ai_engine::record! { User { id: i32 } as "User" }
    /// async fn delete(db: &SqliteDatabase, engine: &AiEngine, user: User) -> ai_engine::Result<()> {
    ///     let engine = engine.clone();
    ///     db.transaction(move |conn| {
    ///         engine.forget_in(conn, &user)?;
    ///         diesel::delete(users::table.find(user.id)).execute(conn)?;
    ///         Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The database's: your transaction stays usable, and nothing was deleted.
    pub fn forget_in<R: Record>(&self, conn: &mut dyn Session, record: &R) -> Result<Forgotten> {
        let deleted = transaction(conn, |session| forget(session, &Owner::of(record)))?;
        // Not committed yet: the runs find out by themselves, the outbox is looked into soon.
        self.core.remote_deletions_noted();
        Ok(deleted.counts)
    }

    /// [`forget_in`](Self::forget_in) for a record of which only the type and the id are left, as [`orphans`](Self::orphans) tells
    /// them. The record is not looked for: all is deleted whether it is there or not.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn forget_owner_in(
        &self,
        conn: &mut dyn Session,
        kind: &str,
        id: &str,
    ) -> Result<Forgotten> {
        let owner = Owner { kind: kind.to_owned(), id: id.to_owned() };
        let deleted = transaction(conn, |session| forget(session, &owner))?;
        self.core.remote_deletions_noted();
        Ok(deleted.counts)
    }

    /// [`forget_in`](Self::forget_in) in a transaction of its own. Active runs that this process drives stop at once.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not interrupt it: all is deleted all the same.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn forget<R: Record>(&self, record: &R) -> Result<Forgotten> {
        refuse_within()?;
        let (core, owner) = (self.core.clone(), Owner::of(record));
        // A task of its own: a caller that goes away must not leave the runs going or the provider's part undeleted.
        let forgetting = tokio::spawn(async move {
            let deleted =
                core.store().write(Write::Forget, move |session| forget(session, &owner)).await?;
            core.runs_destroyed(&deleted.runs);
            Ok(deleted.counts)
        });
        forgetting.await.map_err(|error| Error::Panicked(error.to_string()))?
    }
}

struct Deleted {
    counts: Forgotten,
    runs: Vec<i64>,
}

fn forget(session: &mut dyn Session, owner: &Owner) -> Result<Deleted> {
    let mut runs = Vec::new();
    let threads = destroy_all::<AssistantThread>(session, owner, &mut runs)?;
    let chats = destroy_all::<Chat>(session, owner, &mut runs)?;
    let assistants = assistants::delete(session, &owner.kind, &owner.id)?.into();
    let counts = Forgotten { threads, chats, runs: runs.len() as u64, assistants };
    Ok(Deleted { counts, runs })
}

/// Deletes the threads or the chats of an owner; says how many.
pub(super) fn destroy_all<C: ConversationRow>(
    session: &mut dyn Session,
    owner: &Owner,
    runs: &mut Vec<i64>,
) -> Result<u64> {
    let mut ids = C::ids(session, &owner.kind, &owner.id)?;
    // Two that delete the same ones wait for each other, and not in a circle.
    ids.sort_unstable();
    let mut destroyed = 0;
    for id in ids {
        match C::destroy(session, id) {
            Ok(of_it) => {
                destroyed += 1;
                runs.extend(of_it);
            }
            // Somebody else was faster.
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(destroyed)
}
