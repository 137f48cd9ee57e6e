//! Group commit of streamed text: one writer per engine, one transaction per tick for all runs.
//!
//! One transaction per run would write each touched page once per run and tick; this writes it once per tick. A run
//! that is over before the tick writes no delta at all. A failed flush loses nothing: the text stays in memory, counted
//! against its limit, and goes with the next tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::MissedTickBehavior;

use super::flight::{Flight, Stop};
use super::gain::{Gain, Stored, append, gain, named};
use crate::engine::TICK;
use crate::engine::core::Core;
use crate::error::{Error, Result, with_causes};
use crate::failpoint::Write;
use crate::model::Message;
use crate::store::messages;
use crate::store::runs::Fence;
use crate::store::verdict::{Verdict, verdict};
use crate::task::Running;

#[derive(Debug, Default)]
pub(crate) struct Writer {
    running: AtomicBool,
    /// A flush is under way, or the last one failed, perhaps after it was committed.
    doubtful: AtomicBool,
    /// A first output waits for its row, or a reader for room.
    early: Notify,
    /// Held while text is gathered and written.
    flushing: Mutex<()>,
}

impl Writer {
    /// Runs the writer while there are live runs.
    pub(crate) fn start(&self, core: &Core) {
        if self.running.swap(true, Ordering::SeqCst) {
            return;
        }
        tokio::spawn(write(core.clone()));
    }

    /// Ends the writer, unless a run entered in between and found it running.
    fn retire(&self, core: &Core) -> bool {
        self.running.store(false, Ordering::SeqCst);
        core.registry().is_empty() || self.running.swap(true, Ordering::SeqCst)
    }

    /// Flushes without waiting for the tick: a first output wants its row at once, so that hooks need not wait.
    pub(crate) fn hurry(&self) {
        self.early.notify_one();
    }

    /// Waits for a flush under way and keeps the run out of later ones. An error says that it is not known what of the
    /// run is stored, without which it cannot be settled.
    pub(crate) async fn release(&self, core: &Core, flight: &Flight) -> Result<()> {
        let _flushing = self.flushing.lock().await;
        flight.log(|log| log.settling = true);
        if self.doubtful.load(Ordering::SeqCst) {
            look_again(core, flight).await?;
        }
        Ok(())
    }

    /// Writes what has arrived; with `all` false only what cannot wait for the tick.
    pub(crate) async fn flush(&self, core: &Core, all: bool) -> Result<()> {
        let flushing = self.flushing.lock().await;
        let most = core.options().max_unflushed_bytes;
        let runs: Vec<Arc<Flight>> = core.registry().all();
        if self.doubtful.load(Ordering::SeqCst) {
            for run in &runs {
                look_again(core, run).await?;
            }
            self.doubtful.store(false, Ordering::SeqCst);
        }
        let (runs, gains): (Vec<_>, Vec<_>) = runs
            .into_iter()
            .filter_map(|run| gain(&run, all, most).map(|gain| (run, gain)))
            .unzip();
        if gains.is_empty() {
            return Ok(());
        }
        match self.store(core, &runs, gains).await {
            Ok(()) => {}
            Err((gains, error)) => {
                if !error.is_lock_timeout()
                    && (verdict(&error) == Verdict::Passing || !takes_writes(core).await)
                {
                    return Err(error);
                }
                // One row must not keep the texts of all others from being stored.
                self.store_each(core, &runs, gains).await?;
            }
        }
        drop(flushing);
        Ok(())
    }
}

