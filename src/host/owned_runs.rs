use std::future::Future;

use super::hooks::MessageHooks;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::Run;
use crate::store::runs;
use crate::store::session::Session;

/// The runs of an owner of threads or chats, by their ids: for web handlers that are given an id by a browser.
///
/// Implemented for every owner. The methods of the same names on [`AiEngine`] do not check who owns the run.
pub trait OwnedRuns: MessageHooks {
    /// The run with this id, on any thread or chat of this owner.
    ///
    /// # Cancellation
    ///
    /// Dropping the future changes nothing: it only reads.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's run, or the database's.
    fn find_run(&self, engine: &AiEngine, id: i64) -> impl Future<Output = Result<Run>> + Send;

    /// Stops the run with this id, as [`Run::cancel`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the run asked to stop, or not.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), also for another owner's run, or the database's.
    fn cancel_run(&self, engine: &AiEngine, id: i64) -> impl Future<Output = Result<Run>> + Send;
}

impl<T: MessageHooks> OwnedRuns for T {
    fn find_run(&self, engine: &AiEngine, id: i64) -> impl Future<Output = Result<Run>> + Send {
        let owner = Owner::of(self);
        async move {
            let find =
                move |session: &mut dyn Session| runs::find_of(session, &owner.kind, &owner.id, id);
            engine.core.store().read(find).await
        }
    }

    fn cancel_run(&self, engine: &AiEngine, id: i64) -> impl Future<Output = Result<Run>> + Send {
        let found = self.find_run(engine, id);
        async move { found.await?.cancel(engine).await }
    }
}
