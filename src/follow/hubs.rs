//! The hubs of all conversations that have readers here. One task looks into the database for all of them, four times a
//! second and whenever something of ours begins.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::hub::Hub;
use super::readers::Readers;
use crate::engine::TICK;
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::model::Messageable;
use crate::store::timeline::{self, Question};
use crate::store::verdict::{Verdict, verdict};
use crate::task::Running;

/// The hubs that have readers.
#[derive(Debug, Default)]
pub(crate) struct Hubs {
    all: Mutex<HashMap<Messageable, Weak<Hub>>>,
    running: AtomicBool,
    pub(crate) readers: Readers,
    /// Something began that readers may be waiting for.
    news: Notify,
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
        if !hubs.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(keep_looking(core.clone()));
        }
        hub
    }

    /// Something began in this process.
    pub(crate) fn nudge(&self) {
        if self.running.load(Ordering::SeqCst) {
            self.news.notify_one();
        }
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
        let retired = all.values().all(|hub| hub.strong_count() == 0);
        if retired {
            self.running.store(false, Ordering::SeqCst);
        }
        retired
    }
}

async fn keep_looking(core: Core) {
    let running = Running::new(&core, |core| &core.hubs().running);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = core.hubs().news.notified() => {}
        }
        let hubs = core.hubs().read();
        if hubs.is_empty() && core.hubs().retire() {
            return running.retire();
        }
        if let Err(error) = look(&core, &hubs).await {
            let error = with_causes(&error);
            tracing::warn!(
                error,
                "could not look for what happens on threads and chats; readers wait"
            );
            ticks.tick().await;
        }
    }
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
