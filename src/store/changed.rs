//! Which conversations of an owner something happened on.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::any_of::{any_of, status_of};
use super::first_row::First;
use super::session::{Session, of, on};
use crate::error::Result;
use crate::model::{Messageable, RunStatus};
use crate::schema::ai_engine_assistant_threads::dsl as threads;
use crate::schema::ai_engine_chats::dsl as chats;
use crate::schema::ai_engine_messages::dsl as messages;
use crate::schema::ai_engine_runs::dsl as runs;

/// A thread or chat, and when it last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) of: Messageable,
    /// The number of the turn that is to come.
    pub(crate) next: i64,
    pub(crate) at: NaiveDateTime,
}

/// Those of these owners of one type that changed since then, each with its owner.
pub(crate) fn since(
    session: &mut dyn Session,
    owner_type: &str,
    owners: &[String],
    since: NaiveDateTime,
) -> Result<Vec<(String, Changed)>> {
    let found: Vec<(String, i64, i64, NaiveDateTime)> =
        on!(session, |conn| threads::ai_engine_assistant_threads
            .filter(threads::threadable_type.eq(owner_type))
            .filter(threads::threadable_id.eq_any(owners))
            .filter(threads::updated_at.ge(since))
            .select((threads::threadable_id, threads::id, threads::next_seq, threads::updated_at))
            .load(conn))?;
    let of_threads = found.into_iter().map(|(owner, id, next, at)| {
        (owner, Changed { of: Messageable::AssistantThread(id), next, at })
    });
    let mut all: Vec<(String, Changed)> = of_threads.collect();
    let found: Vec<(String, i64, i64, NaiveDateTime)> =
        on!(session, |conn| chats::ai_engine_chats
            .filter(chats::chattable_type.eq(owner_type))
            .filter(chats::chattable_id.eq_any(owners))
            .filter(chats::updated_at.ge(since))
            .select((chats::chattable_id, chats::id, chats::next_seq, chats::updated_at))
            .load(conn))?;
    all.extend(
        found
            .into_iter()
            .map(|(owner, id, next, at)| (owner, Changed { of: Messageable::Chat(id), next, at })),
    );
    Ok(all)
}

/// The number of the next turn of each of these that is this owner's; a missing one is gone, or somebody else's.
pub(crate) fn heads_of_owner(
    session: &mut dyn Session,
    owner_type: &str,
    owner: &str,
    of: &[Messageable],
) -> Result<HashMap<Messageable, i64>> {
    let mut heads = HashMap::with_capacity(of.len());
    let ids: Vec<i64> = of.iter().filter_map(|of| of.thread_id()).collect();
    for ids in ids.chunks(1000) {
        let found: Vec<(i64, i64)> = on!(session, |conn| threads::ai_engine_assistant_threads
            .filter(any_of(threads::id, ids))
            .filter(threads::threadable_type.eq(owner_type))
            .filter(threads::threadable_id.eq(owner))
            .select((threads::id, threads::next_seq))
            .load(conn))?;
        heads.extend(found.into_iter().map(|(id, next)| (Messageable::AssistantThread(id), next)));
    }
    let ids: Vec<i64> = of.iter().filter_map(|of| of.chat_id()).collect();
    for ids in ids.chunks(1000) {
        let found: Vec<(i64, i64)> = on!(session, |conn| chats::ai_engine_chats
            .filter(any_of(chats::id, ids))
            .filter(chats::chattable_type.eq(owner_type))
            .filter(chats::chattable_id.eq(owner))
            .select((chats::id, chats::next_seq))
            .load(conn))?;
        heads.extend(found.into_iter().map(|(id, next)| (Messageable::Chat(id), next)));
    }
    Ok(heads)
}

/// The conversations of an owner with a run that has not ended, each with the number of the first such turn.
pub(crate) fn unended(
    session: &mut dyn Session,
    owner_type: &str,
    owner: &str,
) -> Result<Vec<(Messageable, i64)>> {
    let of_threads: Vec<(i64, i64)> = on!(session, |conn| runs::ai_engine_runs
        .inner_join(
            threads::ai_engine_assistant_threads
                .on(threads::id.nullable().eq(runs::assistant_thread_id))
        )
        .filter(threads::threadable_type.eq(owner_type))
        .filter(threads::threadable_id.eq(owner))
        .filter(status_of(&RunStatus::ACTIVE))
        .select((threads::id, runs::seq))
        .load(conn))?;
    let of_chats: Vec<(i64, i64)> = on!(session, |conn| runs::ai_engine_runs
        .inner_join(chats::ai_engine_chats.on(chats::id.nullable().eq(runs::chat_id)))
        .filter(chats::chattable_type.eq(owner_type))
        .filter(chats::chattable_id.eq(owner))
        .filter(status_of(&RunStatus::ACTIVE))
        .select((chats::id, runs::seq))
        .load(conn))?;
    let of_threads =
        of_threads.into_iter().map(|(id, seq)| (Messageable::AssistantThread(id), seq));
    let all = of_threads.chain(of_chats.into_iter().map(|(id, seq)| (Messageable::Chat(id), seq)));
    let mut first: Vec<(Messageable, i64)> = Vec::new();
    for (of, seq) in all {
        match first.iter_mut().find(|(known, _)| *known == of) {
            Some((_, least)) => *least = seq.min(*least),
            None => first.push((of, seq)),
        }
    }
    Ok(first)
}

/// The number of the last turn that began before this time; 0: there is none.
pub(crate) fn last_before(
    session: &mut dyn Session,
    of: Messageable,
    time: NaiveDateTime,
) -> Result<i64> {
    let last: Option<i64> = on!(session, |conn| messages::ai_engine_messages
        .filter(of!(messages, of))
        .filter(messages::created_at.lt(time))
        .order(messages::seq.desc())
        .select(messages::seq)
        .first_row()
        .get_result(conn)
        .optional())?;
    Ok(last.unwrap_or(0))
}
