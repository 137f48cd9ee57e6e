//! Messages on the path of a conversation, as the provider and readers are told them.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use diesel::prelude::*;

use super::load_whole;
use crate::error::Result;
use crate::model::{Message, Messageable, RemoteState, Role, Said, Service};
use crate::schema::ai_engine_messages::dsl as messages;
use crate::store::any_of::any_of;
use crate::store::first_row::First;
use crate::store::session::{Session, of, on};

/// All messages on the path of a conversation, of the turns from one to another, in order.
pub(crate) fn on_path(
    session: &mut dyn Session,
    parent: Messageable,
    turns: RangeInclusive<i64>,
) -> Result<Vec<Said>> {
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::seq.ge(*turns.start()))
        .filter(messages::seq.le(*turns.end()))
        .filter(messages::superseded_at_seq.is_null())
        .order((messages::seq, messages::position)))
    .collect())
}

/// The system texts on the path of a conversation up to a turn, in order.
pub(crate) fn system_texts(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
) -> Result<Vec<String>> {
    Ok(on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::seq.le(seq))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::role.eq(Role::System))
        .order((messages::seq, messages::position))
        .select(messages::content)
        .load(conn))?)
}

/// The turn on the path that has so many others between itself and this one; `None`: there are not so many.
pub(crate) fn turns_before(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    others: i64,
) -> Result<Option<i64>> {
    Ok(on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::position.eq(0))
        .filter(messages::seq.le(seq))
        .filter(messages::superseded_at_seq.is_null())
        .order(messages::seq.desc())
        .select(messages::seq)
        .offset(others)
        .limit(1)
        .first(conn)
        .optional())?)
}

/// Those of them that the provider's conversation at this service does not surely hold.
pub(crate) fn not_held_up_to(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    at: &Service,
) -> Result<Vec<Said>> {
    let elsewhere = || {
        let unnamed = messages::endpoint.is_null().or(messages::protocol.is_null());
        let other = messages::endpoint.ne(&*at.endpoint).or(messages::protocol.ne(&*at.protocol));
        unnamed.or(other)
    };
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::seq.le(seq))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::remote_state.ne(RemoteState::Held).or(elsewhere()))
        .order((messages::seq, messages::position)))
    .collect())
}

/// Which of these turns have a message of the model.
pub(crate) fn answered(
    session: &mut dyn Session,
    parent: Messageable,
    turns: &[i64],
) -> Result<HashSet<i64>> {
    turns_found(turns, |some| {
        Ok(on!(session, |conn| messages::ai_engine_messages
            .filter(of!(messages, parent))
            .filter(any_of(messages::seq, some))
            .filter(messages::role.eq(Role::Assistant))
            .filter(messages::superseded_at_seq.is_null())
            .select(messages::seq)
            .load(conn))?)
    })
}

/// Which of these turns `find` finds, some at a time: a statement takes so many values and no more.
pub(crate) fn turns_found(
    turns: &[i64],
    mut find: impl FnMut(&[i64]) -> Result<Vec<i64>>,
) -> Result<HashSet<i64>> {
    let mut found = HashSet::new();
    for some in turns.chunks(500) {
        found.extend(find(some)?);
    }
    Ok(found)
}

/// The messages of the turns numbered `from` up to, not including, `to`, in order: of those that are on the path and always were.
pub(crate) fn between(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Vec<Message>> {
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::seq.ge(from))
        .filter(messages::seq.lt(to))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::chosen_at_seq.is_null())
        .order((messages::seq, messages::position)))
    .map(Message::from)
    .collect())
}

/// The number of the first of these turns that has a message.
pub(crate) fn first_between(
    session: &mut dyn Session,
    parent: Messageable,
    from: i64,
    to: i64,
) -> Result<Option<i64>> {
    Ok(on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, parent))
        .filter(messages::seq.ge(from))
        .filter(messages::seq.lt(to))
        .filter(messages::superseded_at_seq.is_null())
        .filter(messages::chosen_at_seq.is_null())
        .order(messages::seq)
        .select(messages::seq)
        .first_row()
        .get_result(conn)
        .optional())?)
}

/// The messages of turns that came back to the path under this number, and are on it, in order.
pub(crate) fn chosen_at(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
) -> Result<Vec<Message>> {
    Ok(load_whole!(session, |query| query
        .filter(of!(messages, parent))
        .filter(messages::chosen_at_seq.eq(seq))
        .filter(messages::superseded_at_seq.is_null())
        .order((messages::seq, messages::position)))
    .map(Message::from)
    .collect())
}
