//! Taking up what a dead process left: in the database alone. Hooks and the provider are called beside it.

use super::keep::LOOK;
use super::lanes;
use super::take_up::{DRIVEN, Taken};
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::model::RunStatus;
use crate::store::queue::{self, Found};
use crate::store::verdict::{Verdict, verdict};
use crate::store::workers;

const ENDED: [RunStatus; 4] =
    [RunStatus::Completed, RunStatus::Incomplete, RunStatus::Failed, RunStatus::Cancelled];

/// What [`AiEngine::recover`](crate::AiEngine::recover) and [`AiEngine::start`](crate::AiEngine::start) found of processes that died.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Runs whose process died, now `incomplete` with the text that was stored (or `cancelled`, if that was asked for, or
    /// `failed`, if the database refuses to have them end otherwise).
    pub settled: u64,
    /// Runs whose process died before anything of the answer was stored, and that are asked again ([`Recovery::Retry`](crate::Recovery::Retry)).
    pub retried: u64,
    /// Threads and chats with a queued run that no process drove and this engine now drives, or will once there is a place
    /// ([`EngineBuilder::max_concurrent_runs`](crate::EngineBuilder::max_concurrent_runs)). At most eight are counted, or a hundred where
    /// runs wait for places; more follow in the background.
    pub driven: u64,
    /// Ended runs whose last hooks were not delivered; this engine delivers them in the background.
    pub announced: u64,
}

impl Core {
    pub(crate) async fn recover(&self) -> Result<Recovered> {
        let recovered = self.sweep().await?;
        self.look_again_after_the_lease().await?;
        Ok(recovered)
    }

    /// One look after all that nobody looks after.
    pub(crate) async fn sweep(&self) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        let (mut after, mut passing) = (0, None);
        loop {
            // Of every owner: it takes the database alone.
            let page = self.abandoned(&DRIVEN, after, None).await?;
            for found in &page {
                match self.take_up_found(*found).await {
                    Ok(Taken::Nothing | Taken::Paused) => {}
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
        self.look_after_waiting_calls().await?;
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
    pub(crate) async fn forget_workers(&self) -> Result<()> {
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

    /// A process that was killed and started again finds its own runs under a lease that still holds: one more look when
    /// it must have ended, or been extended by a process that lives.
    async fn look_again_after_the_lease(&self) -> Result<()> {
        let worker = self.worker().to_owned();
        if self.store().read(move |session| queue::any_in_progress(session, &worker)).await? {
            self.look_again_later();
        }
        Ok(())
    }

    /// A run was given up here: nobody need wait for the next start.
    pub(crate) fn look_again_later(&self) {
        if self.is_kept() || !self.claim_second_look() {
            return;
        }
        let core = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(core.options().lease).await;
            core.release_second_look();
            if let Err(error) = core.sweep().await {
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
        let core = self.clone();
        tokio::spawn(async move {
            while after != 0 {
                tokio::time::sleep(LOOK).await;
                match core.look_for_waiting(after).await {
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
            queue::abandoned(session, kinds.as_deref(), statuses, &worker, after)
        });
        abandoned.await
    }
}
