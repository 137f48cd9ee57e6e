//! The path of a conversation: which turns are on it, and how it is changed, under the conversation's lock.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::session::{Session, of, on};
use super::update::update;
use super::{conversations, outbox};
use crate::error::Result;
use crate::model::path::{Ends, Moves, Place, Tree, WHOLE};
use crate::model::{Messageable, RemoteState, Service, utc_now};
use crate::schema::ai_engine_assistant_threads::dsl as parents;
use crate::schema::ai_engine_messages::dsl as messages;
use crate::schema::ai_engine_path_changes::dsl as changes;
use crate::schema::ai_engine_run_items::dsl as items;
use crate::schema::ai_engine_runs::dsl as runs;

/// A statement takes so many values and no more.
const AT_ONCE: usize = 500;

/// What changed of a path under one number, in the order of the turns: a turn that is in both went and came as another one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Each turn that left, and its run.
    pub(crate) left: Vec<(i64, Option<i64>)>,
    /// The turns that came back.
    pub(crate) back: Vec<i64>,
    /// Turns of which another part is on the path since, each with the last place of that part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ends: Vec<(i64, i64)>,
}

/// How a conversation's path shall be.
#[derive(Debug)]
pub(crate) struct NewPath {
    pub(crate) turns: Vec<i64>,
    /// The last place of its last turn that is on the path; `None`: that turn stays as it is.
    pub(crate) end: Option<i64>,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The thread gave its conversation at the provider up, which may hold what left.
    pub(crate) forgotten: bool,
}

/// Whether the provider's conversation of a thread may hold anything of some turns.
macro_rules! may_hold {
    ($session:expr, $thread:expr, $at:expr, seq.$which:ident($turns:expr)) => {{
        let said = on!($session, |conn| diesel::select(diesel::dsl::exists(
            messages::ai_engine_messages
                .filter(messages::assistant_thread_id.eq($thread))
                .filter(messages::seq.$which($turns))
                .filter(messages::remote_state.ne(RemoteState::Absent))
                .filter(messages::endpoint.eq(&*$at.endpoint))
                .filter(messages::protocol.eq(&*$at.protocol))
        ))
        .get_result::<bool>(conn))?;
        said || on!($session, |conn| diesel::select(diesel::dsl::exists(
            items::ai_engine_run_items
                .inner_join(runs::ai_engine_runs)
                .filter(runs::assistant_thread_id.eq($thread))
                .filter(runs::seq.$which($turns))
                .filter(items::remote_state.ne(RemoteState::Absent))
                .filter(items::endpoint.eq(&*$at.endpoint))
                .filter(items::protocol.eq(&*$at.protocol))
        ))
        .get_result::<bool>(conn))?
    }};
}

/// All turns of a conversation.
pub(crate) fn tree(session: &mut dyn Session, parent: Messageable) -> Result<Tree> {
    type Row = (i64, Option<i64>, Option<i64>, Option<i64>);
    let rows: Vec<Row> = on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::position.eq(0))
        .select((
            messages::seq,
            messages::run_id,
            messages::parent_seq,
            messages::superseded_at_seq
        ))
        .load(conn))?;
    let place = |(seq, run_id, parent, superseded_at)| Place { seq, run_id, parent, superseded_at };
    Ok(Tree::of(rows.into_iter().map(place).collect()))
}

/// How much of each turn was on the path, and since when: what was asked on a part of a turn is read behind that part.
pub(crate) fn ends(session: &mut dyn Session, parent: Messageable) -> Result<Ends> {
    let mut ends = Ends::default();
    for (number, change) in between(session, parent, 0, i64::MAX)? {
        change.ends.iter().for_each(|(turn, end)| ends.note(number, *turn, *end));
    }
    Ok(ends)
}

