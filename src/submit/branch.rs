//! Taking another path of a conversation: one that ends earlier, one that was left before.

use super::again::up_to;
use super::enqueue::make_room;
use super::interrupt::Interrupted;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::model::{Message, Messageable, Run};
use crate::store::paths::{self, NewPath};
use crate::store::session::{Session, transaction};
use crate::store::{messages, refuse_within, runs_of, threads};

/// Which path to take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Branch {
    /// What comes after a message is not on it.
    EndAt { message: i64 },
    /// This run is on it.
    Through { run: i64 },
}

/// What taking it did beside.
#[derive(Debug)]
pub(crate) struct Taken {
    interrupted: Interrupted,
    forgotten: bool,
}

impl Branch {
    pub(crate) fn end_at(message: &Message) -> Self {
        Self::EndAt { message: message.id }
    }

    pub(crate) fn through(run: &Run) -> Self {
        Self::Through { run: run.id }
    }

    const fn write(self) -> Write {
        match self {
            Self::EndAt { .. } => Write::Truncate,
            Self::Through { .. } => Write::Choose,
        }
    }
}

/// Takes a path in a transaction of ours.
pub(crate) async fn take(core: &Core, of: Messageable, branch: Branch) -> Result<()> {
    refuse_within()?;
    core.keep_up();
    let core = core.clone();
    // A task of its own: a caller that goes away must not leave something undone.
    let taking = tokio::spawn(async move {
        let writing = core.clone();
        let taken = core
            .store()
            .write(branch.write(), move |session| change(session, &writing, of, branch));
        let taken = taken.await?;
        taken.interrupted.stop(&core);
        if taken.forgotten {
            core.work_outbox();
        }
        core.hubs().nudge();
        Ok(())
    });
    taking.await.map_err(|error| Error::Panicked(error.to_string()))?
}

/// Takes a path in the host's transaction.
pub(crate) fn take_in(
    session: &mut dyn Session,
    core: &Core,
    of: Messageable,
    branch: Branch,
) -> Result<()> {
    // A savepoint: a refusal takes no turn's number. Of a run that it ended, because its process had died, the owner hears by a sweep.
    let taken = transaction(session, |session| change(session, core, of, branch))?;
    if taken.forgotten {
        core.remote_deletions_noted();
    }
    Ok(())
}

fn change(
    session: &mut dyn Session,
    core: &Core,
    of: Messageable,
    branch: Branch,
) -> Result<Taken> {
    let locked = threads::lock_path(session, of)?;
    let interrupted = make_room(session, core, of)?;
    let tree = paths::tree(session, of)?;
    let new = match branch {
        Branch::EndAt { message } => {
            let (seq, position) = messages::place(session, of, message)?;
            up_to(&tree, seq, position)
        }
        Branch::Through { run } => {
            let seq = runs_of::seq(session, of, run)?;
            let left_at = tree.find(seq).and_then(|place| place.superseded_at);
            // What was asked after the turn had lost its end follows on that, and not on the whole turn.
            let cut = paths::cut_at(session, of, seq, left_at)?;
            let turns = tree.through(seq, cut.unwrap_or(i64::MAX));
            NewPath { turns, last: Some((seq, i64::MAX)), next: None }
        }
    };
    let changed = paths::change(session, of, &tree, &new, locked.seq)?;
    let head = new.turns.last().copied().filter(|last| *last != tree.highest());
    if head != locked.head {
        threads::set_head(session, of, head)?;
    }
    Ok(Taken { interrupted, forgotten: changed.is_some_and(|changed| changed.forgotten) })
}
