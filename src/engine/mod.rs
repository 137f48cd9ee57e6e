//! The engine: a database, a provider, the host's owners, and the runs this process drives.

mod builder;
mod options;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::watch;

pub use builder::EngineBuilder;
pub use options::History;
pub(crate) use options::Options;

use crate::error::{Error, Result};
use crate::hooks::LoadedOwner;
use crate::model::{Answer, Message, Messageable, Reason, Run, RunStatus};
use crate::protocol::Protocol;
use crate::run::{Announcements, Feeds, Lanes, Lease, Outbox, Registry, Troubles, Upkeep};
use crate::store::database::{Database, Store};
use crate::store::session::Session;
use crate::store::{messages, migrate, refuse_within, runs, threads};
use crate::writer::Writer;

/// The engine. Cheap to clone; clones are the same engine.
///
/// One per process is enough. Call [`start`](Self::start) before requests are served and [`shutdown`](Self::shutdown) at the end.
/// It needs a tokio runtime whenever it is awaited; runs are driven by tasks on it.
///
/// # Whose run is it?
///
/// The methods that take a run or its id ([`run`](Self::run), [`messages_of`](Self::messages_of), [`answer`](Self::answer),
/// [`cancel`](Self::cancel)) find any run of the database and check nobody's ownership: an id that a browser sent belongs into
/// [`OwnedRuns`](crate::OwnedRuns).
#[derive(Clone)]
pub struct AiEngine {
    inner: Arc<Inner>,
}

type Loader = Arc<dyn Fn(&mut dyn Session, &str) -> Result<Option<LoadedOwner>> + Send + Sync>;

struct Inner {
    store: Store,
    remote: Option<Remote>,
    loaders: HashMap<&'static str, Loader>,
    state: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    options: Options,
    /// This process among those of the database.
    worker: String,
    registry: Registry,
    lanes: Lanes,
    announcements: Announcements,
    feeds: Feeds,
    writer: Writer,
    lease: Lease,
    runtime: Option<Handle>,
    outbox: Outbox,
    upkeep: Upkeep,
    troubles: Troubles,
    /// A second look of `recover` is due.
    second_look: AtomicBool,
    /// The engine takes no new run.
    closing: watch::Sender<bool>,
    /// Its last words are stored: whoever reads here need not wait for more.
    closed: watch::Sender<bool>,
    /// Read by whoever submits, until the run is driven.
    submitting: tokio::sync::RwLock<()>,
}

/// The provider and how its help with the history is used.
pub(crate) struct Remote {
    pub(crate) protocol: Arc<dyn Protocol>,
    pub(crate) history: History,
    /// The conversations of this server were looked into, and hold what was said.
    verified: AtomicBool,
    /// The server takes conversations and does not keep them.
    ignores: AtomicBool,
}

impl Remote {
    fn new(protocol: Arc<dyn Protocol>, history: History) -> Self {
        let verified = AtomicBool::new(protocol.surely_keeps_conversations());
        Self { protocol, history, verified, ignores: AtomicBool::new(false) }
    }

    pub(crate) fn keeps_conversations(&self) -> bool {
        self.history == History::Conversation && !self.ignores.load(Ordering::SeqCst)
    }

    /// Whether it is known that conversations are kept here, and not only taken.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified.load(Ordering::SeqCst)
    }

    pub(crate) fn verify(&self) {
        self.verified.store(true, Ordering::SeqCst);
    }

    pub(crate) fn ignore_conversations(&self) {
        self.ignores.store(true, Ordering::SeqCst);
    }
}

impl AiEngine {
    /// Begins an engine that lives in `database`.
    pub fn builder<D: Database>(database: D) -> EngineBuilder<D> {
        EngineBuilder::new(database)
    }