/// Makes `new` the path, under the number `at`, which came with the lock. `None`: it was.
pub(crate) fn change(
    session: &mut dyn Session,
    parent: Messageable,
    tree: &Tree,
    ends: &Ends,
    new: &NewPath,
    at: i64,
) -> Result<Option<Changed>> {
    let mut moves = tree.moves_to(&new.turns);
    if let Some(heir) = tree.heir(new.turns.last().copied().unwrap_or_default()) {
        keep_parent(session, parent, tree, heir)?;
    }
    let mut parts = ends.along(&new.turns);
    parts.extend(new.turns.last().copied().zip(new.end));
    // Most turns are whole, and always were.
    parts.retain(|(turn, end)| *end != WHOLE || ends.knows(*turn));
    leave(session, parent, &moves.left, at)?;
    come_back(session, parent, tree, &moves.back, &parts, at)?;
    let mut cuts = Vec::new();
    for (turn, end) in parts {
        if cut(session, parent, turn, end, at)? {
            cuts.push((turn, end));
            // A turn of which a part went, or came, is told anew.
            if !moves.back.contains(&turn) {
                moves.left.push(turn);
                moves.back.push(turn);
            }
            note_back(session, parent, &[turn], at)?;
        }
    }
    moves.left.sort_unstable();
    moves.back.sort_unstable();
    if moves.left.is_empty() && moves.back.is_empty() {
        return Ok(None);
    }
    let forgotten = forget_what_is_otherwise(session, parent, &moves)?;
    let run_of = |turn: i64| tree.find(turn).and_then(|place| place.run_id);
    let change = Change {
        left: moves.left.iter().map(|turn| (*turn, run_of(*turn))).collect(),
        back: moves.back,
        ends: cuts,
    };
    let row = (
        changes::assistant_thread_id.eq(parent.thread_id()),
        changes::chat_id.eq(parent.chat_id()),
        changes::seq.eq(at),
        changes::change.eq(serde_json::json!(change)),
        changes::created_at.eq(utc_now()),
    );
    on!(session, |conn| diesel::insert_into(changes::ai_engine_path_changes)
        .values(row)
        .execute(conn))?;
    Ok(Some(Changed { forgotten }))
}

/// Writes down which turn this one follows.
fn keep_parent(
    session: &mut dyn Session,
    parent: Messageable,
    tree: &Tree,
    turn: i64,
) -> Result<()> {
    let first = messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::seq.eq(turn))
        .filter(messages::position.eq(0));
    on!(session, |conn| update(first)
        .set(messages::parent_seq.eq(tree.parent(turn)))
        .execute(conn))?;
    Ok(())
}

fn leave(session: &mut dyn Session, parent: Messageable, turns: &[i64], at: i64) -> Result<()> {
    for some in turns.chunks(AT_ONCE) {
        let leaving = messages::ai_engine_messages
            .filter(of!(messages, parent))
            .filter(messages::seq.eq_any(some))
            .filter(messages::superseded_at_seq.is_null());
        on!(session, |conn| update(leaving).set(messages::superseded_at_seq.eq(at)).execute(conn))?;
    }
    Ok(())
}

/// What left a turn before it left as a whole stays away.
fn come_back(
    session: &mut dyn Session,
    parent: Messageable,
    tree: &Tree,
    turns: &[i64],
    but: &[(i64, i64)],
    at: i64,
) -> Result<()> {
    let left_at = |turn: &i64| tree.find(*turn).and_then(|place| place.superseded_at);
    let is_other = |turn: &i64| !but.iter().any(|(part, _)| part == turn);
    let returning: Vec<i64> = turns.iter().copied().filter(is_other).collect();
    // Those that left together are next to each other.
    for together in returning.chunk_by(|one, other| left_at(one) == left_at(other)) {
        let Some(left) = together.first().and_then(left_at) else { continue };
        for some in together.chunks(AT_ONCE) {
            let whole = messages::ai_engine_messages
                .filter(of!(messages, parent))
                .filter(messages::seq.eq_any(some))
                .filter(messages::superseded_at_seq.eq(left));
            on!(session, |conn| update(whole)
                .set(messages::superseded_at_seq.eq(None::<i64>))
                .execute(conn))?;
            note_back(session, parent, some, at)?;
        }
    }
    Ok(())
}

