//! The hubs of all conversations that have readers here. One task looks into the database for all of them, four times a
//! second and whenever something of ours begins.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::feeds::{Feed, Feeds, OwnerKey};
use super::hub::Hub;
use super::readers::Readers;
use crate::engine::TICK;
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::model::Messageable;
use crate::store::timeline::{self, Question};
use crate::store::verdict::{Verdict, verdict};
use crate::task::Running;

/// Where there is something to look for.
#[derive(Debug, Default)]
struct Heard {
    /// Anywhere.
    anywhere: bool,
    /// A turn began on one of these, or more of a run is stored.
    of: HashSet<Messageable>,
    /// A turn began.
    turn: bool,
}

/// The hubs that have readers.
#[derive(Debug, Default)]
pub(crate) struct Hubs {
    all: Mutex<HashMap<Messageable, Weak<Hub>>>,
    running: AtomicBool,
    pub(crate) readers: Readers,
    /// Owners all of whose conversations are followed.
    feeds: Feeds,
    /// Something began that readers may be waiting for.
    news: Notify,
    heard: Mutex<Heard>,
    /// Held by the one look at a time: a later one must not be overtaken by an earlier.
    looking: tokio::sync::Mutex<()>,
}

impl Hubs {
    fn lock(&self) -> MutexGuard<'_, HashMap<Messageable, Weak<Hub>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub of a conversation, kept while somebody holds it.
    pub(crate) fn join(core: &Core, of: Messageable) -> Arc<Hub> {
        core.keep_up();
        let hubs = core.hubs();
        let mut all = hubs.lock();
        let found = all.get(&of).and_then(Weak::upgrade);
        let hub = found.unwrap_or_else(|| {
            let hub = Arc::new(Hub::new(of));
            all.insert(of, Arc::downgrade(&hub));
            hub
        });
        drop(all);
        hubs.see_that_somebody_looks(core);
        hub
    }

    /// What happens on the conversations of an owner.
    pub(super) fn join_owner(core: &Core, owner: &OwnerKey) -> Arc<Feed> {
        core.keep_up();
        let hubs = core.hubs();
        let feed = hubs.feeds.join(owner);
        hubs.see_that_somebody_looks(core);
        feed
    }

    fn see_that_somebody_looks(&self, core: &Core) {
        if !self.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(keep_looking(core.clone()));
        }
        #[cfg(feature = "postgres")]
        core.listen();
    }

    fn hear(&self, hear: impl FnOnce(&mut Heard)) {
        if self.running.load(Ordering::SeqCst) {
            hear(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
            self.news.notify_one();
        }
    }

    fn take_heard(&self) -> Heard {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something began in this process.
    pub(crate) fn nudge(&self) {
        self.hear(|heard| heard.anywhere = true);
    }

    /// Another process stored something of this conversation.
    #[cfg(feature = "postgres")]
    pub(crate) fn heard(&self, of: Messageable) {
        if self.lock().get(&of).is_some_and(|hub| hub.strong_count() > 0) {
            self.hear(|heard| heard.of.extend([of]));
        }
    }

    /// A turn began on this conversation, perhaps in another process.
    #[cfg(feature = "postgres")]
    pub(crate) fn heard_of_turn(&self, of: Messageable) {
        self.heard(of);
        if self.feeds.are_followed() {
            self.hear(|heard| heard.turn = true);
        }
    }

    /// Whether somebody follows a conversation here.
    #[cfg(feature = "postgres")]
    pub(crate) fn are_read(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// The hubs that still have readers.
    fn read(&self) -> Vec<Arc<Hub>> {
        let mut all = self.lock();
        all.retain(|_, hub| hub.strong_count() > 0);
        all.values().filter_map(Weak::upgrade).collect()
    }

    /// Ends the task, unless a hub was joined in between and found it running.
    fn retire(&self) -> bool {
        let all = self.lock();
        let retired = all.values().all(|hub| hub.strong_count() == 0) && !self.feeds.are_followed();
        if !retired {
            return false;
        }
        self.running.store(false, Ordering::SeqCst);
        // An owner may have been joined in between, and found it running.
        !self.feeds.are_followed() || self.running.swap(true, Ordering::SeqCst)
    }
}

async fn keep_looking(core: Core) {
    let running = Running::new(&core, |core| &core.hubs().running);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            _ = ticks.tick() => Heard { anywhere: true, ..core.hubs().take_heard() },
            () = core.hubs().news.notified() => core.hubs().take_heard(),
        };
        let mut hubs = core.hubs().read();
        if hubs.is_empty() && core.hubs().retire() {
            return running.retire();
        }
        hubs.retain(|hub| heard.anywhere || heard.of.contains(&hub.of));
        if let Err(error) = look_everywhere(&core, &hubs, heard.anywhere || heard.turn).await {
            let error = with_causes(&error);
            tracing::warn!(
                error,
                "could not look for what happens on threads and chats; readers wait"
            );
            ticks.tick().await;
        }
    }
}

async fn look_everywhere(core: &Core, hubs: &[Arc<Hub>], owners: bool) -> Result<()> {
    let looked = if hubs.is_empty() { Ok(()) } else { look(core, hubs).await };
    // A conversation's row that cannot be read must not blind the readers of others, nor the other way round.
    if owners {
        core.hubs().feeds.look(core).await?;
    }
    looked
}

/// Looks for the first time, unless somebody has meanwhile.
pub(crate) async fn look_first(core: &Core, hub: &Arc<Hub>) -> Result<()> {
    let _alone = core.hubs().looking.lock().await;
    if hub.is_unknown() { answer(core, std::slice::from_ref(hub)).await } else { Ok(()) }
}

/// Asks the database about these conversations.
pub(crate) async fn look(core: &Core, hubs: &[Arc<Hub>]) -> Result<()> {
    let _alone = core.hubs().looking.lock().await;
    answer(core, hubs).await
}

async fn answer(core: &Core, hubs: &[Arc<Hub>]) -> Result<()> {
    match answer_together(core, hubs).await {
        // A row that cannot be read must not blind the readers of other conversations.
        Err(error) if hubs.len() > 1 && verdict(&error) == Verdict::OfTheRow => {
            for hub in hubs {
                if let Err(error) = answer_together(core, std::slice::from_ref(hub)).await {
                    let (of, error) = (hub.of, with_causes(&error));
                    tracing::warn!(%of, error, "could not look for what happens; its readers wait");
                }
            }
            Ok(())
        }
        answered => answered,
    }
}

async fn answer_together(core: &Core, hubs: &[Arc<Hub>]) -> Result<()> {
    let questions: Vec<Question> = hubs.iter().map(|hub| hub.question()).collect();
    let answers = core.store().read(move |session| timeline::look(session, &questions)).await?;
    for (hub, answer) in hubs.iter().zip(answers) {
        hub.learn(core, answer);
    }
    Ok(())
}
