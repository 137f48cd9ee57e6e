//! Calling the owner's hooks: loaded once per run, one call at a time, each with a time limit, none able to harm.

use std::future::Future;
use std::sync::Arc;

use super::hearing::Owed;
use super::persist::persistently;
use crate::engine::AiEngine;
use crate::engine::core::Core;
use crate::error::{HookResult, Result, with_causes};
use crate::failpoint;
use crate::follow::delivered::{Change as News, Delivered};
use crate::follow::transcript::Transcript;
use crate::host::hooks::{Change, HookContext, LoadedOwner};
use crate::model::{Message, Messageable, Run, ToolCall};
use crate::task::Guarded;

/// What the hooks of a run have heard of it when this process begins to drive it. Of one that goes on after it waited that is all that
/// is stored, but not what was decided meanwhile.
pub(crate) fn heard(transcript: &Transcript) -> Delivered {
    let mut delivered = Delivered::default();
    transcript.look(|seen| {
        if seen.resumed {
            while seen.after(&mut delivered).is_some() {}
            let step = seen.calls.iter().map(|call| call.step).max();
            let last = seen.calls.iter().filter(|call| Some(call.step) == step);
            let undelivered = last.filter(|call| call.has_waited() && !was_carried_out_since(call));
            delivered.forget_calls(undelivered.map(|call| call.position));
        }
    });
    delivered
}

/// Whether the process that drove the run carried this call out behind its decision: its hooks heard how that ended.
fn was_carried_out_since(call: &ToolCall) -> bool {
    call.status.is_terminal() && call.decided_at.is_some() && call.started_at > call.decided_at
}

/// What the hooks of a run have heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// All of it, or there is nobody to hear.
    All,
    /// All that there is. It has not ended, and this process does not drive it any more.
    SoFar,
    /// Their owner could not be loaded.
    Nothing,
}

/// Delivers what happens to a run, behind what its hooks have heard and are still owed, until it has ended.
pub(super) async fn deliver(
    core: Core,
    transcript: Arc<Transcript>,
    mut delivered: Delivered,
    owed: Owed,
) -> Heard {
    if !owed.was_heard().await {
        delivered.doubt();
    }
    let owner = match load(&core, transcript.of).await {
        Ok(Some(owner)) => owner,
        Ok(None) => return Heard::All,
        Err(_) => return Heard::Nothing,
    };
    let mut caller =
        Caller { core, owner, run: Arc::new(transcript.look(|seen| seen.run.clone())) };
    // The messages as the hooks have seen them.
    let mut seen: Vec<Arc<Message>> = Vec::new();
    loop {
        let next = transcript.wait(|seen| match seen.after(&mut delivered) {
            Some(news) => Some(Some(news)),
            None => seen.finished.then_some(None),
        });
        let Some(news) = next.await else { return Heard::SoFar };
        match news {
            // The hooks of a run begin with its messages, and paths are no run's own.
            News::Queued(_) | News::Superseded { .. } | News::Waiting(_) => {}
            News::UserMessage(message) | News::Said(message) => {
                caller.call(Hook::Created(Arc::new(message))).await
            }
            News::Begun(run) => caller.run_updated(run).await,
            News::Created(message) => {
                let message = Arc::new(message);
                seen.push(Arc::clone(&message));
                caller.call(Hook::Created(message)).await;
            }
            News::Appended { message_id, text, .. } => {
                if let Some(message) = seen.iter_mut().rfind(|message| message.id == message_id) {
                    // No copy, unless a hook that ran out of time still holds the last one.
                    Arc::make_mut(message).content.push_str(&text);
                    caller.call(Hook::Appended(Arc::clone(message), text)).await;
                }
            }
            News::ToolCall(call) => caller.call(Hook::ToolCall(Box::new(call))).await,
            News::Replaced(message) => {
                caller.call(Hook::Settled { message: Box::new(message), replaced: true }).await
            }
            News::Settled(message) => {
                caller.call(Hook::Settled { message: Box::new(message), replaced: false }).await
            }
            News::Ended(run) => {
                failpoint::point!("last_hooks.between");
                caller.run_updated(run).await;
                return Heard::All;
            }
        }
    }
}

