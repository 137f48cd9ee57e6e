//! One task per conversation drives its runs, one after the other.
//!
//! # Guarantees
//!
//! * A conversation has one task in this process at most, so nobody can take a run for driven by a task that is about to
//!   end: whoever wants a run driven wakes the conversation, and a task that was woken looks once more before it ends.
//!   Both happen under one lock.
//! * Two processes cannot both miss a run: the one that ends a run looks for the next one after its commit, the one that
//!   submits looks after its own, and whichever commit is the later one, its look sees both. But one that drives only what it
//!   is told to leaves the next run alone. So where nobody else would look again, the task of whoever submitted a run stays until
//!   the run has ended or is driven.
//! * A run is claimed with a place ([`places`](super::places)), and waits for one as a row of the database and nothing else: others may
//!   take or cancel it meanwhile, and a shutdown does not wait for it.
//!
//! What dies with its process or its runtime, or cannot be had from the database for longer than a lease, is found by the
//! upkeep of every started engine ([`keep`](super::keep)).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Span;

use super::keep::LOOK;
use super::places::{Owner, Place, Ticket};
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
    /// The last turn that it drives.
    up_to: i64,
    /// The last turn that was submitted here.
    told: Option<i64>,
    /// The spans in which its runs were submitted here, by the run's id.
    callers: HashMap<i64, Span>,
}

