//! The feeds of all conversations that have readers here. One task looks into the database for all of them, four times a
//! second and whenever something of ours begins.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::feed::Feed;
use super::persist::{Verdict, verdict};
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::model::Messageable;
use crate::store::turns::{self, Question};
use crate::task::Running;
use crate::writer::TICK;

/// The feeds that have readers.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    all: Mutex<HashMap<Messageable, Weak<Feed>>>,
    running: AtomicBool,
    /// Something began that readers may be waiting for.
    news: Notify,
    /// Held by the one look at a time: a later one must not be overtaken by an earlier.
    looking: tokio::sync::Mutex<()>,
}

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, HashMap<Messageable, Weak<Feed>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The feed of a conversation, kept while somebody holds it.
    pub(super) fn join(engine: &AiEngine, of: Messageable) -> Arc<Feed> {
        engine.keep_up();
        let feeds = engine.feeds();
        let mut all = feeds.lock();
        let found = all.get(&of).and_then(Weak::upgrade);
        let feed = found.unwrap_or_else(|| {
            let feed = Arc::new(Feed::new(of));
            all.insert(of, Arc::downgrade(&feed));
            feed
        });
        if !feeds.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(keep_looking(engine.clone()));
        }
        feed
    }

    /// Something began in this process.
    pub(crate) fn nudge(&self) {
        if self.running.load(Ordering::SeqCst) {
            self.news.notify_one();
        }
    }

    /// The feeds that still have readers.
    fn read(&self) -> Vec<Arc<Feed>> {
        let mut all = self.lock();
        all.retain(|_, feed| feed.strong_count() > 0);
        all.values().filter_map(Weak::upgrade).collect()
    }

    /// Ends the task, unless a feed was joined in between and found it running.
    fn retire(&self) -> bool {
        let all = self.lock();
        let retired = all.values().all(|feed| feed.strong_count() == 0);
        if retired {
            self.running.store(false, Ordering::SeqCst);
        }
        retired
    }
}

async fn keep_looking(engine: AiEngine) {
    let running = Running::new(&engine, |engine| &engine.feeds().running);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = engine.feeds().news.notified() => {}
        }
        let feeds = engine.feeds().read();
        if feeds.is_empty() && engine.feeds().retire() {
            return running.retire();
        }
        if let Err(error) = look(&engine, &feeds).await {
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
pub(super) async fn look_first(engine: &AiEngine, feed: &Arc<Feed>) -> Result<()> {
    let _alone = engine.feeds().looking.lock().await;
    if feed.is_unknown() { answer(engine, std::slice::from_ref(feed)).await } else { Ok(()) }
}

/// Asks the database about these conversations.
pub(super) async fn look(engine: &AiEngine, feeds: &[Arc<Feed>]) -> Result<()> {
    let _alone = engine.feeds().looking.lock().await;
    answer(engine, feeds).await
}

async fn answer(engine: &AiEngine, feeds: &[Arc<Feed>]) -> Result<()> {
    match answer_together(engine, feeds).await {
        // A row that cannot be read must not blind the readers of other conversations.
        Err(error) if feeds.len() > 1 && verdict(&error) == Verdict::OfTheRow => {
            for feed in feeds {
                if let Err(error) = answer_together(engine, std::slice::from_ref(feed)).await {
                    let (of, error) = (feed.of, with_causes(&error));
                    tracing::warn!(%of, error, "could not look for what happens; its readers wait");
                }
            }
            Ok(())
        }
        answered => answered,
    }
}

async fn answer_together(engine: &AiEngine, feeds: &[Arc<Feed>]) -> Result<()> {
    let questions: Vec<Question> = feeds.iter().map(|feed| feed.question()).collect();
    let answers = engine.store().read(move |session| turns::look(session, &questions)).await?;
    for (feed, answer) in feeds.iter().zip(answers) {
        feed.learn(engine, answer);
    }
    Ok(())
}
