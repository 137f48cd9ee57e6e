//! The upkeep of a started engine: it drives what waits, ends what dead processes left, delivers last hooks, works the
//! outbox, until it is shut down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::lanes;
use super::recover::Recovered;
use crate::engine::core::Core;
use crate::error::{Error, Result, with_causes};
use crate::store::{migrate, queue, refuse_within};
use crate::task::Running;

/// How often to look for runs that wait: one statement.
pub(crate) const LOOK: Duration = Duration::from_millis(500);
/// Waiting runs that are taken at one look: after an outage many wait, and each costs a call, memory and connections.
const TAKEN_AT_ONCE: i64 = 8;
/// Longest time between two looks for what dead processes left.
const LONGEST_SWEEP: Duration = Duration::from_secs(2);
/// How often to forget processes that ended long ago.
const FORGET: Duration = Duration::from_hours(1);

/// Whether a process takes part.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// The host asked for it.
    started: AtomicBool,
    running: AtomicBool,
    /// Something waits to be driven.
    pub(crate) waiting: Notify,
}

/// Runs that were found waiting.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) driven: u64,
    /// Where the next look begins: what cannot be driven now must not hide what comes after it.
    pub(crate) next: i64,
}

impl Core {
    pub(crate) async fn start(&self) -> Result<Recovered> {
        if self.is_closing() {
            return Err(Error::ShuttingDown);
        }
        self.store().read(migrate::migrate).await?;
        let recovered = self.sweep().await;
        self.upkeep().started.store(true, Ordering::SeqCst);
        self.keep_up();
        match recovered {
            // What the first look did not get done is for the next ones, which begin at once.
            Err(error) if error.may_pass() => {
                not_looked(&error);
                Ok(Recovered::default())
            }
            recovered => recovered,
        }
    }

    pub(crate) async fn work(&self) -> Result<()> {
        refuse_within()?;
        self.remotes().require(None)?;
        let mut over = self.over().subscribe();
        self.upkeep().started.store(true, Ordering::SeqCst);
        self.keep_up();
        // The sender lives as long as the engine.
        let _ = over.wait_for(|over| *over).await;
        Ok(())
    }

    /// Sees that the upkeep of a started engine runs: the runtime it ran on may be gone.
    pub(crate) fn keep_up(&self) {
        let upkeep = self.upkeep();
        if !upkeep.started.load(Ordering::SeqCst) || self.is_closing() {
            return;
        }
        let Some(runtime) = self.runtime() else { return };
        if !upkeep.running.swap(true, Ordering::SeqCst) {
            let running = Running::new(self, |core| &core.upkeep().running);
            runtime.spawn(keep(self.clone(), running));
        }
        #[cfg(feature = "postgres")]
        self.listen();
    }

    /// Has readers and the upkeep of this process look at once.
    pub(crate) fn look_now(&self) {
        self.hubs().nudge();
        self.upkeep().waiting.notify_one();
    }

    /// Whether somebody looks after what is left behind.
    pub(crate) fn is_kept(&self) -> bool {
        self.upkeep().running.load(Ordering::SeqCst)
    }

    /// Has runs driven that wait and that nobody drives: those behind the run `after`, a few at a time.
    pub(crate) async fn look_for_waiting(&self, after: i64) -> Result<Waiting> {
        // An engine without a provider could only fail them.
        if self.remotes().is_empty() || self.is_closing() || !self.options().take_queued {
            return Ok(Waiting::default());
        }
        let (kinds, providers) = (self.owner_kinds(), self.remotes().names());
        // Where runs wait for places they cost next to nothing here, and whose turn it is shows when all are known.
        let most = if self.places().are_limited() { queue::PAGE } else { TAKEN_AT_ONCE };
        let found = self
            .store()
            .read(move |session| queue::waiting(session, (&kinds, &providers), after, most));
        let found = found.await?;
        let mut waiting = Waiting::default();
        if i64::try_from(found.len()).is_ok_and(|found| found == most) {
            waiting.next = found.last().map_or(0, |last| last.id);
        }
        for found in found {
            if self.registry().get(found.id).is_none() && self.troubles().may_try(found.of) {
                lanes::wake(self, found.of);
                waiting.driven += 1;
            }
        }
        Ok(waiting)
    }
}

async fn keep(core: Core, running: Running<Core>) {
    let mut closing = core.closing().subscribe();
    // Apart from each other: a long sweep must not keep a run waiting.
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => {}
        () = look_for_waiting(&core) => {}
        () = sweep(&core) => {}
        () = forget(&core) => {}
    }
    drop(running);
}

async fn look_for_waiting(core: &Core) {
    let mut after = 0;
    let mut times = times(LOOK);
    loop {
        tokio::select! {
            _ = times.tick() => {}
            () = core.upkeep().waiting.notified() => {}
        }
        match core.look_for_waiting(after).await {
            Ok(waiting) => after = waiting.next,
            Err(error) => not_looked(&error),
        }
    }
}

async fn sweep(core: &Core) {
    let mut times = times(core.options().beat().min(LONGEST_SWEEP));
    loop {
        times.tick().await;
        if let Err(error) = core.sweep().await {
            not_looked(&error);
        }
    }
}

async fn forget(core: &Core) {
    let mut times = times(FORGET);
    loop {
        times.tick().await;
        if let Err(error) = core.forget_workers().await {
            not_looked(&error);
        }
    }
}

fn times(pace: Duration) -> tokio::time::Interval {
    let mut times = tokio::time::interval(pace);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    times
}

fn not_looked(error: &Error) {
    tracing::warn!(
        error = with_causes(error),
        "could not look for what is to be done; tried again"
    );
}