    /// Runs the migrations this database does not have yet; returns how many. Safe to call at every start of every
    /// process, also by several at once; [`start`](Self::start) does it.
    ///
    /// # Cancellation
    ///
    /// All pending migrations are one transaction, which dropping the future does not interrupt: call it again to know.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], or the database's. Then none of them was run.
    pub async fn migrate(&self) -> Result<usize> {
        // On the bare connection: the migrations begin their own transaction.
        self.inner.store.read(migrate::migrate).await
    }

    /// The run with this id, as it is stored now.
    ///
    /// Checks nobody's ownership: for an id that a browser sent use [`OwnedRuns::run`](crate::OwnedRuns::run).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or the database's.
    pub async fn run(&self, id: i64) -> Result<Run> {
        self.inner.store.read(move |session| runs::require(session, id)).await
    }

    /// The messages of a run, in order: the user's and the model's, which is there once its first word is stored. None when the run
    /// was deleted.
    ///
    /// Checks nobody's ownership: get the run from [`OwnedRuns::run`](crate::OwnedRuns::run).
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn messages_of(&self, run: &Run) -> Result<Vec<Message>> {
        let id = run.id;
        self.inner.store.read(move |session| messages::of_run(session, id)).await
    }

    /// Waits for a run to end, whichever process drives it, and returns its answer. A run that this process drives is waited for
    /// until its last hooks were called.
    ///
    /// A run that waits for its turn, or that nobody drives yet, is waited for as well, however long that takes: a started engine
    /// ([`start`](Self::start)) sees to it that each comes to an end. For a limit of time put it into `tokio::time::timeout`.
    ///
    /// Checks nobody's ownership: for an id that a browser sent ask [`OwnedRuns::run`](crate::OwnedRuns::run) first.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the run going.
    ///
    /// # Errors
    ///
    /// [`Error::RunFailed`] when it ended without an answer, [`Error::RunGone`] when it was deleted,
    /// [`Error::NotDriven`] when this process had to give it up, [`Error::ShuttingDown`] when the engine was shut down
    /// before the run ended, or the database's.
    pub async fn answer(&self, run: i64) -> Result<Answer> {
        refuse_within()?;
        self.keep_up();
        loop {
            // Whoever began to drive it meanwhile, perhaps because it waited for its turn, is waited for like that.
            if let Some(message) = self.driven_here(run).await {
                return Err(Error::NotDriven { run_id: run, message });
            }
            let found = self.inner.store.read(move |session| {
                let Some(row) = runs::find(session, run)? else {
                    return Err(Error::RunGone(run));
                };
                Ok((Run::from(row), messages::of_run(session, run)?))
            });
            let (ended, said) = found.await?;
            if ended.status.is_terminal() {
                // It may have begun and ended since we asked; its end is stored, whatever became of its hooks.
                self.driven_here(run).await;
                return answer_of(ended, said);
            }
            // Another process drives it, or nobody yet: one look into the database tells all who wait.
            let mut events = ended.events(self);
            while let Some(event) = events.next().await {
                event?;
            }
            if *self.inner.closed.borrow() {
                return Err(Error::ShuttingDown);
            }
        }
    }

    /// Waits until this process drives the run no more; why it could not be driven to its end, if so.
    async fn driven_here(&self, run: i64) -> Option<String> {
        let live = self.inner.registry.get(run)?;
        live.wait(|state| state.finished.then(|| state.failure.clone())).await
    }

    pub(crate) fn state<T: Any + Send + Sync>(&self) -> Result<&T> {
        let found = self.inner.state.get(&TypeId::of::<T>()).and_then(|state| state.downcast_ref());
        found.ok_or_else(|| Error::NoState(std::any::type_name::<T>()))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.inner.remote.as_ref()
    }

