//! Taking up what a dead process left: in the database alone. Hooks and the provider are called beside it.

use super::keep::LOOK;
use super::lanes;
use super::persist::{Verdict, verdict};
use super::stored::{self, Keep};
use crate::engine::AiEngine;
use crate::error::{Error, Result, with_causes};
use crate::failpoint::Write;
use crate::model::{Message, Messageable, Reason, Recovery, RunRow, RunStatus};
use crate::store::lines::{self, Found};
use crate::store::runs::{self, End, Locking};
use crate::store::session::{Session, transaction};
use crate::store::{messages, responses, workers};

const DRIVEN: [RunStatus; 2] = [RunStatus::InProgress, RunStatus::RequiresAction];
const ENDED: [RunStatus; 4] =
    [RunStatus::Completed, RunStatus::Incomplete, RunStatus::Failed, RunStatus::Cancelled];

/// What [`AiEngine::recover`] found to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Runs whose process died, now `incomplete` with the text that was stored (or `cancelled`, if that was asked for, or
    /// `failed`, if the database refuses to have them end otherwise).
    pub settled: u64,
    /// Runs whose process died before anything of the answer was stored, and that are asked again ([`Recovery::Retry`]).
    pub retried: u64,
    /// Threads and chats with a queued run that nobody drove; this engine begins to. Eight at first, the others after them.
    pub driven: u64,
    /// Ended runs whose last hooks had not been delivered; this engine delivers them, in the background.
    pub announced: u64,
}

impl AiEngine {
    /// Looks once after what dead processes left behind. [`start`](Self::start) does so, too, and goes on looking.
    ///
    /// Runs in progress whose lease has ended are settled as `incomplete`, reason `interrupted`, with the text that was
    /// stored, or asked again as [`EngineBuilder::recovery`](crate::EngineBuilder::recovery) says. Beside that, in the
    /// background, queued runs are driven, last hooks that were not delivered are, and remote deletions still open are
    /// tried: this call waits neither for hooks nor for the provider. Runs that wait are taken a few at a time; of last hooks
    /// what is more than 64 is left to the next call, or to a started engine. Runs are driven, and last hooks delivered, for owners whose loader the builder was given.
    ///
    /// A process that died less than one lease ago (30 s unless set) still holds its runs: they are looked after by a
    /// second look in the background, one lease later.
    ///
    /// One run that cannot be ended is logged, left alone for a while, and stops nobody else.
    ///
    /// # Cancellation
    ///
    /// What was recovered when the future is dropped stays so.
    ///
    /// # Errors
    ///
    /// The database's, when it cannot be read. What was recovered before it stays so.
    pub async fn recover(&self) -> Result<Recovered> {
        let recovered = self.sweep().await?;
        self.look_again_after_the_lease().await?;
        Ok(recovered)
    }

