//! Submitting: one transaction, ours or the host's. Nothing remote happens here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tracing::Span;

use super::again::{self, Again, How};
use super::ask_owner::ask_owner;
use super::asked::{self, Asked, Busy, Who};
use super::changes::Changes;
use super::interrupt::{self, Interrupted};
use crate::drive::persist::persistently;
use crate::drive::tariff;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::host::before_run::RunProposal;
use crate::model::{
    Assistant, AssistantDefinition, Checked, MessageNote, Messageable, Recovery, Role, Run,
    StoredDefinition, Submission, without_nul,
};
use crate::store::messages::{self, NewMessage};
use crate::store::news::{self, News};
use crate::store::runs::{self, NewRun};
use crate::store::session::Session;
use crate::store::{assistants, runs_of, threads};
use crate::tool;
use crate::worker::places::Owner;
use crate::worker::{lanes, take_up};

/// Longest idempotency key, in characters.
const KEY_CHARS: usize = 255;

/// A request whose values have been checked.
#[derive(Debug)]
pub(crate) struct Prepared {
    who: Who,
    parent: Messageable,
    content: Checked,
    changes: Changes,
    note: MessageNote,
    key: Option<String>,
    busy: Busy,
    recovery: Option<Recovery>,
    then: Then,
    submission: Submission,
    /// The span in which it was submitted, if the run is to be a child of it.
    caller: Option<Span>,
}

/// What becomes of a run once it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// This engine drives it.
    Drive,
    /// It is left to whoever takes it up.
    Leave,
}

/// A stored run, and what became of others for its sake.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) run: Run,
    /// Whose thread or chat it is on.
    owner: Owner,
    pub(crate) interrupted: Interrupted,
    /// The thread gave its conversation at the provider up.
    pub(crate) forgotten: bool,
}

/// Checks what can be checked without the database.
pub(crate) fn prepare(core: &Core, asked: Asked, then: Then) -> Result<Prepared> {
    if core.is_closing() {
        return Err(Error::ShuttingDown);
    }
    if then == Then::Drive {
        core.remotes().require(None)?;
    }
    core.keep_up();
    let provider = match &asked.who {
        Who::Assistable(_, definition) | Who::Model(definition) => {
            definition.validate()?;
            let definition = asked.changes.make(definition.clone())?;
            known_providers(core, then, &definition)?;
            definition.provider
        }
        Who::Assistant(_) => None,
        Who::Again(again) => {
            again::edited(*again)?;
            None
        }
    };
    if let Some(key) = &asked.key {
        if key.is_empty() || key.chars().count() > KEY_CHARS {
            return Err(Error::invalid(
                "idempotency_key",
                key,
                format!("must have 1 to {KEY_CHARS} characters"),
            ));
        }
        without_nul("idempotency_key", key)?;
    }
    let (depth, most) = (tool::depth(), core.options().max_depth);
    if depth > most {
        let reason = format!("is too deep: runs that tools start may be {most} deep (max_depth)");
        return Err(Error::invalid("depth", depth, reason));
    }
    let asks_the_same =
        matches!(asked.who, Who::Again(Some(Again { how, .. })) if how != How::Edit);
    let trace_context = asked::trace_context(core, asked.trace_context)?;
    // A span of the host's that is only named is not held open until the run ends.
    let is_named = trace_context.is_some() && core.options().trace_context.is_some();
    Ok(Prepared {
        who: asked.who,
        parent: asked.parent,
        content: if asks_the_same {
            Checked::default()
        } else {
            asked::checked(core, asked.content, provider.as_deref())?
        },
        changes: asked.changes,
        note: asked.note.checked()?,
        key: asked.key,
        busy: asked.busy,
        recovery: asked.recovery,
        then,
        submission: Submission { trace_context, depth, ..Submission::default() },
        caller: Some(Span::current()).filter(|span| !is_named && !span.is_none()),
    })
}

/// Whoever drives a run must have all providers that it may ask; whoever leaves it to others need not.
fn known_providers(core: &Core, then: Then, definition: &AssistantDefinition) -> Result<()> {
    match then {
        Then::Drive => core.remotes().require_all(definition),
        Then::Leave => core.remotes().check(definition),
    }
}

