//! Driving a run that stands first in its conversation: claim, call, settle; its last hooks follow beside what comes next.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::deliver::Heard;
use super::flight::{Flight, Halt, Stop};
use super::hearing::Owed;
use super::outcome::Outcome;
use super::rounds::{self, Answered};
use super::{deliver, hearing, settle, titles, trace};
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::model::{Reason, RemoteState, Run, RunRow};
use crate::provider::{CODE_INTERPRETER, container_of};
use crate::store::runs::{self, Claim, Locking};
use crate::store::session::Session;
use crate::store::{items, messages, outbox, owed, tool_calls, workers};
use crate::task::Guarded;

use super::persist::persist;

/// A run that this process drives, in its registry until this is dropped.
#[derive(Debug)]
pub(crate) struct Driving {
    core: Core,
    flight: Arc<Flight>,
}

impl Driving {
    /// `None`: this process drives it already.
    pub(crate) fn enter(core: &Core, run: Run, owner: (String, String)) -> Option<Self> {
        let (flight, new) = core.registry().enter(run);
        if new {
            flight.belongs_to(owner);
        }
        new.then(|| Self { core: core.clone(), flight })
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }
}

/// Wakes whoever waits for the run, whatever became of its task.
impl Drop for Driving {
    fn drop(&mut self) {
        self.core.registry().leave(self.flight.id());
        self.flight.transcript.update(|seen| {
            if std::thread::panicking() && !seen.ended {
                seen.failure.get_or_insert_with(|| "its task panicked".to_owned());
            }
            seen.finished = true;
        });
    }
}

/// Takes the run, and extends this process's lease, in one transaction.
pub(crate) async fn claim(core: &Core, flight: &Flight) -> Result<Locking<RunRow>> {
    let (id, worker, lease) = (flight.id(), core.worker().to_owned(), core.options().lease);
    let asked = Instant::now();
    // Before its first call there was nothing to hear of.
    let goes_on = flight.transcript.look(|seen| seen.run.attempts > 0);
    let hearing = core.registry().hearings.of(id);
    let claimed = persist(core, Write::Claim, move |session| {
        let owed_by = if goes_on { owed::by(session, id)? } else { None };
        let row = match runs::claim(session, id, &worker)? {
            Locking::Got(row) => row,
            Locking::Locked => return Ok(Locking::Locked),
            Locking::Nothing => return Ok(Locking::Nothing),
        };
        // Not before the run: whoever has that locked would hold up this process's heartbeats as well.
        workers::beat(session, &worker, lease)?;
        let said = messages::of_run(session, id)?;
        // Before its first call it has called for no tool.
        let calls = if row.attempts > 0 { tool_calls::of_run(session, id)? } else { Vec::new() };
        // What came before its calls was charged for.
        let containers = if calls.is_empty() { Vec::new() } else { containers(session, id)? };
        Ok(Locking::Got((row, said, calls, containers, owed_by)))
    });
    let (row, said, calls, containers, owed_by) = match claimed.await? {
        Locking::Got(claimed) => claimed,
        Locking::Locked => return Ok(Locking::Locked),
        Locking::Nothing => return Ok(Locking::Nothing),
    };
    core.lease().extended(asked);
    flight.log(|log| {
        log.claim = Some(Claim { run_id: row.id, token: row.fencing_token });
        log.claimed_at = Some(Instant::now());
        log.owed = Owed::of(core, owed_by.as_deref(), hearing);
        log.containers.extend(containers);
    });
    // A place is one more than a slot.
    let last = said.iter().map(|message| message.position).max();
    flight.begin_step(last.unwrap_or_default());
    flight.transcript.update(|seen| {
        seen.resumed = !calls.is_empty();
        seen.take(row.clone().into(), said, calls);
        seen.begun = true;
    });
    Ok(Locking::Got(row))
}

/// The provider's containers that the stored steps of a run worked in.
fn containers(session: &mut dyn Session, run: i64) -> Result<Vec<String>> {
    let ran = items::of_kind(session, run, CODE_INTERPRETER)?;
    Ok(ran.iter().filter_map(|item| container_of(item).map(str::to_owned)).collect())
}

/// Drives a claimed run until its end is stored, or it is not ours to end any more. `false`: it could not be driven to its
/// end, so somebody has to take it up.
///
/// `caller`: the span in which it was submitted here.
#[must_use]
pub(crate) async fn drive(driving: Driving, row: RunRow, caller: Option<Span>) -> bool {
    let (core, flight) = (driving.core.clone(), Arc::clone(&driving.flight));
    let span = trace::begin(&core, &row, caller.as_ref());
    let driven = to_its_end(&core, &flight, row).instrument(span.clone()).await;
    if let Ok(Driven::Ended(_)) = driven {
        trace::end(&core, &flight, &span);
    }
    // Its hooks are not part of it.
    drop(span);
    match driven {
        Ok(Driven::Ended(hooks)) => {
            titles::after(&core, &flight);
            finish(driving, hooks)
        }
        Ok(Driven::Waits(hooks)) => hearing::hear_out(driving, hooks),
        Ok(Driven::NotOurs) => {}
        Err(error) => {
            let error = with_causes(&error);
            tracing::error!(
                run = flight.id(),
                error,
                "a run could not be driven to its end; recovery will take it up"
            );
            flight.transcript.update(|seen| seen.failure = Some(error));
            return false;
        }
    }
    true
}

