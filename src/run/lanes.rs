//! One task per conversation drives its runs, one after the other.
//!
//! # Guarantees
//!
//! * A conversation has one task in this process at most, so nobody can take a run for driven by a task that is about to
//!   end: whoever wants a run driven wakes the conversation, and a task that was woken looks once more before it ends.
//!   Both happen under one lock.
//! * Two processes cannot both miss a run: the one that ends a run looks for the next one after its commit, the one that
//!   submits looks after its own, and whichever commit is the later one, its look sees both.
//!
//! What dies with its process or its runtime, or cannot be had from the database for longer than a lease, is found by the
//! upkeep of every started engine ([`keep`](super::keep)).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::drive::{self, Driving};
use super::persist::persistently;
use super::recover::Taken;
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::model::{Messageable, Run, RunRow, RunStatus};
use crate::store::lines;
use crate::store::runs::{self, Locking};
use crate::store::session::Session;

/// The conversations that have a task.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    awake: Mutex<HashMap<Messageable, Lane>>,
    /// Tells one task of a conversation from the next.
    tasks: AtomicU64,
}

#[derive(Debug)]
struct Lane {
    number: u64,
    /// Somebody wants one more look.
    woken: bool,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Messageable, Lane>> {
        self.awake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the task is to end: nobody woke it since its last look.
    fn fall_asleep(&self, of: Messageable) -> bool {
        let mut awake = self.lock();
        let woken = awake.get_mut(&of).is_some_and(|lane| std::mem::take(&mut lane.woken));
        if !woken {
            awake.remove(&of);
        }
        !woken
    }
}

/// Has the runs of a conversation driven, unless this process is about to end or has no provider.
pub(crate) fn wake(engine: &AiEngine, of: Messageable) {
    if !engine.is_closing() && engine.remote().is_some() {
        start(engine, of, None);
    }
}

/// Has a run driven that was submitted here: shutdown waits for it.
pub(super) fn wake_for(engine: &AiEngine, run: &Run) {
    if run.status == RunStatus::Queued {
        start(engine, run.messageable, Some(run));
    }
}

fn start(engine: &AiEngine, of: Messageable, submitted: Option<&Run>) {
    let Some(runtime) = engine.runtime() else {
        return;
    };
    let lanes = engine.lanes();
    let mut awake = lanes.lock();
    if let Some(lane) = awake.get_mut(&of) {
        lane.woken = true;
        return;
    }
    let number = lanes.tasks.fetch_add(1, Ordering::Relaxed);
    awake.insert(of, Lane { number, woken: false });
    // Readers find the run in this process from now on, and need not ask the database.
    let first = submitted.and_then(|run| Driving::enter(engine, run.clone()));
    drop(awake);
    engine.feeds().nudge();
    let lane = Task { engine: engine.clone(), of, number };
    runtime.spawn(async move {
        let lane = lane;
        drive_all(&lane.engine, of, first).await;
    });
}

/// Held by the task of a conversation: in whatever way it ends, also with its runtime, the next one may begin.
struct Task {
    engine: AiEngine,
    of: Messageable,
    number: u64,
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut awake = self.engine.lanes().lock();
        if awake.get(&self.of).is_some_and(|lane| lane.number == self.number) {
            awake.remove(&self.of);
        }
    }
}

/// What became of one look.
enum Step {
    /// A run ended, or there is something else to look at.
    Again,
    /// A transaction of the host has the run locked.
    Locked(Driving),
    /// There is nothing to drive now.
    Nothing,
}

/// How long to leave a run alone that somebody has locked: at first, and at most.
const LOCKED: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

async fn drive_all(engine: &AiEngine, of: Messageable, first: Option<Driving>) {
    let mut next = first;
    let mut locked = LOCKED.0;
    loop {
        let stepped = step(engine, of, next.take()).await;
        if stepped.is_ok() {
            engine.troubles().passed(of);
        }
        match stepped {
            Ok(Step::Again) => locked = LOCKED.0,
            Ok(Step::Locked(driving)) => {
                next = Some(driving);
                tokio::time::sleep(locked).await;
                locked = (locked * 2).min(LOCKED.1);
            }
            Ok(Step::Nothing) => {
                if engine.lanes().fall_asleep(of) {
                    return;
                }
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(%of, error, "could not look for a run to drive; it is looked for later");
                engine.troubles().failed(of);
                engine.look_again_later();
                return;
            }
        }
        if engine.is_closing() {
            // What waits is for other processes.
            return;
        }
    }
}

async fn step(engine: &AiEngine, of: Messageable, first: Option<Driving>) -> Result<Step> {
    let submitted = first.is_some();
    let driving = match first {
        Some(driving) => driving,
        None => match look(engine, of).await? {
            Look::Waiting(row) => match Driving::enter(engine, (*row).into()) {
                Some(driving) => driving,
                None => return Ok(Step::Nothing),
            },
            Look::Abandoned(run) => {
                return Ok(match engine.take_up(run).await? {
                    Taken::Nothing => Step::Nothing,
                    Taken::Queued => Step::Again,
                    Taken::Settled => {
                        engine.announce_later(run);
                        Step::Again
                    }
                });
            }
            Look::Nothing => return Ok(Step::Nothing),
        },
    };
    match drive::claim(engine, driving.live()).await? {
        Locking::Got(row) => {
            drive::drive(driving, row).await;
            Ok(Step::Again)
        }
        Locking::Locked => Ok(Step::Locked(driving)),
        // It is not its turn, perhaps that of one before it; or somebody else took it.
        Locking::Nothing if submitted => Ok(Step::Again),
        Locking::Nothing => Ok(Step::Nothing),
    }
}

/// What stands first of what has not ended in a conversation.
enum Look {
    /// It waits to be driven.
    Waiting(Box<RunRow>),
    /// Whoever drove it has died.
    Abandoned(i64),
    /// Nothing, or what somebody drives.
    Nothing,
}

async fn look(engine: &AiEngine, of: Messageable) -> Result<Look> {
    persistently(engine, || {
        let looking = engine.clone();
        engine.store().read(move |session| first_of(session, &looking, of))
    })
    .await
}

fn first_of(session: &mut dyn Session, engine: &AiEngine, of: Messageable) -> Result<Look> {
    let Some((id, status)) = lines::first_unended(session, of)? else {
        return Ok(Look::Nothing);
    };
    if status != RunStatus::Queued && engine.registry().get(id).is_some() {
        return Ok(Look::Nothing);
    }
    let Some(row) = runs::find(session, id)? else {
        return Ok(Look::Nothing);
    };
    Ok(match row.status {
        RunStatus::Queued => Look::Waiting(Box::new(row)),
        status if status.is_terminal() => Look::Nothing,
        _ if lines::is_abandoned(session, &row, engine.worker())? => Look::Abandoned(id),
        _ => Look::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_was_woken_looks_once_more_before_it_ends() {
        let (lanes, of) = (Lanes::default(), Messageable::AssistantThread(1));
        lanes.lock().insert(of, Lane { number: 0, woken: true });
        assert!(!lanes.fall_asleep(of), "the wake-up is lost");
        assert!(lanes.lock().contains_key(&of));
        assert!(lanes.fall_asleep(of));
        assert!(!lanes.lock().contains_key(&of), "the next one could not begin");
    }
}
