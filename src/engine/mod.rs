//! The engine: a database, a provider, the host's owners, and the runs this process drives.

mod builder;
pub(crate) mod core;
mod options;
mod prices;
pub(crate) mod remotes;
#[cfg(feature = "signal")]
mod signal;
mod stats;
mod upkeep;

pub use self::core::AiEngine;
pub use builder::EngineBuilder;
pub(crate) use options::TICK;
pub use options::{History, Identify};

use crate::error::Result;
use crate::model::{Answer, Message, Run};
use crate::store::database::Database;
use crate::store::{messages, migrate, runs};

impl AiEngine {
    /// Begins an engine that lives in `database`.
    pub fn builder<D: Database>(database: D) -> EngineBuilder<D> {
        EngineBuilder::new(database)
    }

    /// Runs the migrations this database does not have yet; returns how many. Safe to call at every start of every
    /// process, also by several at once; [`start`](Self::start) does it.
    ///
    /// # Cancellation
    ///
    /// All pending migrations are one transaction, which dropping the future does not interrupt. Calling it again waits for that
    /// transaction, and says how it ended.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`](crate::Error::Migration), or the database's. Then none of the pending migrations was run.
    pub async fn migrate(&self) -> Result<usize> {
        // On the bare connection: the migrations begin their own transaction.
        self.core.store().read(migrate::migrate).await
    }

    /// The run with this id, as it is stored now.
    ///
    /// It does not check who owns the run: for an id that a browser sent use [`OwnedRuns::find_run`](crate::OwnedRuns::find_run).
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), or the database's.
    pub async fn find_run(&self, id: i64) -> Result<Run> {
        self.core.store().read(move |session| runs::require(session, id)).await
    }

    /// The messages of a run, in order: the user's, then each of the model's of which something is stored. The list is empty when
    /// the run was deleted.
    ///
    /// It does not check who owns the run: get it from [`OwnedRuns::find_run`](crate::OwnedRuns::find_run).
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn messages_of(&self, run: &Run) -> Result<Vec<Message>> {
        let id = run.id;
        self.core.store().read(move |session| messages::of_run(session, id)).await
    }

    /// Waits for a run to end, whichever process drives it, and returns its answer. A run that this process drives is waited for
    /// until its last hooks were called.
    ///
    /// A run that waits for its turn, or that no process drives yet, is waited for as well, however long that takes: started
    /// engines ([`start`](Self::start)) see to it that every run comes to an end. To wait for a limited time put the call into
    /// `tokio::time::timeout`.
    ///
    /// It does not check who owns the run: for an id that a browser sent ask [`OwnedRuns::find_run`](crate::OwnedRuns::find_run) first.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the run going.
    ///
    /// # Errors
    ///
    /// [`Error::RunFailed`](crate::Error::RunFailed) when it ended without an answer, [`Error::RunGone`](crate::Error::RunGone) when it was deleted,
    /// [`Error::NotDriven`](crate::Error::NotDriven) when this process had to give it up, [`Error::ShuttingDown`](crate::Error::ShuttingDown) when the engine was shut down
    /// before the run ended, or the database's.
    pub async fn answer(&self, run: i64) -> Result<Answer> {
        self.core.answer(run).await
    }

    /// Drives a run in this process, and returns its answer as [`answer`](Self::answer) does: when it has ended, and its last hooks
    /// were called. It is for a queue of your own that decides when and where a run that was stored with
    /// [`enqueue`](crate::RunRequest::enqueue) is driven. The engine need not be started for it.
    ///
    /// * What stands before it on its thread or chat is driven first. What stands behind it may be driven too, beside your queue,
    ///   unless the engine was built with [`take_queued(false)`](crate::EngineBuilder::take_queued).
    /// * A run that another process drives, or that waits behind one of another process, is waited for. Should that process die, the
    ///   run is taken up here once its lease has ended.
    /// * A run that has ended answers at once, so a job of your queue may be done again.
    /// * A run that waits for somebody's decision answers as it is, with the status `requires_action`. Once that is made it waits to be
    ///   driven again: by another job of yours, or by any process that takes what is queued.
    /// * Where this process drives as many runs as it may
    ///   ([`max_concurrent_runs`](crate::EngineBuilder::max_concurrent_runs)), it waits for a place.
    ///
    /// It does not check who owns the run.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the run as it is: a run that is driven goes on, in the background of this process, and one that
    /// waits stays queued, though this process may still begin it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when there is no such run. When it has not ended:
    /// [`Error::Configuration`](crate::Error::Configuration) without a provider, [`Error::NoLoader`](crate::Error::NoLoader) when the
    /// engine cannot load its owner, and [`Error::ShuttingDown`](crate::Error::ShuttingDown) when this process ends before it has
    /// begun it. Then the run is left as it was. Otherwise as [`answer`](Self::answer).
    pub async fn drive(&self, run: i64) -> Result<Answer> {
        self.core.drive(run).await
    }

    /// Stops the run with this id, as [`Run::cancel`].
    ///
    /// It does not check who owns the run: for an id that a browser sent use [`OwnedRuns::cancel_run`](crate::OwnedRuns::cancel_run).
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave the run asked to stop, or not.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when there is no such run, or the database's.
    pub async fn cancel_run(&self, run: i64) -> Result<Run> {
        self.core.cancel(run).await
    }
}