/// Delivers the end of a run that another process, or an earlier life of this one, did not announce. What its hooks
/// saw is not known, so each message comes as replaced: whole. `false`: it is still to be delivered.
pub(crate) async fn deliver_end(core: &Core, run: Run, messages: Vec<Message>) -> bool {
    let owner = match load(core, run.messageable).await {
        Ok(Some(owner)) => owner,
        Ok(None) => return true,
        Err(_) => return false,
    };
    let mut caller = Caller { core: core.clone(), owner, run: Arc::new(run.clone()) };
    for message in messages {
        caller.call(Hook::Settled { message: Box::new(message), replaced: true }).await;
    }
    failpoint::point!("late_hooks.between");
    caller.run_updated(run).await;
    true
}

/// Calls the create hook for a message that the host stored without a run.
pub(crate) async fn deliver_created(core: &Core, parent: Messageable, message: &Message) {
    let Ok(Some(owner)) = load(core, parent).await else {
        return;
    };
    let (engine, message) = (AiEngine::from(core.clone()), message.clone());
    guarded(core, "ai_engine_on_message_create", None, async move {
        let cx = HookContext { engine: &engine, run: None, change: Change::None };
        owner.message_created(&message, &cx).await
    })
    .await;
}

/// The owner; `None` when it is gone. Tried again while the database is away: one refused connection must not silence
/// a whole run. What is wrong with the loader itself must not hold it up. The answer is kept all the same.
async fn load(core: &Core, parent: Messageable) -> Result<Option<LoadedOwner>> {
    let loaded = persistently(core, || core.load_owner(parent)).await;
    match &loaded {
        Ok(Some(_)) => {}
        Ok(None) => tracing::warn!(%parent, "the owner was deleted; its hooks are skipped"),
        Err(error) => {
            let error = with_causes(error);
            tracing::warn!(%parent, error, "the owner could not be loaded; its hooks are skipped");
        }
    }
    loaded
}

/// A call of one hook.
enum Hook {
    Created(Arc<Message>),
    Appended(Arc<Message>, String),
    Settled { message: Box<Message>, replaced: bool },
    ToolCall(Box<ToolCall>),
    Run,
}

impl Hook {
    const fn name(&self) -> &'static str {
        match self {
            Self::Created(_) => "ai_engine_on_message_create",
            Self::Appended(..) | Self::Settled { .. } => "ai_engine_on_message_update",
            Self::ToolCall(_) => "ai_engine_on_tool_call",
            Self::Run => "ai_engine_on_run_update",
        }
    }
}

/// Calls the hooks of one owner for one run.
struct Caller {
    core: Core,
    owner: LoadedOwner,
    run: Arc<Run>,
}

impl Caller {
    async fn call(&self, hook: Hook) {
        let engine = AiEngine::from(self.core.clone());
        let (owner, run) = (Arc::clone(&self.owner), Arc::clone(&self.run));
        guarded(&self.core, hook.name(), Some(self.run.id), async move {
            let cx = |change| HookContext { engine: &engine, run: Some(&run), change };
            match &hook {
                Hook::Created(message) => owner.message_created(message, &cx(Change::None)).await,
                Hook::Appended(message, text) => {
                    owner.message_updated(message, &cx(Change::Appended(text))).await
                }
                Hook::Settled { message, replaced } => {
                    let change = if *replaced { Change::Replaced } else { Change::None };
                    owner.message_updated(message, &cx(change)).await
                }
                Hook::ToolCall(call) => owner.tool_called(call, &cx(Change::None)).await,
                Hook::Run => owner.run_updated(&run, &cx(Change::None)).await,
            }
        })
        .await;
    }

    async fn run_updated(&mut self, run: Run) {
        self.run = Arc::new(run);
        self.call(Hook::Run).await;
    }
}

