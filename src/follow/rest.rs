//! Whether there is anything left to tell behind a reader's place in a conversation.

use super::cursor::{Cursor, Part};
use crate::error::Result;
use crate::store::session::Session;
use crate::store::timeline::{self, StoredTurn};

/// Whether a place is behind the whole of something: behind that there may be nothing.
pub(super) fn may_be_over(place: &Cursor) -> bool {
    matches!(place.part, Part::Left(_)) || place.delivered.ended
}

/// So many numbers that stand for nothing are passed at once.
const MOST: usize = 100;

/// Whether nothing is told behind such a place, up to this number: refused requests with a known key take numbers, and changes of the
/// path that only took turns away.
pub(super) fn nothing_is_left(
    session: &mut dyn Session,
    place: &Cursor,
    next: i64,
) -> Result<bool> {
    let mut from = place.wanted().seq;
    for _ in 0..MOST {
        let Some(seq) = timeline::next_after(session, place.of, from, next)? else {
            return Ok(true);
        };
        let told = match place.part {
            Part::Back(turn) if seq == place.seq => turn,
            _ => 0,
        };
        for turn in timeline::between(session, place.of, seq, seq + 1)? {
            let StoredTurn::Moved(moved) = turn else { return Ok(false) };
            if moved.back.iter().any(|(turn, there)| *turn > told && there.is_some()) {
                return Ok(false);
            }
        }
        from = seq + 1;
    }
    Ok(false)
}
