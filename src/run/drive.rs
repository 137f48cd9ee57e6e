//! Driving a run that stands first in its conversation: claim, call, settle; its last hooks follow beside what comes next.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::call;
use super::live::{LiveRun, Stop};
use super::outcome::Outcome;
use super::{announce, owner, settle};
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::model::{AssistantDefinition, Reason, RemoteState, Role, Run, RunRow};
use crate::store::runs::{self, Claim, Fence, Locking};
use crate::store::{deletions, messages, workers};
use crate::task::Guarded;

use super::persist::STORE_RETRY;
pub(super) use super::persist::{persist, persistently};

/// A run that this process drives, in its registry until this is dropped.
#[derive(Debug)]
pub(super) struct Driving {
    engine: AiEngine,
    live: Arc<LiveRun>,
}

impl Driving {
    /// `None`: this process drives it already.
    pub(super) fn enter(engine: &AiEngine, run: Run) -> Option<Self> {
        let (live, new) = engine.registry().enter(run);
        new.then(|| Self { engine: engine.clone(), live })
    }

    pub(super) fn engine(&self) -> &AiEngine {
        &self.engine
    }

    pub(super) fn live(&self) -> &LiveRun {
        &self.live
    }
}

/// Wakes whoever waits for the run, whatever became of its task.
impl Drop for Driving {
    fn drop(&mut self) {
        self.engine.registry().leave(self.live.id);
        self.live.update(|state| {
            if std::thread::panicking() && !state.ended {
                state.failure.get_or_insert_with(|| "its task panicked".to_owned());
            }
            state.finished = true;
        });
    }
}

/// Takes the run, and extends this process's lease, in one transaction.
pub(super) async fn claim(engine: &AiEngine, live: &LiveRun) -> Result<Locking<RunRow>> {
    let (id, worker, lease) = (live.id, engine.worker().to_owned(), engine.options().lease);
    let asked = Instant::now();
    let claimed = persist(engine, Write::Claim, move |session| {
        let row = match runs::claim(session, id, &worker)? {
            Locking::Got(row) => row,
            Locking::Locked => return Ok(Locking::Locked),
            Locking::Nothing => return Ok(Locking::Nothing),
        };
        // Not before the run: whoever has that locked would hold up this process's heartbeats as well.
        workers::beat(session, &worker, lease)?;
        let said =
            messages::of_run(session, id)?.into_iter().find(|message| message.role == Role::User);
        Ok(Locking::Got((row, said)))
    });
    let (row, said) = match claimed.await? {
        Locking::Got(claimed) => claimed,
        Locking::Locked => return Ok(Locking::Locked),
        Locking::Nothing => return Ok(Locking::Nothing),
    };
    engine.lease().extended(asked);
    live.update(|state| {
        state.claim = Some(Claim { run_id: row.id, token: row.fencing_token });
        state.run = row.clone().into();
        state.user_message = said;
    });
    Ok(Locking::Got(row))
}

/// Drives a claimed run until its end is stored, or it is not ours to end any more.
pub(super) async fn drive(driving: Driving, row: RunRow) {
    let (engine, live) = (driving.engine.clone(), Arc::clone(&driving.live));
    match life(&engine, &live, row).await {
        Ok(Some(hooks)) => announce::finish(driving, hooks),
        Ok(None) => {}
        Err(error) => {
            let error = with_causes(&error);
            tracing::error!(
                run = live.id,
                error,
                "a run could not be driven to its end; recovery will take it up"
            );
            live.update(|state| state.failure = Some(error));
            engine.look_again_later();
        }
    }
}

/// The hooks that are still being called, when the end is stored.
async fn life(
    engine: &AiEngine,
    live: &Arc<LiveRun>,
    row: RunRow,
) -> Result<Option<Guarded<bool>>> {
    engine.writer().start(engine);
    engine.lease().keep(engine);
    let hooks = Guarded::spawn(owner::deliver(engine.clone(), Arc::clone(live)));
    let mut answering = Box::pin(answer(engine, live, row));
    let called = tokio::select! {
        biased;
        stop = live.stopped() => Err(stop),
        outcome = &mut answering => Ok(outcome),
    };
    let outcome = match called {
        Ok(outcome) => outcome,
        Err(Stop::Gone) => {
            drop(hooks);
            // The response may just be getting its id, without which it could not be deleted.
            let _ = tokio::time::timeout(IDENTIFIED, async {
                tokio::select! {
                    () = identified(live) => {}
                    _ = &mut answering => {}
                }
            })
            .await;
            drop(answering);
            leave_nothing_behind(engine, live).await;
            return Ok(not_ours(live, Stop::Gone));
        }
        Err(stop) => {
            // What nobody polls any more must hold nothing that the end of this run waits for.
            drop(answering);
            match stop {
                Stop::Cancelled => Outcome::cancelled(),
                Stop::Unstorable => unstorable(live),
                Stop::Released => return give_up(engine, hooks).await,
                stop => return Ok(not_ours(live, stop)),
            }
        }
    };
    let settled = tokio::select! {
        settled = settle::settle(engine, live, outcome) => settled?,
        () = live.released() => return give_up(engine, hooks).await,
    };
    match settled {
        Ok(()) => Ok(Some(hooks)),
        Err(stop) => Ok(not_ours(live, stop)),
    }
}