impl Writer {
    /// Writes what these runs gained in one transaction. The gains come back with the error.
    async fn store(
        &self,
        core: &Core,
        runs: &[Arc<Flight>],
        gains: Vec<Gain>,
    ) -> std::result::Result<(), (Vec<Gain>, Error)> {
        let gains = Arc::new(gains);
        let written = Arc::clone(&gains);
        self.doubtful.store(true, Ordering::SeqCst);
        let stored = core
            .store()
            .write_as(Write::Words, move |session| {
                let stored = append(session, &written)?;
                Ok((named(&stored), stored))
            })
            .await;
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => return Err((Arc::into_inner(gains).unwrap_or_default(), error)),
        };
        self.doubtful.store(false, Ordering::SeqCst);
        for ((run, gain), stored) in runs.iter().zip(gains.iter()).zip(stored) {
            match stored {
                Stored::Later => {}
                Stored::Lost(Fence::Gone) => run.stop(Stop::Gone),
                Stored::Lost(_) => run.stop(Stop::Lost),
                Stored::Done { cancel, rows } => {
                    note(run, gain, rows);
                    if cancel {
                        run.stop(Stop::Cancelled);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what these runs gained one by one. A run whose own text is refused again and again is stopped.
    async fn store_each(&self, core: &Core, runs: &[Arc<Flight>], gains: Vec<Gain>) -> Result<()> {
        for (run, gain) in runs.iter().zip(gains) {
            let Err((_, error)) = self.store(core, std::slice::from_ref(run), vec![gain]).await
            else {
                continue;
            };
            let verdict = verdict(&error);
            if verdict == Verdict::Passing && !error.is_lock_timeout() {
                return Err(error);
            }
            // The database answered: nothing of it was stored.
            self.doubtful.store(false, Ordering::SeqCst);
            if error.is_lock_timeout() {
                run.log(|log| log.leave_alone(LOCKED));
                continue;
            }
            let refusals = run.log(|log| {
                log.refusals += 1;
                log.refusal = Some(with_causes(&error));
                log.refusals
            });
            if verdict == Verdict::OfTheRow || refusals >= REFUSALS {
                run.stop(Stop::Unstorable);
            }
        }
        Ok(())
    }
}

/// How long to leave a run out of the flushes whose thread or messages somebody has locked: each try holds up all others for
/// as long as a lock is waited for.
const LOCKED: Duration = Duration::from_secs(2);

/// How often the database may refuse the text of one run, for a reason that Diesel has no name for, while it takes other
/// writes.
const REFUSALS: u32 = 4;

/// Whether the database takes a write of ours that has nothing to do with any run.
async fn takes_writes(core: &Core) -> bool {
    core.lease().extend(core).await.is_ok()
}

/// Notes what is committed.
fn note(run: &Flight, gain: &Gain, rows: Vec<Option<Message>>) {
    run.log(|log| {
        log.refusals = 0;
        log.stored_up_to = gain.up_to.or(log.stored_up_to);
        if let (Some(call), Some(reached)) = (&mut log.call, &gain.call) {
            call.identified |= reached.remote_id.is_some();
        }
    });
    for gained in &gain.messages {
        run.stored(gained.slot, gained.offset + gained.text.len());
    }
    if rows.iter().all(Option::is_none) {
        // Nobody sees the difference; whoever waits for room has it.
        run.transcript.wake_beside_text();
        return;
    }
    run.transcript.update(|seen| {
        for (gained, row) in gain.messages.iter().zip(rows) {
            if row.is_some() && seen.message(gained.slot).is_some() {
                seen.change(gained.slot, |message| message.row = row);
            }
        }
    });
}

/// Finds out what of a run is stored, after a flush of which nobody knows whether it was committed.
async fn look_again(core: &Core, run: &Flight) -> Result<()> {
    let id = run.id();
    let rows = core.store().read(move |session| messages::of_run(session, id)).await?;
    let mut stored = Vec::new();
    run.transcript.update(|seen| {
        for row in rows.into_iter().filter(Message::is_assistant) {
            let slot = row.position - 1;
            if seen.message(slot).is_some_and(|message| message.text.starts_with(&row.content)) {
                stored.push((slot, row.content.len()));
                seen.change(slot, |message| {
                    message.row.get_or_insert(row);
                });
            }
        }
    });
    for (slot, bytes) in stored {
        run.stored(slot, bytes);
    }
    run.transcript.wake_beside_text();
    Ok(())
}

async fn write(core: Core) {
    let running = Running::new(&core, |core| &core.writer().running);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        let all = tokio::select! {
            _ = ticks.tick() => true,
            () = core.writer().early.notified() => false,
        };
        if let Err(error) = core.writer().flush(&core, all).await {
            let error = with_causes(&error);
            tracing::warn!(
                error,
                "streamed text could not be stored; it stays in memory until the next try"
            );
            // Early wakes must not turn a database that is away into a busy loop.
            ticks.tick().await;
        }
        if core.registry().is_empty() && core.writer().retire(&core) {
            return running.retire();
        }
    }
}