/// Waits for the hooks of a run that was driven here and has ended, beside whatever its conversation does next.
fn finish(driving: Driving, mut hooks: Guarded<Heard>) {
    tokio::spawn(async move {
        let (core, flight) = (driving.core(), driving.flight());
        let delivered = tokio::select! {
            // Each remaining call has its own time limit.
            delivered = hooks.ended() => matches!(delivered, Ok(Heard::All)),
            () = flight.released() => false,
        };
        drop(hooks);
        if !delivered {
            return;
        }
        let id = flight.id();
        let noted = persist(core, Write::Announce, move |session| runs::announced(session, id));
        if let Err(error) = noted.await {
            // The run has ended all the same; recovery repeats its last hooks.
            tracing::warn!(
                run = id,
                error = with_causes(&error),
                "could not note that the last hooks were called"
            );
        }
    });
}

/// What became of a run that was driven here.
enum Driven {
    /// Its end is stored; its hooks are still being called.
    Ended(Guarded<Heard>),
    /// It waits for somebody's decision; its hooks are still being called.
    Waits(Guarded<Heard>),
    NotOurs,
}

/// Drives it as far as it can be driven.
async fn to_its_end(core: &Core, flight: &Arc<Flight>, row: RunRow) -> Result<Driven> {
    core.writer().start(core);
    // Before anything goes on: what happens while the owner is loaded is for its hooks as well.
    let heard = deliver::heard(&flight.transcript);
    let owed = flight.log(|log| std::mem::take(&mut log.owed));
    let transcript = Arc::clone(&flight.transcript);
    let hooks = Guarded::spawn(deliver::deliver(core.clone(), transcript, heard, owed));
    let mut answering = Box::pin(answer(core, flight, row).fuse());
    let called = tokio::select! {
        biased;
        stop = flight.stopped() => Err(stop),
        called = &mut answering => called,
    };
    let outcome = match called {
        Ok(Answered::Ended(outcome)) => *outcome,
        Ok(Answered::Waits) => return Ok(Driven::Waits(hooks)),
        Err(Stop::Gone) => {
            drop(hooks);
            // The response may just be getting its id, without which it could not be deleted.
            let _ = tokio::time::timeout(IDENTIFIED, async {
                tokio::select! {
                    () = identified(flight) => {}
                    _ = &mut answering => {}
                }
            })
            .await;
            drop(answering);
            leave_nothing_behind(core, flight).await;
            return Ok(not_ours(flight, Stop::Gone));
        }
        Err(stop) => {
            // What nobody polls any more must hold nothing that the end of this run waits for.
            drop(answering);
            match stop {
                Stop::Cancelled => Outcome::cancelled(),
                Stop::Unstorable => unstorable(flight),
                Stop::Released => return give_up(core, hooks).await,
                stop => return Ok(not_ours(flight, stop)),
            }
        }
    };
    let ending = async {
        // Behind what is being stored of it.
        drop(flight.begin_storing().await);
        settle::settle(core, flight, outcome).await
    };
    let settled = tokio::select! {
        settled = ending => settled,
        () = flight.released() => return give_up(core, hooks).await,
    };
    match settled {
        Ok(()) => Ok(Driven::Ended(hooks)),
        Err(Halt::Stopped(stop)) => {
            if stop == Stop::Gone {
                leave_nothing_behind(core, flight).await;
            }
            Ok(not_ours(flight, stop))
        }
        Err(Halt::Store(error)) => Err(error),
    }
}

/// How long a call whose thread was deleted may take to name its response.
const IDENTIFIED: Duration = Duration::from_secs(5);

/// Waits until there is nothing more to find out about what the provider keeps.
async fn identified(flight: &Flight) {
    flight
        .wait(|log, _| match &log.call {
            Some(call) if call.conversation.is_some() => call.remote_id.as_ref().map(|_| ()),
            // Nothing was sent, or nothing is kept.
            _ => Some(()),
        })
        .await;
}

/// The thread was deleted in mid-call, perhaps before the response had an id: what the provider keeps of it is noted.
async fn leave_nothing_behind(core: &Core, flight: &Flight) {
    let call = flight.log(|log| log.call.clone()).filter(|call| call.conversation.is_some());
    let Some(call) = call else { return };
    let Some(remote_id) = call.remote_id else { return };
    let noted = persist(core, Write::ResponseLeft, move |session| {
        outbox::note_response(session, &remote_id, &call.service)
    });
    match noted.await {
        Ok(()) => core.work_outbox(),
        Err(error) => {
            tracing::warn!(
                run = flight.id(),
                error = with_causes(&error),
                "a response stays at the provider"
            );
        }
    }
}

/// What has arrived is for whoever goes on.
async fn give_up(core: &Core, hooks: Guarded<Heard>) -> Result<Driven> {
    drop(hooks);
    core.writer().flush(core, true).await.map(|()| Driven::NotOurs)
}

fn not_ours(flight: &Flight, stop: Stop) -> Driven {
    tracing::warn!(run = flight.id(), ?stop, "the run is not ours any more");
    Driven::NotOurs
}

fn unstorable(flight: &Flight) -> Outcome {
    let refusal = flight.log(|log| log.refusal.clone()).unwrap_or_default();
    Outcome::broken(Reason::Database, refusal, false, RemoteState::Unknown)
}

async fn answer(
    core: &Core,
    flight: &Arc<Flight>,
    row: RunRow,
) -> std::result::Result<Answered, Stop> {
    let definition = match row.definition.read() {
        Ok(definition) => definition,
        Err(error) => {
            let (error, sent) = (error.to_string(), RemoteState::Absent);
            let broken = Outcome::broken(Reason::Definition, error, false, sent);
            return Ok(Answered::Ended(Box::new(broken)));
        }
    };
    rounds::answer(core, flight, &definition, &row).await
}