/// How long a call whose thread was deleted may take to name its response.
const IDENTIFIED: Duration = Duration::from_secs(5);

/// Waits until there is nothing more to find out about what the provider keeps.
async fn identified(live: &LiveRun) {
    live.wait(|state| match &state.call {
        Some(call) if call.conversation.is_some() => call.remote_id.as_ref().map(|_| ()),
        // Nothing was sent, or nothing is kept.
        _ => Some(()),
    })
    .await;
}

/// The thread was deleted in mid-call, perhaps before the response had an id: what the provider keeps of it is noted.
async fn leave_nothing_behind(engine: &AiEngine, live: &LiveRun) {
    let call = live.state().call.clone().filter(|call| call.conversation.is_some());
    let Some(call) = call else { return };
    let Some(remote_id) = call.remote_id else { return };
    let noted = persist(engine, Write::ResponseLeft, move |session| {
        deletions::note_response(session, &remote_id, &call.endpoint, call.protocol)
    });
    match noted.await {
        Ok(()) => engine.work_outbox(),
        Err(error) => {
            tracing::warn!(
                run = live.id,
                error = with_causes(&error),
                "a response stays at the provider"
            );
        }
    }
}

/// What has arrived is for whoever goes on.
async fn give_up<T>(engine: &AiEngine, hooks: Guarded<bool>) -> Result<Option<T>> {
    drop(hooks);
    engine.writer().flush(engine, true).await.map(|()| None)
}

fn not_ours<T>(live: &LiveRun, stop: Stop) -> Option<T> {
    tracing::warn!(run = live.id, ?stop, "the run is not ours any more");
    None
}

fn unstorable(live: &LiveRun) -> Outcome {
    let refusal = live.state().refusal.clone().unwrap_or_default();
    Outcome::broken(Reason::Database, refusal, false, RemoteState::Unknown)
}

async fn answer(engine: &AiEngine, live: &LiveRun, row: RunRow) -> Outcome {
    let definition: AssistantDefinition = match serde_json::from_value(row.definition) {
        Ok(definition) => definition,
        Err(error) => {
            return Outcome::broken(
                Reason::Definition,
                error.to_string(),
                false,
                RemoteState::Absent,
            );
        }
    };
    match engine.require_remote() {
        Ok(remote) => call::call(engine, remote, live, &definition).await,
        Err(error) => {
            Outcome::broken(Reason::Configuration, error.to_string(), false, RemoteState::Absent)
        }
    }
}

/// Looks whether the run is still ours, right before it is sent: a process that slept (a laptop, a stopped container) may
/// have lost it, and another one may be asking the same.
pub(super) async fn look_before_sending(engine: &AiEngine, live: &LiveRun) -> Result<()> {
    if engine.lease().is_fresh(engine.options().lease) {
        return Ok(());
    }
    let claim = call::claim_of(live)?;
    let stop = loop {
        let (worker, lease, asked) =
            (engine.worker().to_owned(), engine.options().lease, Instant::now());
        let held = persist(engine, Write::LeaseCheck, move |session| {
            let held = runs::fence(session, &[claim])?.first().copied();
            if matches!(held, Some(Fence::Held { .. })) {
                workers::beat(session, &worker, lease)?;
            }
            Ok(held.unwrap_or(Fence::Gone))
        });
        match held.await? {
            Fence::Held { cancel: false } => {
                engine.lease().extended(asked);
                return Ok(());
            }
            Fence::Held { cancel: true } => break Stop::Cancelled,
            Fence::Locked => tokio::time::sleep(STORE_RETRY).await,
            Fence::Lost => break Stop::Lost,
            Fence::Gone => break Stop::Gone,
        }
    };
    live.stop(stop);
    // Whoever selects on the stop drops this future.
    std::future::pending().await
}
