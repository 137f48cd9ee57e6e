//! Remote deletions: worked off after the local ones, until the provider has none of it. One task per engine, as long as
//! anything is open; a deletion that fails waits, longer each time.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::core::{Core, Remote};
use crate::error::{Result, with_causes};
use crate::failpoint::{self, Write};
use crate::store::outbox::{self, Deletion, RemoteKind, TRY_MS};

/// Longest time one deletion may take: well before another process may try it.
const ONE_TRY: Duration = Duration::from_millis(TRY_MS.unsigned_abs() * 3 / 4);
/// The wait between two tries of our own database, and the shortest one between two looks.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// The longest wait between two looks.
const LONGEST: Duration = Duration::from_mins(1);

/// The task that works the outbox.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
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
    number: u64,
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut state = self.core.outbox().lock();
        if state.running == Some(self.number) {
            state.running = None;
        }
    }
}

impl Outbox {
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
    /// Has the open deletions at the engine's own endpoint carried out, in the background; those of another endpoint wait
    /// for an engine that speaks to it.
    pub(crate) fn work_outbox(&self) {
        let Some(runtime) =
            self.runtime().filter(|_| self.remote().is_some() && !self.is_closing())
        else {
            return;
        };
        let mut state = self.outbox().lock();
        state.woken = true;
        if state.running.is_some() {
            self.outbox().news.notify_one();
            return;
        }
        state.tasks += 1;
        state.running = Some(state.tasks);
        let task = Task { core: self.clone(), number: state.tasks };
        drop(state);
        runtime.spawn(async move {
            let task = task;
            let mut closing = task.core.closing().subscribe();
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => {}
                () = work(&task.core) => {}
            }
        });
    }
}

async fn work(core: &Core) {
    let Some(remote) = core.remote() else { return };
    loop {
        let wait = match pass(core, remote).await {
            Ok(Some(wait)) => wait.clamp(STORE_RETRY, LONGEST),
            Ok(None) if core.outbox().fall_asleep() => return,
            Ok(None) => Duration::ZERO,
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(error, "remote deletions wait for the database");
                STORE_RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = core.outbox().news.notified() => {}
        }
    }
}

/// Carries out what is due. Returns when the next one is due, if any is open.
async fn pass(core: &Core, remote: &Remote) -> Result<Option<Duration>> {
    let endpoint = remote.provider.endpoint().to_owned();
    loop {
        let at = endpoint.clone();
        match core.store().read(move |session| outbox::next_due(session, &at)).await? {
            Some(0) => {}
            next => return Ok(next.map(|ms| Duration::from_millis(ms.unsigned_abs()))),
        }
        let at = endpoint.clone();
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
        match deletion.kind {
            RemoteKind::Response => remote.provider.delete_response(id).await,
            RemoteKind::Conversation => remote.provider.delete_conversation(id).await,
        }
    };
    let failure = match tokio::time::timeout(ONE_TRY, deleting).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
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