/// Runs one hook in a task of its own, so that a panic stays there and a hanging one can be dropped.
async fn guarded(
    core: &Core,
    hook: &'static str,
    run: Option<i64>,
    call: impl Future<Output = HookResult> + Send + 'static,
) {
    let limit = core.options().hook_timeout;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MessageStatus, RunStatus, ToolCallStatus};

    /// What the hooks of this run are delivered next, in a word each.
    fn tell(transcript: &Transcript, delivered: &mut Delivered) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(news) = transcript.look(|seen| seen.after(delivered)) {
            words.push(match news {
                News::ToolCall(call) => format!("call {}", call.status),
                News::Ended(run) => format!("run {}", run.status),
                other => format!("{other:?}"),
            });
        }
        words
    }

    /// The owner may be loaded slowly: by then the run may have ended.
    #[test]
    fn what_happens_behind_the_claim_is_for_the_hooks() {
        let call = ToolCall::sample(1, ToolCallStatus::Approved);
        let decided = ToolCall { decided_at: Some(call.created_at), ..call };
        let transcript = Transcript::new(Run::sample(RunStatus::InProgress));
        transcript.update(|seen| {
            seen.resumed = true;
            seen.take(Run::sample(RunStatus::InProgress), Vec::new(), vec![decided.clone()]);
        });
        let mut delivered = heard(&transcript);
        transcript.update(|seen| {
            let done = ToolCall { status: ToolCallStatus::Completed, version: 2, ..decided };
            seen.take(Run::sample(RunStatus::Completed), Vec::new(), vec![done]);
        });
        assert_eq!(tell(&transcript, &mut delivered), ["call completed", "run completed"]);
    }

    /// Nobody waited for anything: they have heard all of it.
    #[test]
    fn what_the_hooks_heard_before_is_not_told_again() {
        let transcript = Transcript::new(Run::sample(RunStatus::InProgress));
        transcript.update(|seen| {
            seen.resumed = true;
            let call = ToolCall::sample(1, ToolCallStatus::Completed);
            seen.take(Run::sample(RunStatus::InProgress), Vec::new(), vec![call]);
        });
        assert_eq!(tell(&transcript, &mut heard(&transcript)), [""; 0]);
    }

    /// It was agreed to and carried out while the run was still driven: what is owed of it was told there.
    #[test]
    fn a_call_carried_out_before_the_run_waited_is_not_told_again() {
        let transcript = Transcript::new(Run::sample(RunStatus::InProgress));
        transcript.update(|seen| {
            seen.resumed = true;
            let ended = ToolCall::sample(1, ToolCallStatus::Completed);
            let (asked, second) = (ended.created_at, std::time::Duration::from_secs(1));
            let begun = Some(asked + 2 * second);
            let ended = ToolCall { decided_at: Some(asked + second), started_at: begun, ..ended };
            let refused = ToolCall::sample(3, ToolCallStatus::Rejected);
            let refused = ToolCall { decided_at: Some(asked + second), ..refused };
            seen.take(Run::sample(RunStatus::InProgress), Vec::new(), vec![ended, refused]);
        });
        assert_eq!(tell(&transcript, &mut heard(&transcript)), ["call rejected"]);
    }

    /// What a process owed them that died.
    #[test]
    fn what_may_not_have_been_heard_is_delivered_anew() {
        let transcript = Transcript::new(Run::sample(RunStatus::InProgress));
        transcript.update(|seen| {
            seen.resumed = true;
            let said = [
                Message::sample(1, "Let me see.", MessageStatus::Completed),
                Message::sample(3, "It", MessageStatus::Streaming),
            ];
            let call = ToolCall::sample(3, ToolCallStatus::Completed);
            seen.take(Run::sample(RunStatus::InProgress), said.into(), vec![call]);
        });
        let mut delivered = heard(&transcript);
        assert_eq!(tell(&transcript, &mut delivered), [""; 0]);
        delivered.doubt();
        let told = tell(&transcript, &mut delivered);
        assert!(told[0].starts_with("Replaced(") && told[0].contains("Let me see."), "{told:?}");
        assert_eq!(told[1..], ["call completed"]);
    }
}
