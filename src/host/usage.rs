//! What an owner, a thread or a chat used: tokens and money.

use std::future::Future;

use chrono::{DateTime, SubsecRound, Utc};

use super::hooks::MessageHooks;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::UsageReport;
use crate::store::session::Session;
use crate::store::threads::ConversationRow;
use crate::store::usage;

/// What an owner of threads or chats used. Implemented for every owner.
pub trait OwnedUsage: MessageHooks {
    /// What the runs on this owner's threads and chats used since then, by model and assistant. One statement.
    ///
    /// It reads all of the owner's runs, however old: what it takes grows with them, and not with `since`.
    ///
    /// # Cancellation
    ///
    /// Dropping the future changes nothing: it only reads.
    ///
    /// # Errors
    ///
    /// The database's.
    fn usage(
        &self,
        engine: &AiEngine,
        since: DateTime<Utc>,
    ) -> impl Future<Output = Result<UsageReport>> + Send;

    /// The same in a transaction of yours, or in [`ai_engine_before_run`](MessageHooks::ai_engine_before_run).
    ///
    /// # Errors
    ///
    /// The database's.
    fn usage_in(&self, conn: &mut dyn Session, since: DateTime<Utc>) -> Result<UsageReport>;
}

impl<T: MessageHooks> OwnedUsage for T {
    fn usage(
        &self,
        engine: &AiEngine,
        since: DateTime<Utc>,
    ) -> impl Future<Output = Result<UsageReport>> + Send {
        let owner = Owner::of(self);
        async move { engine.core.store().read(move |session| of(session, &owner, since)).await }
    }

    fn usage_in(&self, conn: &mut dyn Session, since: DateTime<Utc>) -> Result<UsageReport> {
        of(conn, &Owner::of(self), since)
    }
}

fn of(session: &mut dyn Session, owner: &Owner, since: DateTime<Utc>) -> Result<UsageReport> {
    // As times are stored.
    let since = since.naive_utc().trunc_subsecs(6);
    usage::of_owner(session, &owner.kind, &owner.id, since)
}

macro_rules! usage {
    ($type:ty) => {
        impl $type {
            /// What its runs used, by model and assistant. One statement.
            ///
            /// # Cancellation
            ///
            /// Dropping the future changes nothing: it only reads.
            ///
            /// # Errors
            ///
            /// The database's.
            pub fn usage(
                &self,
                engine: &AiEngine,
            ) -> impl Future<Output = Result<UsageReport>> + Send + 'static {
                let (engine, of) = (engine.clone(), ConversationRow::messageable(self));
                async move {
                    let read = move |session: &mut dyn Session| usage::of_conversation(session, of);
                    engine.core.store().read(read).await
                }
            }
        }
    };
}
usage!(crate::model::AssistantThread);
usage!(crate::model::Chat);
