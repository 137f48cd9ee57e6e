//! Taking up one run whose process died, in the database alone: it ends with what is stored of it, or is queued again.

use super::tools_left::{self, ToolsLeft};
use crate::drive::stored::{self, Keep};
use crate::drive::tariff::Tariff;
use crate::engine::core::Core;
use crate::error::{Error, Result, with_causes};
use crate::failpoint::Write;
use crate::model::{Message, Messageable, Reason, Recovery, RunRow, RunStatus};
use crate::store::queue;
use crate::store::runs::{self, End, Locking};
use crate::store::session::{Session, transaction};
use crate::store::verdict::{Verdict, verdict};
use crate::store::{messages, responses};

/// The statuses of a run that somebody drives.
pub(crate) const DRIVEN: [RunStatus; 1] = [RunStatus::InProgress];

impl Core {
    /// Ends a run that nobody drives any more, or queues it again. What the database refuses for good is ended with less.
    pub(crate) async fn take_up(&self, id: i64) -> Result<Taken> {
        let mut refused = None;
        for keep in Keep::LESS_AND_LESS {
            let (core, refusal) =
                (self.clone(), refused.as_ref().map(|error: &Error| with_causes(error)));
            let taken = self.store().write_as(Write::RecoverSettle, move |session| {
                let Locking::Got(row) = runs::try_lock(session, id)? else {
                    return Ok((None, Taken::Nothing));
                };
                let taken = take_up(session, &core, &row, keep, refusal.as_deref())?;
                Ok((taken.write(), taken))
            });
            match taken.await {
                Ok(taken) => {
                    if let Taken::Settled = taken {
                        self.troubles().passed(id);
                    }
                    return Ok(taken);
                }
                // Somebody has its messages locked, or builds an index on them: that is for the next look.
                Err(error) if error.is_lock_timeout() => {
                    self.troubles().failed(id);
                    return Ok(Taken::Nothing);
                }
                Err(error) if verdict(&error) == Verdict::Passing => return Err(error),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or(Error::RunGone(id)))
    }
}

/// What became of a run of a dead process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Somebody else was faster, or has it locked.
    Nothing,
    Settled,
    Queued,
    /// It waits for somebody's decision.
    Paused,
}

impl Taken {
    const fn write(self) -> Option<Write> {
        match self {
            Self::Nothing => None,
            Self::Settled => Some(Write::RecoverSettle),
            Self::Queued => Some(Write::RecoverRetry),
            Self::Paused => Some(Write::RecoverPause),
        }
    }
}

/// A run that took so many calls with it is not asked again: perhaps it is what kills the processes.
const MOST_ATTEMPTS: i64 = 3;

/// Ends a locked run that nobody drives with what is stored of it, or queues it again. `refusal`: why it could not be ended
/// with more.
pub(crate) fn take_up(
    session: &mut dyn Session,
    core: &Core,
    row: &RunRow,
    keep: Keep,
    refusal: Option<&str>,
) -> Result<Taken> {
    // Runs that this process drives are not looked at by their lease: a laptop's sleep ends every one.
    if !DRIVEN.contains(&row.status)
        || core.registry().get(row.id).is_some()
        || !queue::is_abandoned(session, row, core.worker())?
    {
        return Ok(Taken::Nothing);
    }
    if refusal.is_none() && row.cancel_requested_at.is_none() {
        match tools_left::take_up(session, row, core.options().approval_expiry)? {
            Some(ToolsLeft::GoesOn) => return Ok(Taken::Queued),
            Some(ToolsLeft::Waits) => return Ok(Taken::Paused),
            None => {}
        }
    }
    let nothing_stored = !messages::of_run(session, row.id)?.iter().any(Message::is_assistant);
    if refusal.is_none()
        && nothing_stored
        && row.recovery.unwrap_or(core.options().recovery) == Recovery::Retry
        && row.cancel_requested_at.is_none()
        && row.attempts < MOST_ATTEMPTS
    {
        responses::end_open(session, row.id)?;
        let queued = queue::queue_again(session, row)?;
        return Ok(queued.map_or(Taken::Nothing, |_| Taken::Queued));
    }
    let end = match (refusal, row.cancel_requested_at) {
        (Some(refusal), _) => End::failed_in_the_database(refusal.to_owned()),
        (None, Some(_)) => End::new(RunStatus::Cancelled, None, None),
        (None, None) => End::new(
            RunStatus::Incomplete,
            Some(Reason::Interrupted),
            Some("the process that drove the run ended".to_owned()),
        ),
    };
    let ended = stored::end(session, row.id, &end, keep, &Tariff::of_row(core, row))?;
    Ok(ended.map_or(Taken::Nothing, |_| Taken::Settled))
}

/// Takes up the runs that dead processes left in a conversation, in the transaction of whoever meets them. Returns those
/// that have ended. What cannot be ended here is left to the sweeps, which try with less.
pub(crate) fn take_up_in(
    session: &mut dyn Session,
    core: &Core,
    of: Messageable,
) -> Result<Vec<i64>> {
    let mut ended = Vec::new();
    for (id, status) in queue::unended(session, of)? {
        if status.waits() || core.registry().get(id).is_some() {
            continue;
        }
        let taken = transaction(session, |session| match runs::try_lock(session, id)? {
            Locking::Got(row) => take_up(session, core, &row, Keep::Folded, None),
            Locking::Locked | Locking::Nothing => Ok(Taken::Nothing),
        });
        match taken {
            Ok(Taken::Settled) => ended.push(id),
            Ok(Taken::Nothing | Taken::Queued | Taken::Paused) => {}
            Err(error) if error.lost_connection() => return Err(error),
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(
                    run = id,
                    error,
                    "a run of a dead process could not be ended in passing"
                );
            }
        }
    }
    Ok(ended)
}
