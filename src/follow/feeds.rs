//! On which conversations of an owner something happens, for all streams of that owner in this process together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::sync::watch;

use crate::engine::core::Core;
use crate::error::Result;
use crate::model::utc_now;
use crate::store::changed::{self, Changed};

/// How much earlier than the time that it bears a change may have been committed, and how far the clocks of processes may be apart.
pub(super) const MARGIN: Duration = Duration::from_mins(1);

/// Whose conversations.
pub(crate) type OwnerKey = (String, String);

/// What changed, as of one look.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    /// When it was looked for.
    pub(super) at: NaiveDateTime,
    /// From when on: what changed before this was told with an earlier look.
    pub(super) since: NaiveDateTime,
    pub(super) all: Vec<Changed>,
}

/// The conversations of one owner.
#[derive(Debug)]
pub(super) struct Feed {
    owner: OwnerKey,
    changes: watch::Sender<Arc<Changes>>,
}

/// The owners whose conversations are followed here.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    all: Mutex<HashMap<OwnerKey, Weak<Feed>>>,
}

impl Feed {
    /// Hears of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Changes>> {
        self.changes.subscribe()
    }
}

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, HashMap<OwnerKey, Weak<Feed>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of an owner, kept while somebody holds it.
    pub(super) fn join(&self, owner: &OwnerKey) -> Arc<Feed> {
        let mut all = self.lock();
        if let Some(feed) = all.get(owner).and_then(Weak::upgrade) {
            return feed;
        }
        let at = utc_now();
        let nothing = Changes { at, since: at, all: Vec::new() };
        let changes = watch::Sender::new(Arc::new(nothing));
        let feed = Arc::new(Feed { owner: owner.clone(), changes });
        all.insert(owner.clone(), Arc::downgrade(&feed));
        feed
    }

    pub(super) fn are_followed(&self) -> bool {
        self.lock().values().any(|feed| feed.strong_count() > 0)
    }

    fn followed(&self) -> Vec<Arc<Feed>> {
        let mut all = self.lock();
        all.retain(|_, feed| feed.strong_count() > 0);
        all.values().filter_map(Weak::upgrade).collect()
    }

    /// Looks what changed: two statements for each type of owner. Where that fails for one, the others are told all the same.
    pub(super) async fn look(&self, core: &Core) -> Result<()> {
        let mut by_type: HashMap<String, Vec<Arc<Feed>>> = HashMap::new();
        for feed in self.followed() {
            by_type.entry(feed.owner.0.clone()).or_default().push(feed);
        }
        let mut looked = Ok(());
        for (owner_type, feeds) in by_type {
            looked = look_for(core, owner_type, feeds).await.and(looked);
        }
        looked
    }
}

async fn look_for(core: &Core, owner_type: String, feeds: Vec<Arc<Feed>>) -> Result<()> {
    let at = utc_now();
    let last = feeds.iter().map(|feed| feed.changes.borrow().at).min().unwrap_or(at);
    let since = last - MARGIN;
    let owners: Vec<String> = feeds.iter().map(|feed| feed.owner.1.clone()).collect();
    let found =
        core.store().read(move |session| changed::since(session, &owner_type, &owners, since));
    let mut of_owner: HashMap<String, Vec<Changed>> = HashMap::new();
    for (owner, changed) in found.await? {
        of_owner.entry(owner).or_default().push(changed);
    }
    for feed in feeds {
        let all = of_owner.remove(&feed.owner.1).unwrap_or_default();
        feed.changes.send_replace(Arc::new(Changes { at, since, all }));
    }
    Ok(())
}
