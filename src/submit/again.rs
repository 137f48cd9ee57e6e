//! Taking a turn again: a new one with its question, or another question, beside the old one, which leaves the path.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::asked::Who;
use super::request::RunRequest;
use crate::engine::AiEngine;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::model::path::Tree;
use crate::model::{
    Assistant, AssistantDefinition, Content, Message, Messageable, Role, Run, RunRow, RunStatus,
};
use crate::store::paths::{self, NewPath};
use crate::store::session::Session;
use crate::store::{assistants, messages, runs, runs_of};

/// The turn that is taken again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    pub(crate) run: i64,
    pub(crate) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It ended without its whole answer.
    Retry,
    /// For another answer.
    Regenerate,
    /// With another question.
    Edit,
}

/// What the new turn is made of.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) assistant: Option<Assistant>,
    pub(crate) definition: AssistantDefinition,
    /// The question of the old turn.
    pub(crate) question: Message,
    pub(crate) parent_seq: i64,
    /// The thread gave its conversation at the provider up.
    pub(crate) forgotten: bool,
}

/// Makes way for the new turn, which gets the number `at`. Under the lock of the conversation, on which no run is active.
pub(crate) fn take(
    session: &mut dyn Session,
    of: Messageable,
    again: Again,
    at: i64,
) -> Result<Taken> {
    let found = runs::find(session, again.run)?;
    let gone = || Error::not_found("run", again.run);
    let run = found.filter(|run| of_row(run) == of).ok_or_else(gone)?;
    if again.how == How::Retry && run.status == RunStatus::Completed {
        return Err(Error::Answered { run_id: run.id });
    }
    let question = messages::question(session, run.id)?.ok_or_else(gone)?;
    let (assistant, definition) = definition(session, &run)?;
    let tree = paths::tree(session, of)?;
    let parent_seq = tree.parent(run.seq);
    let new = NewPath { turns: tree.up_to(parent_seq), last: None, next: Some(run.seq) };
    let changed = paths::change(session, of, &tree, &new, at)?;
    let forgotten = changed.is_some_and(|changed| changed.forgotten);
    Ok(Taken { assistant, definition, question, parent_seq, forgotten })
}

fn of_row(run: &RunRow) -> Messageable {
    Messageable::of(run.assistant_thread_id, run.chat_id)
}

/// The stored assistant's, which the host may have mended since; else that of the run.
fn definition(
    session: &mut dyn Session,
    run: &RunRow,
) -> Result<(Option<Assistant>, AssistantDefinition)> {
    let assistant = match run.assistant_id {
        Some(id) => assistants::find_by_id(session, id)?,
        None => None,
    };
    match assistant {
        Some(assistant) => {
            let definition = assistant.definition()?;
            Ok((Some(assistant), definition))
        }
        None => {
            let unreadable = |error| {
                let reason = format!(
                    "of the run with id {} cannot be read ({error}); ask with another one",
                    run.id
                );
                Error::invalid("definition", run.definition.to_string(), reason)
            };
            Ok((None, run.definition.read().map_err(unreadable)?))
        }
    }
}

/// The turn that a message ends, and the path up to there.
pub(crate) fn up_to(tree: &Tree, seq: i64, position: i64) -> NewPath {
    NewPath { turns: tree.up_to(seq), last: Some((seq, position)), next: None }
}

/// How long the runs in the way may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Cancels the active runs of a conversation and waits for their ends. Not if the key stands for a run, be it one of them or one that
/// has ended: the request was made before.
pub(crate) async fn cancel_active(core: &Core, of: Messageable, key: Option<&str>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let key = key.map(str::to_owned);
    let unended = core.store().read(move |session| {
        if let Some(key) = &key
            && runs_of::find_by_key(session, of, key)?.is_some()
        {
            return Ok(Vec::new());
        }
        runs_of::unended(session, of)
    });
    let unended = unended.await?;
    for run in &unended {
        match core.cancel(run.id).await {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for run in &unended {
        // Whatever became of it: the transaction looks.
        let _ = timeout_at(until, core.answer(run.id)).await;
    }
    Ok(())
}

impl Run {
    /// Asks the question of this run once more, since the run ended without a whole answer: it failed, was cancelled, or its answer
    /// broke off. The new run has a turn of its own in the place of this one, which leaves the path together with all that came
    /// after it ([`Message::superseded`]); [`choose`](crate::AssistantThread::choose) brings it back. If this run is off the path, the path
    /// that led to it is taken.
    ///
    /// It asks the assistant as it is stored now, or, if that was deleted, and in a chat, as this run did. Metadata and author of
    /// the question are kept. No run may be active on the thread or chat: with [`Busy::Queue`](crate::Busy::Queue), too, the request
    /// is refused then; with [`Busy::Interrupt`](crate::Busy::Interrupt) the active ones are cancelled first and have 30 s to end, and
    /// [`submit_in`](RunRequest::submit_in) refuses all the same.
    ///
    /// It does not check who owns the run: get it from [`OwnedRuns::find_run`](crate::OwnedRuns::find_run). Besides the errors of
    /// [`RunRequest`] there are [`Error::Answered`](crate::Error::Answered) for a run that has its whole answer, and
    /// [`Error::NotFound`](crate::Error::NotFound) for one that was deleted.
    pub fn retry(&self, engine: &AiEngine) -> RunRequest {
        self.again(engine, How::Retry)
    }

    /// Asks the question of this run once more, however the run ended, for another answer. For all else see [`retry`](Self::retry).
    pub fn regenerate(&self, engine: &AiEngine) -> RunRequest {
        self.again(engine, How::Regenerate)
    }

    fn again(&self, engine: &AiEngine, how: How) -> RunRequest {
        let who = Who::Again(Some(Again { run: self.id, how }));
        RunRequest::new(engine, who, self.messageable, Content::default())
    }
}

/// Asks something else in the place of a user's message.
pub(crate) fn edit(
    engine: &AiEngine,
    of: Messageable,
    message: &Message,
    content: Content,
) -> RunRequest {
    let asked = message.run_id.filter(|_| message.role == Role::User && message.messageable == of);
    let who = Who::Again(asked.map(|run| Again { run, how: How::Edit }));
    RunRequest::new(engine, who, of, content)
}

/// Refuses what is no question.
pub(crate) fn edited(again: Option<Again>) -> Result<Again> {
    let reason = "is not a user's question on this thread or chat; in the place of another message, end the path before it with \
                  `truncate_after` and store a new one with `Messages::create`";
    again.ok_or_else(|| Error::invalid("message", "to edit", reason))
}
