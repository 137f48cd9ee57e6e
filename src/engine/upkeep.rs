//! The engine's part in what all processes do together: beginning, looking once, ending.

use std::time::Duration;

use super::AiEngine;
use crate::error::Result;
use crate::worker::recover::Recovered;

impl AiEngine {
    /// Makes this process take part: runs the migrations, recovers what dead processes left, and keeps looking after it.
    /// Call it at each start, before requests are served.
    ///
    /// From here until [`shutdown`](Self::shutdown) the engine drives runs that wait, also those of other processes and of
    /// host transactions; ends the runs of processes that died, within their lease and 5 s; delivers last hooks that were
    /// not delivered; and deletes at the provider what was deleted here. It does so for owners whose loader the builder was
    /// given. Without a provider it drives and deletes nothing. It costs one small statement every half second.
    ///
    /// Waits neither for hooks nor for the provider. Safe to call again, also on another runtime after the one it was
    /// called on is gone.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave any of the steps done; call it again.
    ///
    /// # Errors
    ///
    /// As [`migrate`](Self::migrate) and [`recover`](Self::recover); [`Error::ShuttingDown`](crate::Error::ShuttingDown)
    /// after [`shutdown`](Self::shutdown).
    pub async fn start(&self) -> Result<Recovered> {
        self.core.start().await
    }

    /// Looks once after what dead processes left behind. [`start`](Self::start) does so, too, and goes on looking.
    ///
    /// Runs in progress whose lease has ended are settled as `incomplete`, reason `interrupted`, with the text that was
    /// stored, or asked again as [`EngineBuilder::recovery`](crate::EngineBuilder::recovery) says. Beside that, in the
    /// background, queued runs are driven, last hooks that were not delivered are, and remote deletions still open are
    /// tried: this call waits neither for hooks nor for the provider. Runs that wait are taken a few at a time; of last hooks
    /// what is more than 64 is left to the next call, or to a started engine. Runs are driven, and last hooks delivered, for owners whose loader the builder was given.
    ///
    /// A process that died less than one lease ago (30 s unless set) still holds its runs: they are looked after by a
    /// second look in the background, one lease later.
    ///
    /// One run that cannot be ended is logged, left alone for a while, and stops nobody else.
    ///
    /// # Cancellation
    ///
    /// What was recovered when the future is dropped stays so.
    ///
    /// # Errors
    ///
    /// The database's, when it cannot be read. What was recovered before it stays so.
    pub async fn recover(&self) -> Result<Recovered> {
        self.core.recover().await
    }

    /// Takes part, as [`start`](Self::start) does, and waits until the engine is shut down: all there is to do for a process
    /// that only works. Troubles of the database are logged and waited out.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the waiting; the engine goes on until [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`](crate::Error::Configuration) when the engine has no provider.
    pub async fn work(&self) -> Result<()> {
        self.core.work().await
    }

    /// Ends the engine's work in good order: takes no new run ([`Error::ShuttingDown`](crate::Error::ShuttingDown)), lets
    /// those that it drives end, and gives up the rest shortly before the `deadline` (a quarter of it, at most 2 s): their
    /// texts are stored and their leases end at once, so that another process recovers them without waiting. Then the streams
    /// of [`Events`](crate::Events) end, so that a web server that waits for its answers to end can end as well.
    ///
    /// Returns by the deadline whatever waits: a database that is away, a hook that hangs, a lock of the host's. A deadline
    /// of less than one second is taken for one second.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the engine closed for new runs; those that it drives go on. Call it again.
    ///
    /// # Errors
    ///
    /// The database's, when the leases could not be ended: they end by themselves.
    pub async fn shutdown(&self, deadline: Duration) -> Result<()> {
        self.core.shutdown(deadline).await
    }
}
