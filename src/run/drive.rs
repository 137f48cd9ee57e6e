//! Driving a run: claim, call, settle, announce. A task of the engine's own, also when nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::call;
use super::live::{LiveRun, Stop};
use super::outcome::Outcome;
use super::{owner, settle};
use crate::crash;
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::model::{AssistantDefinition, Messageable, RemoteState, Role, Run, RunRow, RunStatus};
use crate::store::runs::{self, Claim};
use crate::store::session::Session;
use crate::store::{lines, messages, workers};

/// Drives a queued run, unless this process does already, or is about to end.
pub(crate) fn drive(engine: &AiEngine, run: &Run) {
    if !engine.is_closing() {
        drive_to_its_end(engine, run);
    }
}

/// Drives a run that was submitted here: shutdown waits for it.
pub(super) fn drive_to_its_end(engine: &AiEngine, run: &Run) {
    if run.status != RunStatus::Queued {
        return;
    }
    let Some(runtime) = engine.runtime() else {
        return;
    };
    let (live, new) = engine.registry().enter(run.clone());
    if !new {
        return;
    }
    engine.feeds().nudge();
    let leave = Leave { engine: engine.clone(), live: Arc::clone(&live) };
    runtime.spawn(async move {
        let leave = leave;
        if let Err(error) = life(&leave.engine, &leave.live).await {
            let error = with_causes(&error);
            tracing::error!(
                run = leave.live.id,
                error,
                "a run could not be driven to its end; recovery will take it up"
            );
            leave.live.update(|state| state.failure = Some(error));
            leave.engine.look_again_later();
        }
    });
}

/// Wakes whoever waits for the run, whatever became of its task.
struct Leave {
    engine: AiEngine,
    live: Arc<LiveRun>,
}

impl Drop for Leave {
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

async fn life(engine: &AiEngine, live: &Arc<LiveRun>) -> Result<()> {
    let Some(row) = claim(engine, live).await? else {
        return Ok(());
    };
    engine.writer().start(engine);
    let hooks = tokio::spawn(owner::deliver(engine.clone(), Arc::clone(live)));
    let called = tokio::select! {
        biased;
        stop = live.stopped() => Err(stop),
        outcome = answer(engine, live, row) => Ok(outcome),
    };
    let settled = match called {
        Ok(outcome) => settle::settle(engine, live, outcome).await,
        Err(Stop::Cancelled) => settle::settle(engine, live, Outcome::cancelled()).await,
        Err(Stop::Released) => {
            hooks.abort();
            // What has arrived is for whoever goes on.
            return engine.writer().flush(engine, true).await;
        }
        Err(stop) => Ok(Err(stop)),
    };
    match settled {
        Ok(Ok(())) => drive_next(engine, live.parent).await,
        Ok(Err(stop)) => {
            tracing::warn!(run = live.id, ?stop, "the run is not ours any more");
            hooks.abort();
            return Ok(());
        }
        Err(error) => {
            hooks.abort();
            return Err(error);
        }
    }
    let mut hooks = hooks;
    let delivered = tokio::select! {
        // Each remaining call has its own time limit.
        delivered = &mut hooks => matches!(delivered, Ok(true)),
        () = live.released() => false,
    };
    hooks.abort();
    if delivered {
        let id = live.id;
        let noted = persist(engine, move |session| {
            runs::announced(session, id)?;
            crash::point!("announce.committing");
            Ok(())
        });
        if let Err(error) = noted.await {
            // The run has ended all the same; recovery repeats its last hooks.
            tracing::warn!(
                run = id,
                error = with_causes(&error),
                "could not note that the last hooks were called"
            );
        }
        crash::point!("announce.committed");
    }
    Ok(())
}

/// Drives the run whose turn it is now, if one waits.
pub(super) async fn drive_next(engine: &AiEngine, parent: Messageable) {
    if engine.is_closing() || engine.remote().is_none() {
        return;
    }
    let waiting = persistently(engine, || {
        engine.store().read(move |session| lines::first_in_line(session, Some(parent)))
    });
    match waiting.await {
        Ok(waiting) => waiting.into_iter().for_each(|row| drive(engine, &row.into())),
        Err(error) => {
            tracing::warn!(%parent, error = with_causes(&error), "a waiting run is left to recovery");
        }
    }
}

/// Takes the run and this process's lease in one transaction.
async fn claim(engine: &AiEngine, live: &LiveRun) -> Result<Option<RunRow>> {
    let (id, worker, lease) = (live.id, engine.worker().to_owned(), engine.options().lease);
    let claimed = persist(engine, move |session| {
        workers::beat(session, &worker, lease)?;
        let Some(row) = runs::claim(session, id, &worker)? else {
            return Ok(None);
        };
        let said =
            messages::of_run(session, id)?.into_iter().find(|message| message.role == Role::User);
        crash::point!("claim.committing");
        Ok(Some((row, said)))
    });
    let Some((row, said)) = claimed.await? else {
        return Ok(None);
    };
    crash::point!("claim.committed");
    engine.lease_extended();
    live.update(|state| {
        state.claim = Some(Claim { run_id: row.id, token: row.fencing_token });
        state.run = row.clone().into();
        state.user_message = said;
    });
    Ok(Some(row))
}

async fn answer(engine: &AiEngine, live: &LiveRun, row: RunRow) -> Outcome {
    let definition: AssistantDefinition = match serde_json::from_value(row.definition) {
        Ok(definition) => definition,
        Err(error) => {
            return Outcome::broken("definition", error.to_string(), false, RemoteState::Absent);
        }
    };
    match engine.require_remote() {
        Ok(remote) => call::call(engine, remote, live, &definition).await,
        Err(error) => {
            Outcome::broken("configuration", error.to_string(), false, RemoteState::Absent)
        }
    }
}

/// Between two tries of our own database.
const STORE_RETRY: Duration = Duration::from_millis(250);

/// One write transaction, tried again while the lease holds: a database that is away for some seconds costs no run.
pub(super) async fn persist<T: Send + 'static>(
    engine: &AiEngine,
    work: impl Fn(&mut dyn Session) -> Result<T> + Send + Sync + 'static,
) -> Result<T> {
    let work = Arc::new(work);
    persistently(engine, || {
        let once = Arc::clone(&work);
        engine.store().write(move |session| once(session))
    })
    .await
}

/// Work on the database, tried again for as long as a lease holds.
pub(super) async fn persistently<T, F: Future<Output = Result<T>>>(
    engine: &AiEngine,
    work: impl Fn() -> F,
) -> Result<T> {
    let deadline = Instant::now() + engine.options().lease;
    loop {
        match work().await {
            Err(error) if error.may_pass() && Instant::now() < deadline => {
                tracing::warn!(error = with_causes(&error), "the database refused; trying again");
                tokio::time::sleep(STORE_RETRY).await;
            }
            result => return result,
        }
    }
}
