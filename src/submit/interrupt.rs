//! Making room for a run: the unended ones before it are cancelled, keeping their texts.

use crate::drive::flight::Stop;
use crate::drive::stored::{self, Keep};
use crate::drive::tariff::Tariff;
use crate::engine::core::Core;
use crate::error::Result;
use crate::model::{Messageable, RunStatus};
use crate::store::queue;
use crate::store::runs::{self, End, Locking};
use crate::store::session::Session;
use crate::worker::take_up::{self, Taken};

/// What became of the runs that were in the way.
#[derive(Debug, Default)]
pub(crate) struct Interrupted {
    /// Driven by some process, which was asked to stop.
    asked: Vec<i64>,
    /// Ended in the same transaction: they waited for their turn, or their process had died.
    pub(crate) ended: Vec<i64>,
}

/// Under the lock of the conversation, in the transaction that submits the run they make room for.
pub(crate) fn interrupt(
    session: &mut dyn Session,
    core: &Core,
    of: Messageable,
) -> Result<Interrupted> {
    let mut interrupted = Interrupted::default();
    for (id, _) in queue::unended(session, of)? {
        match cancel(session, core, id)? {
            Cancelled::Ended => interrupted.ended.push(id),
            Cancelled::Asked => interrupted.asked.push(id),
        }
    }
    Ok(interrupted)
}

/// What a cancellation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Nobody drove the run, or nobody does any more.
    Ended,
    /// Whoever drives it was asked to stop; or it had ended before.
    Asked,
}

/// Ends a run that nobody drives, and asks whoever drives it to stop otherwise.
pub(crate) fn cancel(session: &mut dyn Session, core: &Core, id: i64) -> Result<Cancelled> {
    let Some(row) = runs::lock(session, id)? else { return Ok(Cancelled::Asked) };
    if row.status.waits() {
        let end = End::new(RunStatus::Cancelled, None, None);
        // With what its earlier calls said and cost, if there were any.
        let tariff = Tariff::of_row(core, &row);
        let ended = stored::end(session, id, &end, Keep::Folded, &tariff)?;
        return Ok(ended.map_or(Cancelled::Asked, |_| Cancelled::Ended));
    }
    runs::request_cancel(session, id)?;
    let abandoned = match runs::try_lock(session, id)? {
        Locking::Got(row) => row,
        Locking::Locked | Locking::Nothing => return Ok(Cancelled::Asked),
    };
    let taken = crate::store::session::transaction(session, |session| {
        take_up::take_up(session, core, &abandoned, Keep::Folded, None)
    });
    match taken {
        Ok(Taken::Settled) => Ok(Cancelled::Ended),
        Err(error) if error.lost_connection() => Err(error),
        // What cannot be ended here is ended by the sweeps, with less.
        Ok(Taken::Nothing | Taken::Queued | Taken::Paused) | Err(_) => Ok(Cancelled::Asked),
    }
}

impl Interrupted {
    pub(crate) fn is_any(&self) -> bool {
        !(self.asked.is_empty() && self.ended.is_empty())
    }

    /// Runs that ended because their process had died.
    pub(crate) fn found_dead(ended: Vec<i64>) -> Self {
        Self { asked: Vec::new(), ended }
    }

    /// After the commit: what this process drives stops at once, and the owners of what ended hear of it.
    pub(crate) fn stop(self, core: &Core) {
        core.registry().stop(&self.asked, Stop::Cancelled);
        for run in self.ended {
            core.announce_later(run);
        }
    }
}
