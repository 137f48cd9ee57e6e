//! Stored turns, told as streams tell them.

use std::sync::Arc;

use crate::follow::cursor::{Cursor, Part};
use crate::follow::delivered::{Change, Delivered};
use crate::follow::event::Event;
use crate::follow::transcript::Transcript;
use crate::model::{Run, Turn};

/// The events of a turn's run, as a reader that begins now would get them, and the place behind them; those of a run that goes on end
/// where it stands.
pub(super) fn replay(turn: &Turn, run: &Run) -> (Vec<Event>, Cursor) {
    let (messages, calls) = (turn.messages.clone(), turn.tool_calls.clone());
    let stored = Transcript::stored(run.clone(), messages, calls);
    let mut delivered = Delivered::default();
    let mut cursor = Cursor::at(run.messageable, run.seq, Part::Own);
    let changes: Vec<Change> =
        stored.look(|seen| std::iter::from_fn(|| seen.after(&mut delivered)).collect());
    let event = |change: Change| Event { cursor: cursor.clone(), kind: change.into() };
    let events = changes.into_iter().map(event).collect();
    cursor.delivered = Arc::new(delivered);
    (events, cursor)
}

/// The place behind what a turn shows of its run, before its end: that is told to whoever was shown the turn, too.
pub(super) fn place(turn: &Turn, run: &Run) -> Cursor {
    let (_, mut cursor) = replay(turn, run);
    Arc::make_mut(&mut cursor.delivered).ended = false;
    cursor
}
