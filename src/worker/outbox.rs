//! Remote deletions: worked off after the local ones, until the provider has none of it. One task per service, as long as
//! anything is open there; a deletion that fails waits, longer each time.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;

use super::assistants;
use crate::drive::keyed;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::{Result, with_causes};
use crate::failpoint::{self, Write};
use crate::store::outbox::{self, Deletion, RemoteKind, TRY_MS};

/// Longest time one deletion may take: well before another process may try it.
const ONE_TRY: Duration = Duration::from_millis(TRY_MS.unsigned_abs() * 3 / 4);
/// The wait between two tries of our own database, and the shortest one between two looks.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// The longest wait between two looks.
const LONGEST: Duration = Duration::from_mins(1);

/// The tasks that work the outbox, one for each service that this engine speaks to: one that is slow or away must not keep the others
/// from theirs.
#[derive(Debug)]
pub(crate) struct Outbox(Vec<Line>);

/// The deletions at one service.
#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Counts the tasks; the one that runs has this number.
    running: Option<u64>,
    tasks: u64,
    /// Something may have been noted since the task looked last.
    woken: bool,
}

/// Held by the task.
struct Task {
    core: Core,
    line: usize,
    number: u64,
}

impl Task {
    fn line(&self) -> &Line {
        &self.core.outbox().0[self.line]
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut state = self.line().lock();
        if state.running == Some(self.number) {
            state.running = None;
        }
    }
}

impl Outbox {
    /// In the order of the services.
    pub(crate) fn new(services: usize) -> Self {
        Self((0..services).map(|_| Line::default()).collect())
    }
}

impl Line {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the task ends: nothing was noted since its last look.
    fn fall_asleep(&self) -> bool {
        let mut state = self.lock();
        if std::mem::take(&mut state.woken) {
            return false;
        }
        state.running = None;
        true
    }
}

impl Core {
    /// Has the open deletions at the engine's own services carried out, in the background; those at others wait for an
    /// engine that speaks to them.
    pub(crate) fn work_outbox(&self) {
        let Some(runtime) = self.runtime().filter(|_| !self.is_closing()) else {
            return;
        };
        for (at, line) in self.outbox().0.iter().enumerate() {
            let mut state = line.lock();
            state.woken = true;
            if state.running.is_some() {
                line.news.notify_one();
                continue;
            }
            state.tasks += 1;
            state.running = Some(state.tasks);
            let task = Task { core: self.clone(), line: at, number: state.tasks };
            drop(state);
            runtime.spawn(async move {
                let task = task;
                let mut closing = task.core.closing().subscribe();
                tokio::select! {
                    _ = closing.wait_for(|closing| *closing) => {}
                    () = work(&task) => {}
                }
            });
        }
    }
}

async fn work(task: &Task) {
    let (core, line) = (&task.core, task.line());
    let Some(remote) = core.remotes().services().nth(task.line) else { return };
    loop {
        let wait = match both(core, remote).await {
            Ok(Some(wait)) => wait.clamp(STORE_RETRY, LONGEST),
            Ok(None) if line.fall_asleep() => return,
            Ok(None) => Duration::ZERO,
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(error, "what is to be done at the provider waits for the database");
                STORE_RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = line.news.notified() => {}
        }
    }
}

/// Deletes, and brings assistants in step. Returns when the next is due of either.
async fn both(core: &Core, remote: &Remote) -> Result<Option<Duration>> {
    let deletion = pass(core, remote).await?;
    let assistant = assistants::pass(core, remote).await?;
    Ok(deletion.into_iter().chain(assistant).min())
}

/// Carries out what is due. Returns when the next one is due, if any is open.
async fn pass(core: &Core, remote: &Remote) -> Result<Option<Duration>> {
    loop {
        let at = remote.service.clone();
        match core.store().read(move |session| outbox::next_due(session, &at)).await? {
            Some(0) => {}
            next => return Ok(next.map(|ms| Duration::from_millis(ms.unsigned_abs()))),
        }
        let at = remote.service.clone();
        // `None`: another process was faster.
        if let Some(deletion) = core
            .store()
            .write(Write::DeletionClaim, move |session| outbox::take(session, &at))
            .await?
        {
            carry_out(core, remote, deletion).await?;
        }
    }
}

async fn carry_out(core: &Core, remote: &Remote, deletion: Deletion) -> Result<()> {
    let id = &deletion.remote_id;
    let deleting = async {
        let deleted = match deletion.kind {
            RemoteKind::Response => remote.provider.delete_response(id).await,
            RemoteKind::Conversation => remote.provider.delete_conversation(id).await,
            RemoteKind::Assistant => remote.provider.delete_assistant(id).await,
            RemoteKind::AssistantsOfKey => return keyed::delete(core, remote, id).await,
        };
        deleted.map_err(|error| error.to_string())
    };
    let failure = match tokio::time::timeout(ONE_TRY, deleting).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(format!("the provider took longer than {ONE_TRY:?}")),
    };
    let Some(failure) = failure else {
        failpoint::point!("deletion.carried_out");
        let row = deletion.id;
        return core
            .store()
            .write(Write::DeletionDone, move |session| outbox::done(session, row))
            .await;
    };
    // The provider's words are in the row; they may quote what was said.
    tracing::warn!(kind = %deletion.kind, id, attempts = deletion.attempts, "a remote deletion failed; it is tried again later");
    core.store()
        .write(Write::DeletionFailed, move |session| outbox::failed(session, &deletion, &failure))
        .await
}