    pub(crate) fn require_remote(&self) -> Result<&Remote> {
        let missing = || {
            Error::Configuration(
                "the engine has no provider; add `.openai(…)` to its builder".to_owned(),
            )
        };
        self.remote().ok_or_else(missing)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(crate) fn feeds(&self) -> &Feeds {
        &self.inner.feeds
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    pub(crate) fn announcements(&self) -> &Announcements {
        &self.inner.announcements
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.inner.lease
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    pub(crate) fn upkeep(&self) -> &Upkeep {
        &self.inner.upkeep
    }

    pub(crate) fn troubles(&self) -> &Troubles {
        &self.inner.troubles
    }

    /// Whether this process holds nothing for which it needs a lease.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.inner.registry.is_empty() && self.inner.announcements.is_empty()
    }

    /// The types of owners that this engine can load.
    pub(crate) fn owner_kinds(&self) -> Vec<&'static str> {
        self.inner.loaders.keys().copied().collect()
    }

    /// Takes it upon the caller to look a second time, unless somebody will already.
    pub(crate) fn claim_second_look(&self) -> bool {
        !self.inner.second_look.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn release_second_look(&self) {
        self.inner.second_look.store(false, Ordering::SeqCst);
    }

    /// Whether the engine is being shut down.
    pub(crate) fn closing(&self) -> &watch::Sender<bool> {
        &self.inner.closing
    }

    /// Whether the engine was shut down.
    pub(crate) fn closed(&self) -> &watch::Sender<bool> {
        &self.inner.closed
    }

    pub(crate) fn submitting(&self) -> &tokio::sync::RwLock<()> {
        &self.inner.submitting
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.inner.closing.borrow()
    }

    pub(crate) fn worker(&self) -> &str {
        &self.inner.worker
    }

    /// The runtime to drive runs on: the caller's, else the one the engine was built on.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.inner.runtime.clone())
    }

    /// Fails for a type of owner whose hooks could not be called.
    pub(crate) fn check_loader(&self, kind: &str) -> Result<()> {
        if self.inner.loaders.contains_key(kind) {
            Ok(())
        } else {
            Err(Error::NoLoader(kind.to_owned()))
        }
    }

    /// Loads the owner of a thread or chat. `None`: one of them is gone.
    pub(crate) async fn load_owner(&self, parent: Messageable) -> Result<Option<LoadedOwner>> {
        let engine = self.clone();
        self.inner
            .store
            .read(move |session| {
                let Some((kind, id)) = threads::owner(session, parent)? else {
                    return Ok(None);
                };
                let loader =
                    engine.inner.loaders.get(kind.as_str()).ok_or(Error::NoLoader(kind))?;
                loader(session, &id)
            })
            .await
    }

    /// Runs were deleted here: stop driving them, and have the provider delete its part.
    pub(crate) fn runs_destroyed(&self, runs: &[i64]) {
        self.inner.registry.stop(runs, crate::run::Stop::Gone);
        self.inner.feeds.nudge();
        self.work_outbox();
    }

    /// Something was noted for the provider to delete, in a transaction of the host that has not committed.
    pub(crate) fn remote_deletions_noted(&self) {
        let Some(runtime) = self.runtime().filter(|_| self.remote().is_some()) else {
            return;
        };
        let engine = self.clone();
        runtime.spawn(async move {
            for wait in options::LOOKS_FOR_DELETIONS {
                tokio::time::sleep(wait).await;
                engine.work_outbox();
            }
        });
    }
}

impl std::fmt::Debug for AiEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut owners: Vec<_> = self.inner.loaders.keys().collect();
        owners.sort();
        f.debug_struct("AiEngine")
            .field("worker", &self.inner.worker)
            .field("owners", &owners)
            .finish_non_exhaustive()
    }
}

/// What a run that has ended answered.
fn answer_of(run: Run, said: Vec<Message>) -> Result<Answer> {
    if run.status == RunStatus::Failed {
        let reason = run.reason.unwrap_or(Reason::ProviderError);
        return Err(Error::RunFailed {
            run_id: run.id,
            reason,
            message: run.error.unwrap_or_default(),
        });
    }
    let messages = said.into_iter().filter(Message::is_assistant).collect();
    Ok(Answer { run, messages })
}