/// Stores the user's message and the queued run. The lock on the thread or chat orders submits.
pub(crate) fn submit(
    session: &mut dyn Session,
    core: &Core,
    request: &Prepared,
) -> Result<Submitted> {
    let locked = threads::lock(session, request.parent)?;
    core.check_loader(&locked.owner_type)?;
    if let Some(key) = &request.key
        && let Some(run) = runs_of::find_by_key(session, request.parent, key)?
    {
        let owner = locked.owner();
        return Ok(Submitted { run, owner, interrupted: Interrupted::default(), forgotten: false });
    }
    let interrupted = match request.busy {
        // Turns that leave the path have ended, so that nobody writes to them afterwards.
        _ if matches!(request.who, Who::Again(_)) => make_room(session, core, request.parent)?,
        // What stands before it is looked at when it is to be driven.
        Busy::Queue => Interrupted::default(),
        Busy::Interrupt => interrupt::interrupt(session, core, request.parent)?,
        Busy::Reject => make_room(session, core, request.parent)?,
    };
    let mut taken = None;
    let (assistant, definition) = match &request.who {
        Who::Again(again) => {
            let again = again::edited(*again)?;
            let old = again::take(session, request.parent, again, locked.seq)?;
            let asked = (old.assistant.clone(), old.definition.clone());
            taken = Some((again, old));
            asked
        }
        Who::Assistable(owner, definition) => {
            let assistant = assistants::save(session, &owner.kind, &owner.id, definition)?;
            (Some(assistant), definition.clone())
        }
        Who::Assistant(id) => {
            let assistant = assistants::find_by_id(session, *id)?
                .ok_or_else(|| Error::not_found("assistant", id))?;
            let definition = assistant.definition()?;
            (Some(assistant), definition)
        }
        Who::Model(definition) => (None, definition.clone()),
    };
    let definition = request.changes.make(definition)?;
    known_providers(core, request.then, &definition)?;
    if request.then == Then::Drive {
        tariff::can_be_held_to(core, &definition)?;
    }
    let same = taken.as_ref().filter(|(again, _)| again.how != How::Edit);
    let same = same.map(|(_, old)| &old.question);
    let text = same.map_or(&request.content.text, |question| &question.content).clone();
    let mut note = request.note.clone();
    if let Some((_, old)) = &taken {
        note = note.or(MessageNote::of(&old.question));
    }
    let proposal = RunProposal {
        messageable: request.parent,
        assistant_id: assistant.as_ref().map(|assistant| assistant.id),
        definition: &definition,
        content: &text,
        author: note.author.as_deref(),
    };
    ask_owner(session, core, &locked.owner(), &proposal)?;
    let run =
        runs::insert(session, &new_run(request, assistant.as_ref(), &definition, locked.seq)?)?;
    let follows = taken.as_ref().map_or(locked.head, |(_, old)| Some(old.parent_seq));
    let question = NewMessage::local(request.parent, Some(run.id), run.seq, 0, Role::User, text);
    let question = question.noted(note).following(follows);
    match same {
        Some(old) => messages::insert_copy(session, question, old)?,
        None => messages::insert_with(session, question, &request.content.parts)?,
    };
    if locked.head.is_some() {
        threads::set_head(session, request.parent, None)?;
    }
    let forgotten = taken.is_some_and(|(_, old)| old.forgotten);
    if request.then == Then::Leave {
        news::tell(session, &[News::Waiting])?;
    }
    Ok(Submitted { run, owner: locked.owner(), interrupted, forgotten })
}

/// No run's id.
const NONE: i64 = 0;

/// Submits in a transaction of ours, and drives the run unless it is to be left to others.
pub(crate) async fn submit_in_ours(core: &Core, request: Prepared) -> Result<Run> {
    let again = matches!(request.who, Who::Again(_));
    if let Who::Again(again) = request.who
        && request.busy == Busy::Interrupt
    {
        let again = again::edited(again)?;
        again::cancel_active(core, request.parent, again, request.key.as_deref()).await?;
    }
    // Shutdown waits for whoever came before it, and whoever comes after sees it.
    let _submitting = core.submitting().read().await;
    if core.is_closing() {
        return Err(Error::ShuttingDown);
    }
    let (writing, parent, then) = (core.clone(), request.parent, request.then);
    let caller = request.caller.clone();
    let inserted = Arc::new(AtomicI64::new(NONE));
    let note = Arc::clone(&inserted);
    let like = if again { Write::Again } else { Write::Submit };
    let submitted = core.store().write_as(like, move |session| {
        note.store(NONE, Ordering::SeqCst);
        let submitted = submit(session, &writing, &request)?;
        note.store(submitted.run.id, Ordering::SeqCst);
        let interrupts = submitted.interrupted.is_any() && !again;
        let write = if interrupts { Write::Interrupt } else { like };
        Ok((Some(write), submitted))
    });
    let submitted = submitted.await;
    let Submitted { run, owner, interrupted, forgotten } =
        match (submitted, inserted.load(Ordering::SeqCst)) {
            (Err(error), id) if id != NONE && error.lost_connection() => {
                let (run, owner) = committed(core, parent, id).await.ok_or(error)?;
                // What was interrupted hears of it from the database.
                Submitted { run, owner, interrupted: Interrupted::default(), forgotten: true }
            }
            (Err(error), _) => {
                if let (Error::Busy { on, .. }, Then::Drive) = (&error, then) {
                    // It may be a dead process's that is to be asked again.
                    lanes::wake(core, *on);
                }
                return Err(error);
            }
            (Ok(submitted), _) => submitted,
        };
    interrupted.stop(core);
    if forgotten {
        core.work_outbox();
    }
    match then {
        Then::Drive => lanes::wake_for(core, &run, owner, caller),
        Then::Leave => core.look_now(),
    }
    Ok(run)
}

