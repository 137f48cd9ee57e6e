//! The upkeep of a started engine: it drives what waits, ends what dead processes left, delivers last hooks, works the
//! outbox, until it is shut down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::lanes;
use super::recover::Recovered;
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::store::{lines, refuse_within};
use crate::task::Running;

/// How often to look for runs that wait: one statement.
pub(super) const LOOK: Duration = Duration::from_millis(500);
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
}

/// Runs that were found waiting.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) driven: u64,
    /// Where the next look begins: what cannot be driven now must not hide what comes after it.
    pub(super) next: i64,
}

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
        if self.is_closing() {
            return Err(crate::Error::ShuttingDown);
        }
        self.migrate().await?;
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
        refuse_within()?;
        self.require_remote()?;
        let mut closing = self.closing().subscribe();
        self.upkeep().started.store(true, Ordering::SeqCst);
        self.keep_up();
        // The sender lives as long as the engine.
        let _ = closing.wait_for(|closing| *closing).await;
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
            let running = Running::new(self, |engine| &engine.upkeep().running);
            runtime.spawn(keep(self.clone(), running));
        }
    }

    /// Whether somebody looks after what is left behind.
    pub(super) fn is_kept(&self) -> bool {
        self.upkeep().running.load(Ordering::SeqCst)
    }

    /// Has runs driven that wait and that nobody drives: those behind the run `after`, a few at a time.
    pub(super) async fn look_for_waiting(&self, after: i64) -> Result<Waiting> {
        // An engine without a provider could only fail them.
        if self.remote().is_none() || self.is_closing() {
            return Ok(Waiting::default());
        }
        let kinds = self.owner_kinds();
        let found = self
            .store()
            .read(move |session| lines::waiting(session, &kinds, after, TAKEN_AT_ONCE))
            .await?;
        let mut waiting = Waiting::default();
        if i64::try_from(found.len()).is_ok_and(|found| found == TAKEN_AT_ONCE) {
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

async fn keep(engine: AiEngine, running: Running) {
    let mut closing = engine.closing().subscribe();
    // Apart from each other: a long sweep must not keep a run waiting.
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => {}
        () = look_for_waiting(&engine) => {}
        () = sweep(&engine) => {}
        () = forget(&engine) => {}
    }
    drop(running);
}

async fn look_for_waiting(engine: &AiEngine) {
    let mut after = 0;
    let mut times = times(LOOK);
    loop {
        times.tick().await;
        match engine.look_for_waiting(after).await {
            Ok(waiting) => after = waiting.next,
            Err(error) => not_looked(&error),
        }
    }
}

async fn sweep(engine: &AiEngine) {
    let mut times = times(engine.options().beat().min(LONGEST_SWEEP));
    loop {
        times.tick().await;
        if let Err(error) = engine.sweep().await {
            not_looked(&error);
        }
    }
}

async fn forget(engine: &AiEngine) {
    let mut times = times(FORGET);
    loop {
        times.tick().await;
        if let Err(error) = engine.forget_workers().await {
            not_looked(&error);
        }
    }
}

fn times(pace: Duration) -> tokio::time::Interval {
    let mut times = tokio::time::interval(pace);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    times
}

fn not_looked(error: &crate::Error) {
    tracing::warn!(
        error = with_causes(error),
        "could not look for what is to be done; tried again"
    );
}