/// Readers are told of these turns under this number.
fn note_back(session: &mut dyn Session, parent: Messageable, turns: &[i64], at: i64) -> Result<()> {
    let back = messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::seq.eq_any(turns));
    on!(session, |conn| update(back).set(messages::chosen_at_seq.eq(at)).execute(conn))?;
    Ok(())
}

/// Has a turn end with this place. Whether anything of it was otherwise.
fn cut(
    session: &mut dyn Session,
    parent: Messageable,
    turn: i64,
    position: i64,
    at: i64,
) -> Result<bool> {
    let of_turn = || {
        messages::ai_engine_messages.filter(of!(messages, parent)).filter(messages::seq.eq(turn))
    };
    let kept = || {
        of_turn()
            .filter(messages::position.le(position))
            .filter(messages::superseded_at_seq.is_not_null())
    };
    let gone = || {
        of_turn()
            .filter(messages::position.gt(position))
            .filter(messages::superseded_at_seq.is_null())
    };
    let kept: usize = on!(session, |conn| update(kept())
        .set(messages::superseded_at_seq.eq(None::<i64>))
        .execute(conn))?;
    let gone: usize =
        on!(session, |conn| update(gone()).set(messages::superseded_at_seq.eq(at)).execute(conn))?;
    Ok(kept + gone > 0)
}

/// What the provider's conversation may hold of what left cannot be taken out of it, and what came back cannot be put in before
/// what it holds: the thread gives it up, and the next run tells a new one what the path is then. Whether it did.
fn forget_what_is_otherwise(
    session: &mut dyn Session,
    parent: Messageable,
    moves: &Moves,
) -> Result<bool> {
    let Messageable::AssistantThread(thread) = parent else { return Ok(false) };
    let found: Option<(Option<String>, Option<String>, Option<String>)> =
        on!(session, |conn| parents::ai_engine_assistant_threads
            .find(thread)
            .select((parents::remote_id, parents::endpoint, parents::protocol))
            .first(conn)
            .optional())?;
    let Some((Some(_), Some(endpoint), Some(protocol))) = found else { return Ok(false) };
    let at = Service::new(endpoint, protocol);
    let mut holds = false;
    for some in moves.left.chunks(AT_ONCE) {
        holds = holds || may_hold!(session, thread, at, seq.eq_any(some));
    }
    if let Some(first) = moves.back.first() {
        holds = holds || may_hold!(session, thread, at, seq.ge(*first));
    }
    if holds {
        outbox::note_conversation_of(session, thread)?;
        conversations::forget(session, thread)?;
    }
    Ok(holds)
}

/// The changes numbered `from` up to, not including, `to`, in order.
pub(crate) fn between(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, Change)>> {
    let rows: Vec<(i64, serde_json::Value)> = on!(session, |conn| changes::ai_engine_path_changes
        .filter(of!(changes, parent))
        .filter(changes::seq.ge(from))
        .filter(changes::seq.lt(to))
        .order(changes::seq)
        .select((changes::seq, changes::change))
        .load(conn))?;
    // What a later version wrote may be something else.
    let read = |(seq, change)| (seq, serde_json::from_value(change).unwrap_or_default());
    Ok(rows.into_iter().map(read).collect())
}

/// The number of the first of these changes.
pub(crate) fn first_between(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Option<i64>> {
    Ok(on!(session, |conn| changes::ai_engine_path_changes
        .filter(of!(changes, parent))
        .filter(changes::seq.ge(from))
        .filter(changes::seq.lt(to))
        .select(diesel::dsl::min(changes::seq))
        .first(conn))?)
}