/// The run whose commit was not answered, if it was made: it must not be left to nobody.
async fn committed(core: &Core, parent: Messageable, id: i64) -> Option<(Run, Owner)> {
    let looked = persistently(core, || {
        core.store().look(move |session| {
            // The lock waits for that commit, in case the server is still at it.
            let locked = threads::lock(session, parent)?;
            Ok(runs::find(session, id)?.map(|run| (Run::from(run), locked.owner())))
        })
    });
    looked.await.ok().flatten()
}

fn new_run(
    request: &Prepared,
    assistant: Option<&Assistant>,
    definition: &AssistantDefinition,
    seq: i64,
) -> Result<NewRun> {
    let mut submission = request.submission.clone();
    submission.provider.clone_from(&definition.provider);
    if !definition.fallback.is_empty() {
        submission.model = Some(definition.model.clone());
    }
    if let Some(assistant) = assistant {
        submission.assistant_version = Some(assistant.version);
        let record = (assistant.assistable_type.clone(), assistant.assistable_id.clone());
        submission.assistable = Some(record);
    }
    Ok(NewRun {
        parent: request.parent,
        assistant_id: assistant.map(|assistant| assistant.id),
        assistant_name: definition.name.clone(),
        model: definition.model.clone(),
        provider: definition.provider.clone(),
        definition: StoredDefinition::of(definition)?,
        seq,
        idempotency_key: request.key.clone(),
        recovery: request.recovery,
        submission,
    })
}

/// Refuses while a run is active; but one whose process has died is ended first.
pub(crate) fn make_room(
    session: &mut dyn Session,
    core: &Core,
    on: Messageable,
) -> Result<Interrupted> {
    if runs_of::active(session, on)?.is_none() {
        return Ok(Interrupted::default());
    }
    let ended = take_up::take_up_in(session, core, on)?;
    refuse_busy(session, on)?;
    Ok(Interrupted::found_dead(ended))
}

/// One run at a time: its messages must stay together and in order.
fn refuse_busy(session: &mut dyn Session, on: Messageable) -> Result<()> {
    match runs_of::active(session, on)? {
        Some(run_id) => Err(Error::Busy { run_id, on }),
        None => Ok(()),
    }
}

/// When to look whether the host's transaction has committed.
pub(super) const LOOKS: [Duration; 10] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Drives a run once it is committed, or stops what was in its way. Nobody tells us about the commit, so we look; a transaction that takes longer
/// than our looking leaves its run to the started engines.
///
/// After a rollback SQLite gives the id to another run, on which nothing of ours may be done.
pub(crate) fn after_commit(core: &Core, submitted: Submitted, request: Prepared) {
    let Submitted { run, interrupted, .. } = submitted;
    let Prepared { then, caller, .. } = request;
    if then == Then::Leave && !interrupted.is_any() {
        return;
    }
    let Some(runtime) = core.runtime() else {
        return;
    };
    let (core, id) = (core.clone(), run.id);
    runtime.spawn(async move {
        for wait in LOOKS {
            tokio::time::sleep(wait).await;
            let found = core.store().read(move |session| runs::find(session, id)).await;
            match found.map(|row| row.map(Run::from)) {
                Ok(Some(found)) if is_same(&found, &run) => {
                    interrupted.stop(&core);
                    if then == Then::Drive {
                        lanes::wake_submitted(&core, &found, caller);
                    }
                    return;
                }
                Ok(Some(_)) => return,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(run = id, %error, "could not look for a submitted run")
                }
            }
        }
    });
}

fn is_same(found: &Run, submitted: &Run) -> bool {
    let identity = |run: &Run| (run.messageable, run.seq, run.created_at);
    identity(found) == identity(submitted)
}
