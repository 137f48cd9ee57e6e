//! What happens on threads and chats, as their readers ask for it: all conversations in a few statements.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;

use super::any_of::{any_of, status_of};
use super::first_row::First;
use super::session::{Session, of, on};
use super::tool_calls::{self, CalledForTools};
use super::{deltas, messages, paths, threads};
use crate::error::Result;
use crate::model::{Message, MessageStatus, Messageable, Run, RunRow, RunStatus, ToolCall};
use crate::schema::ai_engine_runs::dsl as runs;

/// A run, and whether it called for tools.
type Found = (RunRow, bool);

/// What a number of a conversation stands for.
#[derive(Debug)]
pub(crate) enum StoredTurn {
    /// What left the path and came back to it. A turn of the same number comes after it.
    Moved(Moved),
    /// A run, its messages, and its calls of tools.
    Run(Run, Vec<Message>, Vec<ToolCall>),
    /// A message that the host stored without a run.
    Said(Message),
}

/// What changed of a path under one number.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) seq: i64,
    /// Each turn that left, and its run.
    pub(crate) left: Vec<(i64, Option<i64>)>,
    /// Each turn that came back; `None`: it has left since.
    pub(crate) back: Vec<(i64, Option<StoredTurn>)>,
}

/// What a conversation is asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) of: Messageable,
    /// The first turn that is not known; `None`: the first that has not ended.
    pub(crate) next: Option<i64>,
    pub(crate) followed: Vec<Followed>,
}

/// A run that another process drives, as far as it is known.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) run: i64,
    /// Bytes of each unsettled message.
    pub(crate) texts: Vec<(i64, usize)>,
}

/// What there is.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where `turns` begins.
    pub(crate) from: i64,
    /// The number of the turn that is to come.
    pub(crate) next: i64,
    pub(crate) turns: Vec<StoredTurn>,
    pub(crate) followed: Vec<Progress>,
}

/// How a followed run went on.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) run: Run,
    /// Messages that are new or settled, whole.
    pub(crate) messages: Vec<Message>,
    pub(crate) appended: Vec<deltas::Appended>,
    /// Calls of tools, all of them.
    pub(crate) calls: Vec<ToolCall>,
}

/// The answers in the order of the questions; `None`: the thread or chat is gone.
///
/// The turns below a conversation's next number are committed, or there are none: numbers are taken under its lock.
pub(crate) fn look(
    session: &mut dyn Session,
    questions: &[Question],
) -> Result<Vec<Option<Answer>>> {
    let conversations: Vec<Messageable> = questions.iter().map(|question| question.of).collect();
    let heads = threads::heads(session, &conversations)?;
    let mut progress = follow(session, questions)?;
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        let Some(&next) = heads.get(&question.of) else {
            answers.push(None);
            continue;
        };
        let from = match question.next {
            Some(known) => known,
            None => first_unended(session, question.of)?.unwrap_or(next),
        };
        let turns =
            if from < next { between(session, question.of, from, next)? } else { Vec::new() };
        let followed = question.followed.iter();
        let followed = followed.filter_map(|followed| progress.remove(&followed.run)).collect();
        answers.push(Some(Answer { from, next, turns, followed }));
    }
    Ok(answers)
}