    /// One look after all that nobody looks after.
    pub(super) async fn sweep(&self) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        let (mut after, mut passing) = (0, None);
        loop {
            // Of every owner: it takes the database alone.
            let page = self.abandoned(&DRIVEN, after, None).await?;
            for found in &page {
                match self.take_up_found(*found).await {
                    Ok(Taken::Nothing) => {}
                    Ok(Taken::Settled) => recovered.settled += 1,
                    Ok(Taken::Queued) => recovered.retried += 1,
                    Err(error) if error.lost_connection() => return Err(error),
                    // What keeps one run from being ended for a moment may not keep the others.
                    Err(error) => passing = Some(error),
                }
            }
            match page.last() {
                Some(last) => after = last.id,
                None => break,
            }
        }
        let waiting = self.look_for_waiting(0).await?;
        recovered.driven = waiting.driven;
        self.look_on_for_waiting(waiting.next);
        recovered.announced = self.announce_abandoned().await?;
        self.work_outbox();
        passing.map_or(Ok(recovered), Err)
    }

    /// Has the last hooks delivered that nobody delivers, as many as there is room for.
    async fn announce_abandoned(&self) -> Result<u64> {
        let (mut taken_on, mut after) = (0, 0);
        loop {
            let page = self.abandoned(&ENDED, after, Some(self.owner_kinds())).await?;
            let Some(last) = page.last() else { return Ok(taken_on) };
            after = last.id;
            taken_on +=
                page.iter().map(|found| u64::from(self.announce_later(found.id))).sum::<u64>();
        }
    }

    /// Forgets processes that ended long ago.
    pub(super) async fn forget_workers(&self) -> Result<()> {
        let forgotten =
            self.store().write(Write::ForgetWorkers, |session| workers::forget_ended(session));
        forgotten.await
    }

    async fn take_up_found(&self, found: Found) -> Result<Taken> {
        if self.registry().get(found.id).is_some() || !self.troubles().may_try(found.id) {
            return Ok(Taken::Nothing);
        }
        let taken = match self.take_up(found.id).await {
            Ok(taken) => taken,
            Err(error) if verdict(&error) == Verdict::Passing => return Err(error),
            Err(error) => {
                self.troubles().failed(found.id);
                let error = with_causes(&error);
                tracing::error!(
                    run = found.id,
                    error,
                    "a run of a dead process cannot be ended; tried again later"
                );
                return Ok(Taken::Nothing);
            }
        };
        if !matches!(taken, Taken::Nothing) {
            lanes::wake(self, found.of);
        }
        Ok(taken)
    }

    /// Ends a run that nobody drives any more, or queues it again. What the database refuses for good is ended with less.
    pub(super) async fn take_up(&self, id: i64) -> Result<Taken> {
        let mut refused = None;
        for keep in Keep::LESS_AND_LESS {
            let (engine, refusal) =
                (self.clone(), refused.as_ref().map(|error: &Error| with_causes(error)));
            let taken = self.store().write_as(Write::RecoverSettle, move |session| {
                let Locking::Got(row) = runs::try_lock(session, id)? else {
                    return Ok((None, Taken::Nothing));
                };
                let taken = take_up(session, &engine, &row, keep, refusal.as_deref())?;
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

    /// A process that was killed and started again finds its own runs under a lease that still holds: one more look when
    /// it must have ended, or been extended by a process that lives.
    async fn look_again_after_the_lease(&self) -> Result<()> {
        let worker = self.worker().to_owned();
        if self.store().read(move |session| lines::any_in_progress(session, &worker)).await? {
            self.look_again_later();
        }
        Ok(())
    }

    /// A run was given up here: nobody need wait for the next start.
    pub(super) fn look_again_later(&self) {
        if self.is_kept() || !self.claim_second_look() {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(engine.options().lease).await;
            engine.release_second_look();
            if let Err(error) = engine.sweep().await {
                tracing::warn!(
                    error = with_causes(&error),
                    "could not look for runs of a dead process"
                );
            }
        });
    }

    /// Has what waits behind the run `after` driven, a few at a time, unless that is done anyway.
    fn look_on_for_waiting(&self, mut after: i64) {
        if after == 0 || self.is_kept() {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            while after != 0 {
                tokio::time::sleep(LOOK).await;
                match engine.look_for_waiting(after).await {
                    Ok(waiting) => after = waiting.next,
                    Err(error) => {
                        let error = with_causes(&error);
                        tracing::warn!(error, "could not look for runs that wait");
                    }
                }
            }
        });
    }

    async fn abandoned(
        &self,
        statuses: &'static [RunStatus],
        after: i64,
        kinds: Option<Vec<&'static str>>,
    ) -> Result<Vec<Found>> {
        let worker = self.worker().to_owned();
        let abandoned = self.store().read(move |session| {
            lines::abandoned(session, kinds.as_deref(), statuses, &worker, after)
        });
        abandoned.await
    }
}

/// What became of a run of a dead process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Somebody else was faster, or has it locked.
    Nothing,
    Settled,
    Queued,
}

impl Taken {
    const fn write(self) -> Option<Write> {
        match self {
            Self::Nothing => None,
            Self::Settled => Some(Write::RecoverSettle),
            Self::Queued => Some(Write::RecoverRetry),
        }
    }
}

/// A run that took so many calls with it is not asked again: perhaps it is what kills the processes.
const MOST_ATTEMPTS: i64 = 3;

/// Ends a locked run that nobody drives with what is stored of it, or queues it again. `refusal`: why it could not be ended
/// with more.
pub(super) fn take_up(
    session: &mut dyn Session,
    engine: &AiEngine,
    row: &RunRow,
    keep: Keep,
    refusal: Option<&str>,
) -> Result<Taken> {
    // Runs that this process drives are not looked at by their lease: a laptop's sleep ends every one.
    if !DRIVEN.contains(&row.status)
        || engine.registry().get(row.id).is_some()
        || !lines::is_abandoned(session, row, engine.worker())?
    {
        return Ok(Taken::Nothing);
    }
    let nothing_stored = !messages::of_run(session, row.id)?.iter().any(Message::is_assistant);
    if refusal.is_none()
        && nothing_stored
        && row.recovery.unwrap_or(engine.options().recovery) == Recovery::Retry
        && row.cancel_requested_at.is_none()
        && row.attempts < MOST_ATTEMPTS
    {
        responses::end_open(session, row.id)?;
        let queued = lines::queue_again(session, row.id)?;
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
    let ended = stored::end(session, row.id, &end, keep)?;
    Ok(ended.map_or(Taken::Nothing, |_| Taken::Settled))
}

/// Takes up the runs that dead processes left in a conversation, in the transaction of whoever meets them. Returns those
/// that have ended. What cannot be ended here is left to the sweeps, which try with less.
pub(super) fn take_up_in(
    session: &mut dyn Session,
    engine: &AiEngine,
    of: Messageable,
) -> Result<Vec<i64>> {
    let mut ended = Vec::new();
    for (id, status) in lines::unended(session, of)? {
        if status == RunStatus::Queued || engine.registry().get(id).is_some() {
            continue;
        }
        let taken = transaction(session, |session| match runs::try_lock(session, id)? {
            Locking::Got(row) => take_up(session, engine, &row, Keep::Folded, None),
            Locking::Locked | Locking::Nothing => Ok(Taken::Nothing),
        });
        match taken {
            Ok(Taken::Settled) => ended.push(id),
            Ok(Taken::Nothing | Taken::Queued) => {}
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
