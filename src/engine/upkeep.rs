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
    /// given. Without a provider it drives no run and deletes nothing at a provider. It costs one small statement every half second.
    ///
    /// Waits neither for hooks nor for the provider. Safe to call again, also on another runtime after the one it was
    /// called on has ended.
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

    /// Looks once for what dead processes left behind. [`start`](Self::start) does so, too, and goes on looking.
    ///
    /// Runs in progress whose lease has ended are settled as `incomplete`, reason `interrupted`, with the text that was
    /// stored, or asked again as [`EngineBuilder::recovery`](crate::EngineBuilder::recovery) says. This is done when the call
    /// returns. Three things then go on in the background, so that the call waits neither for hooks nor for the provider: queued
    /// runs are driven, a few at a time; last hooks that were not delivered are delivered, at most 64 by one call; and remote
    /// deletions still open are tried. Runs are driven, and hooks called, for owners whose loader the builder was given.
    ///
    /// A process that died less than one lease ago (30 s unless set) still holds its runs. For those the engine looks a second
    /// time in the background, one lease later.
    ///
    /// A run that cannot be ended is logged and tried again later; it does not keep others from being recovered.
    ///
    /// # Cancellation
    ///
    /// Runs that were recovered before the future is dropped stay recovered.
    ///
    /// # Errors
    ///
    /// The database's, when it cannot be read. Runs that were recovered before stay recovered.
    pub async fn recover(&self) -> Result<Recovered> {
        self.core.recover().await
    }

    /// Does what [`start`](Self::start) does, except for the migrations, and returns when a [`shutdown`](Self::shutdown) has ended: what
    /// ran has ended or was given up. It is all that a worker process calls. While the database is away it logs that and waits.
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

    /// Ends the engine's work in good order. From now on it takes no new run ([`Error::ShuttingDown`](crate::Error::ShuttingDown)).
    /// It lets the runs that it drives end, and the hooks of those that wait for somebody be called. It gives up what has not ended
    /// shortly before the `deadline` (a quarter of it before, at most 2 s): texts are stored and leases ended, so that another process
    /// recovers the runs without waiting, and calls those hooks when they go on.
    /// Then the streams of [`Events`](crate::Events) end, so that a web server that waits for its responses can end as well.
    ///
    /// It returns by the deadline even when the database is away, a hook hangs, or a transaction of the host holds a lock. A
    /// deadline of less than one second counts as one second.
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