fn first_unended(session: &mut dyn Session, parent: Messageable) -> Result<Option<i64>> {
    Ok(on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(status_of(&RunStatus::ACTIVE))
        .order(runs::seq)
        .select(runs::seq)
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// What happened under the numbers `from` up to, not including, `to`, as it is now: turns that are off the path are left out, and
/// one that came back to it stands where it did.
pub(crate) fn between(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Vec<StoredTurn>> {
    let found: Vec<Found> = on!(session, |conn| runs::ai_engine_runs
        .filter(of!(runs, parent))
        .filter(runs::seq.ge(from))
        .filter(runs::seq.lt(to))
        .select((RunRow::as_select(), CalledForTools))
        .load(conn))?;
    let said = messages::between(session, parent, from, to)?;
    let mut turns = Vec::new();
    for (seq, change) in paths::between(session, parent, from, to)? {
        let back = came_back(session, parent, seq, change.back)?;
        turns.push(StoredTurn::Moved(Moved { seq, left: change.left, back }));
    }
    turns.extend(turns_of(session, found, said)?.into_values());
    // What changed of the path comes before the turn of the same number, as it stands here: the sort keeps it there.
    turns.sort_by_key(StoredTurn::seq);
    Ok(turns)
}

/// Those of these turns that came back under this number, and did not leave again.
fn came_back(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    back: Vec<i64>,
) -> Result<Vec<(i64, Option<StoredTurn>)>> {
    if back.is_empty() {
        return Ok(Vec::new());
    }
    let said = messages::chosen_at(session, parent, seq)?;
    let mut ids: Vec<i64> = said.iter().filter_map(|message| message.run_id).collect();
    ids.dedup();
    let mut found: Vec<Found> = Vec::new();
    for ids in ids.chunks(1000) {
        let some: Vec<Found> = on!(session, |conn| runs::ai_engine_runs
            .filter(runs::id.eq_any(ids))
            .select((RunRow::as_select(), CalledForTools))
            .load(conn))?;
        found.extend(some);
    }
    let mut turns = turns_of(session, found, said)?;
    Ok(back.into_iter().map(|turn| (turn, turns.remove(&turn))).collect())
}

/// Turns by their numbers. Each begins with a message, and none is left of one that is off the path.
fn turns_of(
    session: &mut dyn Session,
    found: Vec<Found>,
    said: Vec<Message>,
) -> Result<BTreeMap<i64, StoredTurn>> {
    let mut calls = calls_of(session, &found)?;
    let mut runs: HashMap<i64, RunRow> = found.into_iter().map(|(row, _)| (row.id, row)).collect();
    let mut turns = BTreeMap::new();
    for message in said {
        let seq = message.seq;
        match (turns.get_mut(&seq), message.run_id) {
            (Some(StoredTurn::Run(_, said, _)), _) => said.push(message),
            (_, None) => drop(turns.insert(seq, StoredTurn::Said(message))),
            (_, Some(run)) => {
                // If its run is gone, the conversation was deleted in between.
                if let Some(row) = runs.remove(&run) {
                    let calls = calls.remove(&run).unwrap_or_default();
                    turns.insert(seq, StoredTurn::Run(row.into(), vec![message], calls));
                }
            }
        }
    }
    Ok(turns)
}

/// The calls of tools of these runs. Of runs without any it costs no statement.
fn calls_of(session: &mut dyn Session, found: &[Found]) -> Result<HashMap<i64, Vec<ToolCall>>> {
    let called = found.iter().filter(|(_, called)| *called);
    let ids: Vec<i64> = called.map(|(row, _)| row.id).collect();
    let mut calls: HashMap<i64, Vec<ToolCall>> = HashMap::new();
    for some in ids.chunks(1000) {
        for call in tool_calls::of_runs(session, some)? {
            calls.entry(call.run_id).or_default().push(call);
        }
    }
    Ok(calls)
}

impl StoredTurn {
    pub(crate) const fn seq(&self) -> i64 {
        match self {
            Self::Moved(moved) => moved.seq,
            Self::Run(run, ..) => run.seq,
            Self::Said(message) => message.seq,
        }
    }
}

/// A run and all its messages, wherever it is.
pub(crate) fn run(session: &mut dyn Session, id: i64) -> Result<Option<StoredTurn>> {
    let Some(row) = super::runs::find(session, id)? else { return Ok(None) };
    let calls = tool_calls::of_run(session, id)?;
    Ok(Some(StoredTurn::Run(row.into(), messages::of_run(session, id)?, calls)))
}

/// The first number from `from` up to, not including, `to` under which anything happened. Each turn begins with a message.
pub(crate) fn next_after(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Option<i64>> {
    let turn = messages::first_between(session, parent, from, to)?;
    let change = paths::first_between(session, parent, from, to)?;
    Ok(turn.into_iter().chain(change).min())
}

/// How the followed runs went on. The runs are read before their messages: those of a run that has ended are settled.
fn follow(session: &mut dyn Session, questions: &[Question]) -> Result<HashMap<i64, Progress>> {
    let followed = || questions.iter().flat_map(|question| &question.followed);
    let ids: Vec<i64> = followed().map(|followed| followed.run).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let known: HashMap<i64, usize> = followed().flat_map(|run| run.texts.iter().copied()).collect();
    let mut progress = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(1000) {
        let found: Vec<Found> = on!(session, |conn| runs::ai_engine_runs
            .filter(any_of(runs::id, ids))
            .select((RunRow::as_select(), CalledForTools))
            .load(conn))?;
        let mut calls = calls_of(session, &found)?;
        for (row, _) in found {
            let (messages, appended) = (Vec::new(), Vec::new());
            let calls = calls.remove(&row.id).unwrap_or_default();
            progress.insert(row.id, Progress { run: Run::from(row), messages, appended, calls });
        }
        let states = messages::states_of_runs(session, ids)?;
        let grows = |state: &messages::State| {
            state.status == MessageStatus::Streaming && known.contains_key(&state.id)
        };
        let (growing, other): (Vec<_>, Vec<_>) = states.into_iter().partition(grows);
        let other: Vec<i64> = other.iter().map(|state| state.id).collect();
        for message in messages::by_ids(session, &other)? {
            if let Some(progress) = message.run_id.and_then(|run| progress.get_mut(&run)) {
                progress.messages.push(message);
            }
        }
        let run_of: HashMap<i64, i64> =
            growing.iter().map(|state| (state.id, state.run_id)).collect();
        let bytes: Vec<(i64, usize)> =
            growing.iter().map(|state| (state.id, known[&state.id])).collect();
        for appended in deltas::after(session, &bytes)? {
            if let Some(progress) =
                run_of.get(&appended.message_id).and_then(|run| progress.get_mut(run))
            {
                progress.appended.push(appended);
            }
        }
    }
    Ok(progress)
}
