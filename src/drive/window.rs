//! The history by our own, read from its newest turns: a long conversation costs what is sent of it.

use super::entries::{self, Entry};
use super::estimate;
use super::input;
use crate::error::Result;
use crate::model::{Messageable, Service};
use crate::store::session::Session;
use crate::store::{items, messages};

/// Turns that are read first. Each further look reads twice as many.
const FIRST: i64 = 64;

/// What may be sent of a conversation up to a turn, in order: all of it, or at least as much as the budget allows.
pub(super) fn read(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    service: &Service,
    budget: Option<i64>,
) -> Result<Vec<Entry>> {
    let Some(budget) = budget else {
        return turns(session, parent, (0, seq), seq, service);
    };
    let (mut read, mut last, mut at_once) = (Vec::new(), seq, FIRST);
    loop {
        let first = messages::turns_before(session, parent, last, at_once - 1)?;
        let mut older = turns(session, parent, (first.unwrap_or(0), last), seq, service)?;
        older.append(&mut read);
        read = older;
        match first {
            Some(first) if estimate::tokens_of(&read) <= budget => last = first - 1,
            _ => return Ok(read),
        }
        at_once *= 2;
    }
}

/// What may be sent of the turns from one to another, where `seq` is the newest of all.
fn turns(
    session: &mut dyn Session,
    parent: Messageable,
    (first, last): (i64, i64),
    seq: i64,
    service: &Service,
) -> Result<Vec<Entry>> {
    let said = messages::on_path(session, parent, first..=last)?;
    let done = items::on_path(session, parent, first..=last)?;
    let entries = entries::entries(said, done, service);
    let answered = entries::answered(&entries);
    let entries = entries::without_unanswered(entries, seq, |seq| answered.contains(&seq));
    Ok(input::travelling(entries))
}
