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

use tracing::Span;

use super::take_up::Taken;
use crate::drive::persist::persistently;
use crate::drive::steps::{self, Driving};
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::model::{Messageable, Run, RunRow, RunStatus};
use crate::store::queue;
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
    /// The spans in which its runs were submitted here, by the run's id.
    callers: HashMap<i64, Span>,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Messageable, Lane>> {
        self.awake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caller(&self, of: Messageable, run: i64) -> Option<Span> {
        self.lock().get_mut(&of)?.callers.remove(&run)
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
pub(crate) fn wake(core: &Core, of: Messageable) {
    if !core.is_closing() && core.remote().is_some() {
        start(core, of, None, None);
    }
}

/// The same for a run whose submission has just been found to be committed.
pub(crate) fn wake_submitted(core: &Core, run: &Run, caller: Option<Span>) {
    if !core.is_closing() && core.remote().is_some() {
        start(core, run.messageable, None, caller.map(|span| (run.id, span)));
    }
}

/// Has a run driven that was submitted here: shutdown waits for it.
pub(crate) fn wake_for(core: &Core, run: &Run, caller: Option<Span>) {
    if run.status == RunStatus::Queued {
        start(core, run.messageable, Some(run), caller.map(|span| (run.id, span)));
    }
}

fn start(core: &Core, of: Messageable, submitted: Option<&Run>, caller: Option<(i64, Span)>) {
    let Some(runtime) = core.runtime() else {
        return;
    };
    let lanes = core.lanes();
    let mut awake = lanes.lock();
    if let Some(lane) = awake.get_mut(&of) {
        lane.woken = true;
        lane.callers.extend(caller);
        return;
    }
    let number = lanes.tasks.fetch_add(1, Ordering::Relaxed);
    let callers = caller.into_iter().collect();
    awake.insert(of, Lane { number, woken: false, callers });
    // Readers find the run in this process from now on, and need not ask the database.
    let first = submitted.and_then(|run| Driving::enter(core, run.clone()));
    drop(awake);
    core.hubs().nudge();
    let lane = Task { core: core.clone(), of, number };
    runtime.spawn(async move {
        let lane = lane;
        drive_all(&lane.core, of, first).await;
    });
}

/// Held by the task of a conversation: in whatever way it ends, also with its runtime, the next one may begin.
struct Task {
    core: Core,
    of: Messageable,
    number: u64,
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut awake = self.core.lanes().lock();
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

async fn drive_all(core: &Core, of: Messageable, first: Option<Driving>) {
    let mut next = first;
    let mut locked = LOCKED.0;
    loop {
        let stepped = step(core, of, next.take()).await;
        if stepped.is_ok() {
            core.troubles().passed(of);
        }
        match stepped {
            Ok(Step::Again) => locked = LOCKED.0,
            Ok(Step::Locked(driving)) => {
                next = Some(driving);
                tokio::time::sleep(locked).await;
                locked = (locked * 2).min(LOCKED.1);
            }
            Ok(Step::Nothing) => {
                if core.lanes().fall_asleep(of) {
                    return;
                }
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(%of, error, "could not look for a run to drive; it is looked for later");
                core.troubles().failed(of);
                core.look_again_later();
                return;
            }
        }
        if core.is_closing() {
            // What waits is for other processes.
            return;
        }
    }
}

async fn step(core: &Core, of: Messageable, first: Option<Driving>) -> Result<Step> {
    let submitted = first.is_some();
    let driving = match first {
        Some(driving) => driving,
        None => match look(core, of).await? {
            Look::Waiting(row) => match Driving::enter(core, (*row).into()) {
                Some(driving) => driving,
                None => return Ok(Step::Nothing),
            },
            Look::Abandoned(run) => {
                return Ok(match core.take_up(run).await? {
                    Taken::Nothing => Step::Nothing,
                    Taken::Queued => Step::Again,
                    Taken::Settled => {
                        core.announce_later(run);
                        Step::Again
                    }
                });
            }
            Look::Nothing => return Ok(Step::Nothing),
        },
    };
    match steps::claim(core, driving.flight()).await? {
        Locking::Got(row) => {
            // The lease was extended with the claim.
            core.lease().keep(core);
            let caller = core.lanes().caller(of, row.id);
            if !steps::drive(driving, row, caller).await {
                core.look_again_later();
            }
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

async fn look(core: &Core, of: Messageable) -> Result<Look> {
    persistently(core, || {
        let looking = core.clone();
        core.store().read(move |session| first_of(session, &looking, of))
    })
    .await
}

fn first_of(session: &mut dyn Session, core: &Core, of: Messageable) -> Result<Look> {
    let Some((id, status)) = queue::first_unended(session, of)? else {
        return Ok(Look::Nothing);
    };
    if status != RunStatus::Queued && core.registry().get(id).is_some() {
        return Ok(Look::Nothing);
    }
    let Some(row) = runs::find(session, id)? else {
        return Ok(Look::Nothing);
    };
    Ok(match row.status {
        RunStatus::Queued => Look::Waiting(Box::new(row)),
        status if status.is_terminal() => Look::Nothing,
        _ if queue::is_abandoned(session, &row, core.worker())? => Look::Abandoned(id),
        _ => Look::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_was_woken_looks_once_more_before_it_ends() {
        let (lanes, of) = (Lanes::default(), Messageable::AssistantThread(1));
        lanes.lock().insert(of, Lane { number: 0, woken: true, callers: HashMap::new() });
        assert!(!lanes.fall_asleep(of), "the wake-up is lost");
        assert!(lanes.lock().contains_key(&of));
        assert!(lanes.fall_asleep(of));
        assert!(!lanes.lock().contains_key(&of), "the next one could not begin");
    }
}
