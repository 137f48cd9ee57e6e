//! What the tasks of an engine share: its database and providers, its settings, the runs it drives, and the state of each room.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::options::{LOOKS_FOR_DELETIONS, Options};
use super::remotes::Remotes;
use crate::drive::flight::Stop;
use crate::drive::registry::Registry;
use crate::drive::titles::Titles;
use crate::drive::writer::Writer;
use crate::error::{Error, Result};
use crate::follow::hubs::Hubs;
use crate::follow::transcript::Transcript;
use crate::host::before_run::Words;
use crate::host::hooks::LoadedOwner;
use crate::model::Messageable;
use crate::store::database::Store;
use crate::store::session::Session;
use crate::store::threads;
use crate::tool::Tools;
use crate::worker::announce::Announcements;
use crate::worker::keep::Upkeep;
use crate::worker::lanes::Lanes;
use crate::worker::lease::Lease;
#[cfg(feature = "postgres")]
use crate::worker::listen::Listening;
use crate::worker::outbox::Outbox;
use crate::worker::places::Places;
use crate::worker::troubles::Troubles;

pub(crate) type Loader =
    Arc<dyn Fn(&mut dyn Session, &str) -> Result<Option<LoadedOwner>> + Send + Sync>;

/// The engine. Cheap to clone; clones are the same engine.
///
/// One per process is enough. Call [`start`](Self::start) before requests are served and [`shutdown`](Self::shutdown) at the end.
/// It needs a tokio runtime whenever it is awaited; runs are driven by tasks on it.
///
/// # Whose run is it?
///
/// The methods that take a run or its id ([`find_run`](Self::find_run), [`messages_of`](Self::messages_of),
/// [`answer`](Self::answer), [`cancel_run`](Self::cancel_run)) find any run of the database, and do not check who owns it. For an id
/// that a browser sent use [`OwnedRuns`](crate::OwnedRuns).
#[derive(Clone)]
pub struct AiEngine {
    pub(crate) core: Core,
}

impl From<Core> for AiEngine {
    fn from(core: Core) -> Self {
        Self { core }
    }
}

impl std::fmt::Debug for AiEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.core.fmt(f)
    }
}

/// The engine as its own tasks have it. Cheap to clone; clones are the same engine.
#[derive(Clone)]
pub(crate) struct Core {
    inner: Arc<Inner>,
}

/// All that an engine is made of.
struct Inner {
    store: Store,
    remotes: Remotes,
    loaders: HashMap<&'static str, Loader>,
    state: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    tools: Tools,
    owners_words: Words,
    options: Options,
    /// This process among those of the database.
    worker: String,
    registry: Registry,
    lanes: Lanes,
    places: Places,
    announcements: Announcements,
    hubs: Hubs,
    writer: Writer,
    titles: Titles,
    lease: Lease,
    runtime: Option<Handle>,
    outbox: Outbox,
    upkeep: Upkeep,
    #[cfg(feature = "postgres")]
    listening: Listening,
    troubles: Troubles,
    /// A second look of `recover` is due.
    second_look: AtomicBool,
    /// The engine takes no new run.
    closing: watch::Sender<bool>,
    /// Its last words are stored: whoever reads here need not wait for more.
    closed: watch::Sender<bool>,
    /// A shutdown has ended.
    over: watch::Sender<bool>,
    /// Read by whoever submits, until the run is driven.
    submitting: tokio::sync::RwLock<()>,
}

impl Core {
    pub(super) fn new(
        store: Store,
        remotes: Remotes,
        loaders: HashMap<&'static str, Loader>,
        state: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
        tools: Tools,
        options: Options,
    ) -> Self {
        let inner = Inner {
            store,
            outbox: Outbox::new(remotes.services().count()),
            remotes,
            loaders,
            state,
            tools,
            owners_words: Words::default(),
            places: Places::new(options.max_concurrent_runs),
            options,
            worker: worker_id(),
            registry: Registry::default(),
            lanes: Lanes::default(),
            announcements: Announcements::default(),
            hubs: Hubs::default(),
            writer: Writer::default(),
            titles: Titles::default(),
            lease: Lease::default(),
            upkeep: Upkeep::default(),
            #[cfg(feature = "postgres")]
            listening: Listening::default(),
            troubles: Troubles::default(),
            second_look: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            closed: watch::Sender::new(false),
            over: watch::Sender::new(false),
            submitting: tokio::sync::RwLock::default(),
            runtime: Handle::try_current().ok(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.inner.tools
    }

    pub(crate) fn owners_words(&self) -> &Words {
        &self.inner.owners_words
    }

    pub(crate) fn state<T: Any + Send + Sync>(&self) -> Result<&T> {
        let found = self.inner.state.get(&TypeId::of::<T>()).and_then(|state| state.downcast_ref());
        found.ok_or_else(|| Error::NoState(std::any::type_name::<T>()))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn remotes(&self) -> &Remotes {
        &self.inner.remotes
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// What is seen of a run that this process drives.
    pub(crate) fn transcript(&self, run: i64) -> Option<Arc<Transcript>> {
        self.inner.registry.get(run).map(|flight| Arc::clone(&flight.transcript))
    }

    pub(crate) fn hubs(&self) -> &Hubs {
        &self.inner.hubs
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    pub(crate) fn titles(&self) -> &Titles {
        &self.inner.titles
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    pub(crate) fn places(&self) -> &Places {
        &self.inner.places
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

    #[cfg(feature = "postgres")]
    pub(crate) fn listening(&self) -> &Listening {
        &self.inner.listening
    }

    pub(crate) fn troubles(&self) -> &Troubles {
        &self.inner.troubles
    }

    /// Whether this process holds nothing for which it needs a lease.
    pub(crate) fn holds_nothing(&self) -> bool {
        let registry = &self.inner.registry;
        registry.is_empty() && registry.hearings.is_empty() && self.inner.announcements.is_empty()
    }

    /// How owners of this type are loaded.
    pub(crate) fn loader(&self, kind: &str) -> Option<Loader> {
        self.inner.loaders.get(kind).cloned()
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

    pub(crate) fn over(&self) -> &watch::Sender<bool> {
        &self.inner.over
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
        self.inner.registry.stop(runs, Stop::Gone);
        self.inner.hubs.nudge();
        self.work_outbox();
    }

    /// Something was noted for the provider to delete, in a transaction of the host that has not committed.
    pub(crate) fn remote_deletions_noted(&self) {
        let Some(runtime) = self.runtime().filter(|_| !self.remotes().is_empty()) else {
            return;
        };
        let engine = self.clone();
        runtime.spawn(async move {
            for wait in LOOKS_FOR_DELETIONS {
                tokio::time::sleep(wait).await;
                engine.work_outbox();
            }
        });
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut owners: Vec<_> = self.inner.loaders.keys().collect();
        owners.sort();
        f.debug_struct("AiEngine")
            .field("worker", &self.inner.worker)
            .field("owners", &owners)
            .finish_non_exhaustive()
    }
}

/// Unlike that of any other engine on the database: the process and 128 random bits.
fn worker_id() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{}-{:016x}{:016x}", std::process::id(), random(), random())
}
