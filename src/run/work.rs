//! A process that works: drives what waits, recovers what others left, and goes away in good order.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::crash;
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::store::workers;

/// How often to look for runs that wait: one statement.
const LOOK: Duration = Duration::from_millis(500);

/// How long a run that is given up at shutdown may take to store its last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl AiEngine {
    /// Drives queued runs, also those of other processes and of host transactions, and recovers what dead processes left,
    /// until [`shutdown`](Self::shutdown). Several processes may do so on one database.
    ///
    /// A queued run is noticed within a second, a dead process when its lease has ended. Troubles of the database are logged
    /// and waited out.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the looking; runs that are driven go on.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`](crate::Error::Configuration) when the engine has no provider.
    pub async fn work(&self) -> Result<()> {
        self.require_remote()?;
        let mut closing = self.closing().subscribe();
        // Apart from each other: recovery waits for hooks and for the provider, which must not keep a run waiting.
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            () = keep(LOOK, || self.drive_waiting()) => {}
            () = keep(self.options().beat(), || self.recover_now()) => {}
        }
        Ok(())
    }

    /// Ends the engine's work in good order: takes no new run ([`Error::ShuttingDown`](crate::Error::ShuttingDown)), lets
    /// those that it drives end until `deadline` has passed, and gives up the rest: their texts are stored and their leases
    /// end at once, so that another process recovers them without waiting.
    ///
    /// # Errors
    ///
    /// The database's: the leases then end by themselves.
    pub async fn shutdown(&self, deadline: Duration) -> Result<()> {
        self.closing().send_replace(true);
        drop(self.submitting().write().await);
        if tokio::time::timeout(deadline, self.registry().emptied()).await.is_err() {
            for live in self.registry().all() {
                live.release();
            }
            if tokio::time::timeout(LAST_WORDS, self.registry().emptied()).await.is_err() {
                tracing::warn!("runs are still being driven; their leases end by themselves");
                return Ok(());
            }
        }
        let worker = self.worker().to_owned();
        let released = self.store().write(move |session| {
            workers::release(session, &worker)?;
            crash::point!("release.committing");
            Ok(())
        });
        released.await.inspect(|()| crash::point!("release.committed"))
    }
}

/// Does this at once and again and again. Troubles of the database are logged and waited out.
async fn keep<T, F: Future<Output = Result<T>>>(pace: Duration, work: impl Fn() -> F) {
    let mut times = tokio::time::interval(pace);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        if let Err(error) = work().await {
            tracing::warn!(error = with_causes(&error), "could not look for runs to drive");
        }
    }
}
