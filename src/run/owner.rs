//! Calling the owner's hooks: loaded once per run, one call at a time, each with a time limit, none able to harm.

use std::future::Future;
use std::sync::Arc;

use super::drive::persistently;
use super::live::LiveRun;
use super::told::{Change as News, Told};
use crate::engine::AiEngine;
use crate::error::{HookResult, Result, with_causes};
use crate::failpoint;
use crate::hooks::{Change, HookContext, LoadedOwner};
use crate::model::{Message, Messageable, Run};
use crate::task::Guarded;

/// Delivers what happens to a run until it has ended. `false`: its last hooks are still to be delivered.
pub(super) async fn deliver(engine: AiEngine, live: Arc<LiveRun>) -> bool {
    let owner = match load(&engine, live.parent).await {
        Ok(Some(owner)) => owner,
        // Nobody is there to hear of it.
        Ok(None) => return true,
        Err(_) => return false,
    };
    let mut caller = Caller { engine, owner, run: Arc::new(live.state().run.clone()) };
    let mut told = Told::default();
    // The messages as the hooks have seen them.
    let mut seen: Vec<Arc<Message>> = Vec::new();
    loop {
        let next = live.wait(|state| match state.after(&mut told) {
            Some(news) => Some(Some(news)),
            None => state.finished.then_some(None),
        });
        let Some(news) = next.await else { return false };
        match news {
            // The hooks of a run begin with its messages.
            News::Queued(_) => {}
            News::UserMessage(message) | News::Said(message) => {
                caller.created(Arc::new(message)).await
            }
            News::Begun(run) => caller.run_updated(run).await,
            News::Created(message) => {
                let message = Arc::new(message);
                seen.push(Arc::clone(&message));
                caller.created(message).await;
            }
            News::Appended { message_id, text, .. } => {
                if let Some(message) = seen.iter_mut().rfind(|message| message.id == message_id) {
                    // No copy, unless a hook that ran out of time still holds the last one.
                    Arc::make_mut(message).content.push_str(&text);
                    caller.appended(Arc::clone(message), text).await;
                }
            }
            News::Replaced(message) => caller.settled(message, true).await,
            News::Settled(message) => caller.settled(message, false).await,
            News::Ended(run) => {
                failpoint::point!("last_hooks.between");
                caller.run_updated(run).await;
                return true;
            }
        }
    }
}

/// Delivers the end of a run that another process, or an earlier life of this one, did not announce. What its hooks
/// saw is not known, so each message comes as replaced: whole. `false`: it is still to be delivered.
pub(super) async fn deliver_end(engine: &AiEngine, run: Run, messages: Vec<Message>) -> bool {
    let owner = match load(engine, run.messageable).await {
        Ok(Some(owner)) => owner,
        Ok(None) => return true,
        Err(_) => return false,
    };
    let mut caller = Caller { engine: engine.clone(), owner, run: Arc::new(run.clone()) };
    for message in messages {
        caller.settled(message, true).await;
    }
    failpoint::point!("late_hooks.between");
    caller.run_updated(run).await;
    true
}

/// Calls the create hook for a message that the host stored without a run.
pub(crate) async fn deliver_created(engine: &AiEngine, parent: Messageable, message: &Message) {
    let Ok(Some(owner)) = load(engine, parent).await else {
        return;
    };
    let (called, message) = (engine.clone(), message.clone());
    guarded(engine, "ai_engine_on_message_create", None, async move {
        let cx = HookContext { engine: &called, run: None, change: Change::None };
        owner.message_created(&message, &cx).await
    })
    .await;
}

/// The owner; `None` when it is gone. Tried again while the database is away: one refused connection must not silence
/// a whole run. What is wrong with the loader itself must not hold it up. The answer is kept all the same.
async fn load(engine: &AiEngine, parent: Messageable) -> Result<Option<LoadedOwner>> {
    let loaded = persistently(engine, || engine.load_owner(parent)).await;
    match &loaded {
        Ok(Some(_)) => {}
        Ok(None) => tracing::warn!(%parent, "the owner is gone; its hooks are skipped"),
        Err(error) => {
            let error = with_causes(error);
            tracing::warn!(%parent, error, "the owner could not be loaded; its hooks are skipped");
        }
    }
    loaded
}

struct Caller {
    engine: AiEngine,
    owner: LoadedOwner,
    run: Arc<Run>,
}

impl Caller {
    async fn created(&self, message: Arc<Message>) {
        let (engine, owner, run) =
            (self.engine.clone(), Arc::clone(&self.owner), Arc::clone(&self.run));
        guarded(&self.engine, "ai_engine_on_message_create", Some(self.run.id), async move {
            owner
                .message_created(
                    &message,
                    &HookContext { engine: &engine, run: Some(&run), change: Change::None },
                )
                .await
        })
        .await;
    }

    async fn appended(&self, message: Arc<Message>, text: String) {
        let (engine, owner, run) =
            (self.engine.clone(), Arc::clone(&self.owner), Arc::clone(&self.run));
        guarded(&self.engine, "ai_engine_on_message_update", Some(self.run.id), async move {
            let cx =
                HookContext { engine: &engine, run: Some(&run), change: Change::Appended(&text) };
            owner.message_updated(&message, &cx).await
        })
        .await;
    }

    async fn settled(&self, message: Message, replaced: bool) {
        let (engine, owner, run) =
            (self.engine.clone(), Arc::clone(&self.owner), Arc::clone(&self.run));
        let change = if replaced { Change::Replaced } else { Change::None };
        guarded(&self.engine, "ai_engine_on_message_update", Some(self.run.id), async move {
            owner
                .message_updated(
                    &message,
                    &HookContext { engine: &engine, run: Some(&run), change },
                )
                .await
        })
        .await;
    }

    async fn run_updated(&mut self, run: Run) {
        self.run = Arc::new(run);
        let (engine, owner, run) =
            (self.engine.clone(), Arc::clone(&self.owner), Arc::clone(&self.run));
        guarded(&self.engine, "ai_engine_on_run_update", Some(self.run.id), async move {
            owner
                .run_updated(
                    &run,
                    &HookContext { engine: &engine, run: Some(&run), change: Change::None },
                )
                .await
        })
        .await;
    }
}

/// Runs one hook in a task of its own, so that a panic stays there and a hanging one can be dropped.
async fn guarded(
    engine: &AiEngine,
    hook: &'static str,
    run: Option<i64>,
    call: impl Future<Output = HookResult> + Send + 'static,
) {
    let limit = engine.options().hook_timeout;
    // It ends as well when whoever waits here is dropped.
    let mut task = Guarded::spawn(call);
    match tokio::time::timeout(limit, task.ended()).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(run, hook, error = %error, "a hook failed"),
        Ok(Err(error)) => tracing::error!(run, hook, %error, "a hook panicked"),
        Err(_) => {
            tracing::error!(run, hook, ?limit, "a hook took too long and was dropped");
        }
    }
}
