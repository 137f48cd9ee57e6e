//! Items of a conversation that are no messages: calls, their outputs, reasoning. Kept as they came.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use serde_json::Value;

use super::any_of::any_of;
use super::messages::turns_found;
use super::session::{Session, of, on};
use crate::error::Result;
use crate::model::{Messageable, RemoteState, Service, utc_now};
use crate::schema::ai_engine_messages::dsl as said;
use crate::schema::ai_engine_run_items;
use crate::schema::ai_engine_run_items::dsl as items;
use crate::schema::ai_engine_runs::dsl as runs;

/// An item to store.
#[derive(Debug, Clone)]
pub(crate) struct NewItem {
    pub(crate) position: i64,
    pub(crate) kind: String,
    pub(crate) call_id: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) item: Value,
    pub(crate) remote_id: Option<String>,
    pub(crate) remote_state: RemoteState,
}

/// A stored item and its place in the conversation.
#[derive(Debug, Clone)]
pub(crate) struct StoredItem {
    pub(crate) id: i64,
    pub(crate) seq: i64,
    pub(crate) position: i64,
    pub(crate) item: Value,
    pub(crate) remote_id: Option<String>,
    pub(crate) remote_state: RemoteState,
    /// Where it came from, or was sent to last.
    pub(crate) at: Option<Service>,
}

pub(crate) fn insert(
    session: &mut dyn Session,
    run: i64,
    new: &NewItem,
    at: &Service,
) -> Result<()> {
    let row = (
        items::run_id.eq(run),
        items::position.eq(new.position),
        items::kind.eq(&new.kind),
        items::call_id.eq(&new.call_id),
        items::phase.eq(&new.phase),
        items::item.eq(&new.item),
        items::remote_id.eq(&new.remote_id),
        items::remote_state.eq(new.remote_state),
        items::endpoint.eq(&*at.endpoint),
        items::protocol.eq(&*at.protocol),
        items::created_at.eq(utc_now()),
    );
    on!(session, |conn| diesel::insert_into(items::ai_engine_run_items).values(row).execute(conn))?;
    Ok(())
}

/// The highest position of an item of a run.
pub(crate) fn last_position(session: &mut dyn Session, run: i64) -> Result<Option<i64>> {
    Ok(on!(session, |conn| items::ai_engine_run_items
        .filter(items::run_id.eq(run))
        .select(diesel::dsl::max(items::position))
        .get_result(conn))?)
}

/// Those of a run of one kind.
pub(crate) fn of_kind(session: &mut dyn Session, run: i64, kind: &str) -> Result<Vec<Value>> {
    Ok(on!(session, |conn| items::ai_engine_run_items
        .filter(items::run_id.eq(run))
        .filter(items::kind.eq(kind))
        .select(items::item)
        .load(conn))?)
}

/// Whether an item is on the path: none of its run's messages has left it, or one that stayed comes after the item.
macro_rules! on_path {
    () => {{
        let later = said::ai_engine_messages
            .filter(said::run_id.eq(items::run_id.nullable()))
            .filter(said::superseded_at_seq.is_null())
            .filter(said::position.gt(items::position));
        let left = said::ai_engine_messages
            .filter(said::run_id.eq(items::run_id.nullable()))
            .filter(said::superseded_at_seq.is_not_null());
        not(exists(left)).or(exists(later))
    }};
}

type At = (Option<String>, Option<String>);
type Row = (i64, i64, i64, Value, Option<String>, RemoteState, At);

/// The items of a conversation up to a turn, in order, as a query narrows them.
macro_rules! load_up_to {
    ($session:expr, $parent:expr, $seq:expr, |$query:ident| $narrowed:expr) => {{
        let rows: Vec<Row> = on!($session, |conn| {
            let $query = items::ai_engine_run_items
                .inner_join(runs::ai_engine_runs)
                .filter(of!(runs, $parent))
                .filter(runs::seq.le($seq))
                .filter(on_path!())
                .order((runs::seq, items::position))
                .select((
                    items::id,
                    runs::seq,
                    items::position,
                    items::item,
                    items::remote_id,
                    items::remote_state,
                    (items::endpoint, items::protocol),
                ));
            $narrowed.load(conn)
        })?;
        Ok(stored(rows))
    }};
}

/// All items on the path of a conversation, of the turns from one to another, in order.
pub(crate) fn on_path(
    session: &mut dyn Session,
    parent: Messageable,
    turns: RangeInclusive<i64>,
) -> Result<Vec<StoredItem>> {
    let (from, to) = turns.into_inner();
    load_up_to!(session, parent, to, |query| query.filter(runs::seq.ge(from)))
}

/// Those of runs of which the provider's conversation at this service does not surely hold everything: a call is of use only
/// with its output, whichever of the two is held.
pub(crate) fn not_held_up_to(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    at: &Service,
) -> Result<Vec<StoredItem>> {
    let others = diesel::alias!(ai_engine_run_items as others);
    let elsewhere = || {
        let (endpoint, protocol) = (others.field(items::endpoint), others.field(items::protocol));
        let unnamed = endpoint.is_null().or(protocol.is_null());
        unnamed.or(endpoint.ne(&*at.endpoint)).or(protocol.ne(&*at.protocol))
    };
    let lacking = || {
        others
            .filter(others.field(items::run_id).eq(items::run_id))
            .filter(others.field(items::remote_state).ne(RemoteState::Held).or(elsewhere()))
    };
    load_up_to!(session, parent, seq, |query| query.filter(exists(lacking())))
}

/// Which of these turns have an item.
pub(crate) fn turns_with_any(
    session: &mut dyn Session,
    parent: Messageable,
    turns: &[i64],
) -> Result<HashSet<i64>> {
    turns_found(turns, |some| {
        Ok(on!(session, |conn| items::ai_engine_run_items
            .inner_join(runs::ai_engine_runs)
            .filter(of!(runs, parent))
            .filter(any_of(runs::seq, some))
            .select(runs::seq)
            .distinct()
            .load(conn))?)
    })
}

fn stored(rows: Vec<Row>) -> Vec<StoredItem> {
    rows.into_iter()
        .map(|(id, seq, position, item, remote_id, remote_state, (endpoint, protocol))| {
            StoredItem {
                id,
                seq,
                position,
                item,
                remote_id,
                remote_state,
                at: Service::stored(endpoint, protocol),
            }
        })
        .collect()
}