/// All turns of a conversation.
const ALL: i64 = i64::MAX;

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Messageable, Lane>> {
        self.awake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last turn that the task of a conversation drives.
    fn up_to(&self, of: Messageable) -> i64 {
        self.lock().get(&of).map_or(ALL, |lane| lane.up_to)
    }

    /// The last turn of a conversation that was submitted here.
    fn told(&self, of: Messageable) -> Option<i64> {
        self.lock().get(&of)?.told
    }

    /// Whether somebody wants one more look.
    fn is_woken(&self, of: Messageable) -> bool {
        self.lock().get(&of).is_some_and(|lane| lane.woken)
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

/// Has the runs of a conversation driven, unless this process is about to end, has no provider, or drives only what it is told to.
pub(crate) fn wake(core: &Core, of: Messageable) {
    if core.options().take_queued {
        wake_up_to(core, of, ALL);
    }
}

/// Has a turn of a conversation driven, and what stands before it; also what stands behind it, where this process takes that.
pub(crate) fn wake_up_to(core: &Core, of: Messageable, seq: i64) {
    if !core.is_closing() && !core.remotes().is_empty() {
        start(core, of, (seq, None), None, None);
    }
}

/// The same for a run whose submission has just been found to be committed.
pub(crate) fn wake_submitted(core: &Core, run: &Run, caller: Option<Span>) {
    if !core.is_closing() && !core.remotes().is_empty() {
        let caller = caller.map(|span| (run.id, span));
        start(core, run.messageable, (run.seq, Some(run.seq)), None, caller);
    }
}

/// Has a run driven that was submitted here: shutdown waits for it, unless it waits for a place. One that was submitted before, under
/// the same key, may ask a provider that is elsewhere.
pub(crate) fn wake_for(core: &Core, run: &Run, owner: Owner, caller: Option<Span>) {
    if run.status == RunStatus::Queued && core.remotes().find(run.provider.as_deref()).is_some() {
        let caller = caller.map(|span| (run.id, span));
        start(core, run.messageable, (run.seq, Some(run.seq)), Some((run, owner)), caller);
    }
}

fn start(
    core: &Core,
    of: Messageable,
    (seq, told): (i64, Option<i64>),
    submitted: Option<(&Run, Owner)>,
    caller: Option<(i64, Span)>,
) {
    let Some(runtime) = core.runtime() else {
        return;
    };
    let up_to = if core.options().take_queued { ALL } else { seq };
    let lanes = core.lanes();
    let mut awake = lanes.lock();
    if let Some(lane) = awake.get_mut(&of) {
        lane.woken = true;
        lane.up_to = lane.up_to.max(up_to);
        lane.told = lane.told.max(told);
        lane.callers.extend(caller);
        return;
    }
    let number = lanes.tasks.fetch_add(1, Ordering::Relaxed);
    let callers = caller.into_iter().collect();
    awake.insert(of, Lane { number, woken: false, up_to, told, callers });
    let first = submitted.and_then(|(run, owner)| match core.places().of_run(owner.clone(), run) {
        // Readers find the run in this process from now on, and need not ask the database.
        Ok(place) => Driving::enter(core, run.clone(), owner)
            .map(|driving| Next::Drive(Turn { driving, place, submitted: true })),
        Err(ticket) => Some(Next::Wait(ticket)),
    });
    drop(awake);
    core.hubs().nudge();
    let lane = Task { core: core.clone(), of, number };
    runtime.spawn(async move {
        let lane = lane;
        drive_all(&lane.core, of, first.unwrap_or(Next::Look)).await;
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

/// What a lane does next.
enum Next {
    /// Looks for a run.
    Look,
    /// Waits for a place, and looks then.
    Wait(Ticket),
    /// Drives this run.
    Drive(Turn),
    /// Looks after a while.
    LookLater,
    /// There is nothing to drive now.
    Nothing,
}

/// A run and its place.
struct Turn {
    driving: Driving,
    place: Place,
    submitted: bool,
}

/// How long to leave a run alone that somebody has locked: at first, and at most.
const LOCKED: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

async fn drive_all(core: &Core, of: Messageable, first: Next) {
    let mut next = first;
    let mut locked = LOCKED.0;
    loop {
        let stepped = match next {
            Next::Look => look_for(core, of, None).await,
            Next::Wait(ticket) => match place(core, ticket).await {
                Some(place) => look_for(core, of, Some(place)).await,
                None => return,
            },
            // Apart, since it is large, and most lanes may be waiting.
            Next::Drive(turn) => Box::pin(drive(core, turn, &mut locked)).await,
            Next::LookLater => {
                rest(core, of).await;
                look_for(core, of, None).await
            }
            Next::Nothing if core.lanes().fall_asleep(of) => return,
            Next::Nothing => Ok(Next::Look),
        };
        next = match stepped {
            Ok(stepped) => {
                core.troubles().passed(of);
                stepped
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(%of, error, "could not look for a run to drive; it is looked for later");
                core.troubles().failed(of);
                core.look_again_later();
                match core.lanes().told(of).map(|told| left(core, of, told)) {
                    Some(later @ Next::LookLater) => later,
                    _ => return,
                }
            }
        };
        if core.is_closing() && !matches!(next, Next::Drive(_)) {
            // What waits is for other processes.
            return;
        }
    }
}

/// What becomes of a turn that is not to be driven here now. One that was submitted here is looked at again, unless that is done
/// anyway: whoever drives what stands before it need not go on with it.
fn left(core: &Core, of: Messageable, seq: i64) -> Next {
    let looked_for = core.options().take_queued && core.is_kept();
    if !looked_for && core.lanes().told(of) >= Some(seq) { Next::LookLater } else { Next::Nothing }
}

/// Until the next look; what failed a moment ago is left alone for longer, unless somebody asks for it.
async fn rest(core: &Core, of: Messageable) {
    loop {
        tokio::time::sleep(LOOK).await;
        if core.is_closing() || core.lanes().is_woken(of) || core.troubles().may_try(of) {
            return;
        }
    }
}

/// The place that a run waits for; `None` when this process is about to end.
async fn place(core: &Core, ticket: Ticket) -> Option<Place> {
    let mut closing = core.closing().subscribe();
    tokio::select! {
        biased;
        _ = closing.wait_for(|closing| *closing) => None,
        place = ticket.given() => Some(place),
    }
}

async fn look_for(core: &Core, of: Messageable, place: Option<Place>) -> Result<Next> {
    Ok(match look(core, of).await? {
        Look::Waiting(row, owner) => {
            let (seq, run) = (row.seq, Run::from(*row));
            let place = match place.map_or_else(|| core.places().of_run(owner.clone(), &run), Ok) {
                Ok(place) => place,
                Err(ticket) => return Ok(Next::Wait(ticket)),
            };
            match Driving::enter(core, run, owner) {
                // A shutdown that began meanwhile may not have seen it: one of the two sees the other.
                Some(_) if core.is_closing() => Next::Nothing,
                Some(driving) => Next::Drive(Turn { driving, place, submitted: false }),
                None => left(core, of, seq),
            }
        }
        Look::Abandoned(run, seq) => match core.take_up(run).await? {
            Taken::Nothing => left(core, of, seq),
            Taken::Queued => Next::Look,
            // What stands behind it waits with it.
            Taken::Paused => Next::Nothing,
            Taken::Settled => {
                core.announce_later(run);
                Next::Look
            }
        },
        Look::Elsewhere(seq) => left(core, of, seq),
        Look::Nothing => Next::Nothing,
    })
}

async fn drive(core: &Core, turn: Turn, locked: &mut Duration) -> Result<Next> {
    let Turn { driving, place, submitted } = turn;
    match steps::claim(core, driving.flight()).await? {
        Locking::Got(row) => {
            *locked = LOCKED.0;
            // The lease was extended with the claim.
            core.lease().keep(core);
            let caller = core.lanes().caller(driving.flight().transcript.of, row.id);
            if !steps::drive(driving, row, caller).await {
                core.look_again_later();
            }
            Ok(Next::Look)
        }
        // A transaction of the host has the run locked, which holds up no other.
        Locking::Locked => {
            let turn = Turn { driving, place, submitted };
            let kept = (!core.places().are_limited()).then_some(turn);
            tokio::time::sleep(*locked).await;
            *locked = (*locked * 2).min(LOCKED.1);
            Ok(kept.filter(|_| !core.is_closing()).map_or(Next::Look, Next::Drive))
        }
        // It is not its turn, perhaps that of one before it; or somebody else took it.
        Locking::Nothing if submitted => Ok(Next::Look),
        Locking::Nothing => {
            let transcript = &driving.flight().transcript;
            Ok(left(core, transcript.of, transcript.seq))
        }
    }
}

/// What stands first of what has not ended in a conversation.
enum Look {
    /// It waits to be driven, and belongs to this owner.
    Waiting(Box<RunRow>, Owner),
    /// Whoever drove it has died: the run, and its turn.
    Abandoned(i64, i64),
    /// Somebody drives this turn, or it waits for something else.
    Elsewhere(i64),
    /// Nothing, or what is not to be driven here.
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
    if status != RunStatus::Queued
        && let Some(flight) = core.registry().get(id)
    {
        return Ok(Look::Elsewhere(flight.transcript.seq));
    }
    let Some((row, owner)) = runs::find_with_owner(session, id)? else {
        return Ok(Look::Nothing);
    };
    Ok(match row.status {
        RunStatus::Queued if row.seq > core.lanes().up_to(of) => Look::Nothing,
        // For a process that has its provider.
        RunStatus::Queued if core.remotes().find(row.provider.as_deref()).is_none() => {
            Look::Nothing
        }
        RunStatus::Queued => Look::Waiting(Box::new(row), owner),
        status if status.is_terminal() => Look::Nothing,
        // For somebody's decision, which may take days: nothing is locked for a look at it.
        RunStatus::RequiresAction => Look::Elsewhere(row.seq),
        _ if queue::is_abandoned(session, &row, core.worker())? => Look::Abandoned(id, row.seq),
        _ => Look::Elsewhere(row.seq),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_was_woken_looks_once_more_before_it_ends() {
        let (lanes, of) = (Lanes::default(), Messageable::AssistantThread(1));
        lanes.lock().insert(
            of,
            Lane { number: 0, woken: true, up_to: ALL, told: None, callers: HashMap::new() },
        );
        assert!(!lanes.fall_asleep(of), "the wake-up is lost");
        assert!(lanes.lock().contains_key(&of));
        assert!(lanes.fall_asleep(of));
        assert!(!lanes.lock().contains_key(&of), "the next one could not begin");
    }
}
