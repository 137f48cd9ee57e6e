//! This process's lease: extended while there is anything that it holds, looked at before what nobody else may do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use crate::drive::flight::Stop;
use crate::engine::TICK;
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::store::{queue, workers};
use crate::task::Running;

/// The lease of one engine on its database.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// When it was asked for last, by two clocks: one of them goes on while the machine sleeps.
    extended: Mutex<Option<(Instant, SystemTime)>>,
    kept: AtomicBool,
    /// Somebody asked for a run of this process to be cancelled.
    pub(super) cancels: Notify,
    /// Held by the one write of it at a time. `true`: given back for good.
    given_back: tokio::sync::Mutex<bool>,
}

impl Lease {
    /// It was extended by a transaction that was asked for then.
    pub(crate) fn extended(&self, asked: Instant) {
        let now = SystemTime::now();
        let since = now.checked_sub(asked.elapsed()).unwrap_or(now);
        *self.extended.lock().unwrap_or_else(PoisonError::into_inner) = Some((asked, since));
    }

    /// How old it is.
    fn age(&self) -> Option<Duration> {
        let (at, since) = (*self.extended.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(at.elapsed().max(since.elapsed().unwrap_or_default()))
    }

    /// Whether it cannot have ended, nor end in a moment, whoever looks.
    pub(crate) fn is_fresh(&self, lease: Duration) -> bool {
        self.age().is_some_and(|age| age < lease / 2)
    }

    /// Has it extended as long as there are runs.
    pub(crate) fn keep(&self, core: &Core) {
        if !self.kept.swap(true, Ordering::SeqCst) {
            tokio::spawn(keep(core.clone()));
        }
    }

    /// Gives it back: others may take this process's runs at once. It is not extended any more.
    pub(crate) async fn give_back(&self, core: &Core) -> Result<()> {
        let mut given_back = self.given_back.lock().await;
        *given_back = true;
        let worker = core.worker().to_owned();
        core.store()
            .write(Write::LeaseRelease, move |session| workers::release(session, &worker))
            .await
    }

    pub(crate) async fn extend(&self, core: &Core) -> Result<()> {
        let given_back = self.given_back.lock().await;
        if *given_back {
            return Ok(());
        }
        let (worker, lease, asked) =
            (core.worker().to_owned(), core.options().lease, Instant::now());
        let beaten = core
            .store()
            .write(Write::Heartbeat, move |session| workers::beat(session, &worker, lease));
        beaten.await?;
        self.extended(asked);
        Ok(())
    }
}

async fn keep(core: Core) {
    let running = Running::new(&core, |core| &core.lease().kept);
    let mut looks = tokio::time::interval(2 * TICK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beat = core.options().beat();
    let mut beaten = Instant::now();
    let beating = async {
        loop {
            tokio::time::sleep_until(beaten + beat).await;
            beaten = Instant::now();
            beat_once(&core).await;
        }
    };
    let looking = async {
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = core.lease().cancels.notified() => {}
            }
            notice_cancels(&core).await;
            if core.holds_nothing() && retire(&core) {
                return;
            }
        }
    };
    tokio::select! {
        () = beating => {}
        () = looking => running.retire(),
    }
}

/// Ends the task, unless a run entered in between and found it running.
fn retire(core: &Core) -> bool {
    let kept = &core.lease().kept;
    kept.store(false, Ordering::SeqCst);
    core.holds_nothing() || kept.swap(true, Ordering::SeqCst)
}

/// Extends the lease. When it cannot be extended in time, the runs belong to whoever takes them.
async fn beat_once(core: &Core) {
    if let Err(error) = core.lease().extend(core).await {
        tracing::warn!(error = with_causes(&error), "the lease could not be extended");
    }
    if core.lease().age().is_some_and(|age| age > core.options().lease) {
        tracing::error!("the lease ended; other processes may take this one's runs");
    }
}

/// Stops runs that somebody asked to be cancelled in another process, also those that wait for their first word.
async fn notice_cancels(core: &Core) {
    if core.registry().is_empty() {
        return;
    }
    let worker = core.worker().to_owned();
    // A database that is away is the flushes' matter.
    if let Ok(runs) =
        core.store().read(move |session| queue::cancel_requests(session, &worker)).await
    {
        core.registry().stop(&runs, Stop::Cancelled);
    }
}
