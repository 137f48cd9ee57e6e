use super::hooks::MessageHooks;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::follow::owner_events::OwnerEvents;

/// The events of all threads and chats of an owner, as one stream: for a page with a list of threads, which has one connection for all
/// of them.
///
/// Implemented for every owner.
pub trait OwnedEvents: MessageHooks {
    /// Its events from now on; from another place with [`OwnerEvents::after`] and [`OwnerEvents::resume`].
    ///
    /// ```
    /// # #[cfg(feature = "axum")] mod with_axum {
    /// use ai_engine::{AiEngine, Error, OwnerEvent, Page, Sse, axum::LastEventId, prelude::*};
    /// # struct User { id: i64 }
    /// # ai_engine::record! { User { id: i64 } as "User" }
    /// # impl ai_engine::MessageHooks for User {}
    /// # impl ai_engine::Threadable for User {}
    ///
    /// // The page: what it shows, and the place from which its one stream goes on.
    /// async fn page(engine: AiEngine, user: User, open: i64) -> Result<String, Error> {
    ///     let now = user.events(&engine).now().await?; // before anything is read
    ///     let thread = user.assistant_threads(&engine).find(open).await?;
    ///     let turns = thread.turns(&engine, Page::default()).await?;
    ///     let after = now.with(turns.follow());
    ///     Ok(format!("<body data-events='/events?after={after}'>"))
    /// }
    ///
    /// async fn events(engine: AiEngine, user: User, last: LastEventId) -> Result<Sse<OwnerEvent>, Error> {
    ///     Ok(user.events(&engine).resume(last.as_deref()).await?.sse())
    /// }
    /// # }
    /// ```
    fn events(&self, engine: &AiEngine) -> OwnerEvents;
}

impl<T: MessageHooks> OwnedEvents for T {
    fn events(&self, engine: &AiEngine) -> OwnerEvents {
        let Owner { kind, id } = Owner::of(self);
        OwnerEvents::of(&engine.core, (kind, id))
    }
}
