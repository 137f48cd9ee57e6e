//! What a dead process left behind.

use super::delete_remotely;
use super::drive::{drive, drive_next};
use super::owner::deliver_end;
use crate::crash;
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::model::{Message, MessageStatus, Recovery, Role, Run, RunRow, RunStatus, utc_now};
use crate::store::messages::{self, SettledMessage};
use crate::store::runs::{self, End};
use crate::store::session::Session;
use crate::store::{deltas, lines, responses, workers};

const ENDED: [RunStatus; 4] =
    [RunStatus::Completed, RunStatus::Incomplete, RunStatus::Failed, RunStatus::Cancelled];

/// What [`AiEngine::recover`] found to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Runs whose process died, now `incomplete` with the text that was stored (or `cancelled`, if that was asked for).
    pub settled: u64,
    /// Runs whose process died before anything of the answer was stored, and that are asked again ([`Recovery::Retry`]).
    pub retried: u64,
    /// Queued runs that nobody drove; this engine does now.
    pub driven: u64,
    /// Ended runs whose last hooks had not been delivered, and now are.
    pub announced: u64,
}

impl AiEngine {
    /// Looks after what a dead process left behind; call it at each start.
    ///
    /// Runs in progress whose lease has ended are settled as `incomplete`, reason `interrupted`, with the text that was
    /// stored, or asked again as [`EngineBuilder::recovery`](crate::EngineBuilder::recovery) says; queued runs are driven; last hooks that were not delivered are; remote deletions still open are tried.
    /// A process that died less than one lease ago (30 s unless set) still holds its runs: they are looked after by a
    /// second look in the background, one lease later.
    ///
    /// # Errors
    ///
    /// The database's. What was recovered before it stays so.
    pub async fn recover(&self) -> Result<Recovered> {
        let recovered = self.recover_now().await?;
        self.look_again_after_the_lease().await?;
        Ok(recovered)
    }

    pub(super) async fn recover_now(&self) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for row in self.abandoned(&[RunStatus::InProgress, RunStatus::RequiresAction]).await? {
            let (of, policy) = (Run::from(row.clone()).messageable, self.options().recovery);
            let taken = self.store().write(move |session| take_up(session, &row, policy)).await?;
            match taken {
                Taken::Nothing => continue,
                Taken::Settled => {
                    crash::point!("recover_settle.committed");
                    recovered.settled += 1;
                }
                Taken::Queued => {
                    crash::point!("recover_retry.committed");
                    recovered.retried += 1;
                }
            }
            drive_next(self, of).await;
        }
        // An engine without a provider could only fail them.
        if self.remote().is_some() {
            recovered.driven += self.drive_waiting().await?;
        }
        for row in self.abandoned(&ENDED).await? {
            recovered.announced += u64::from(self.announce(row.into()).await?);
        }
        let forgotten = self.store().write(|session| {
            workers::forget_ended(session)?;
            crash::point!("forget_workers.committing");
            Ok(())
        });
        forgotten.await?;
        crash::point!("forget_workers.committed");
        delete_remotely(self).await?;
        Ok(recovered)
    }

    /// Drives what waits and that nobody drives.
    pub(super) async fn drive_waiting(&self) -> Result<u64> {
        let mut driven = 0;
        for row in self.store().read(|session| lines::first_in_line(session, None)).await? {
            if self.registry().get(row.id).is_none() {
                drive(self, &row.into());
                driven += 1;
            }
        }
        Ok(driven)
    }

    /// Delivers the last hooks of an ended run, and notes that they were. `false`: they could not be.
    pub(super) async fn announce(&self, run: Run) -> Result<bool> {
        let id = run.id;
        let said = self.store().read(move |session| messages::of_run(session, id)).await?;
        let said = said.into_iter().filter(Message::is_assistant).collect();
        if !deliver_end(self, run, said).await {
            return Ok(false);
        }
        let noted = self.store().write(move |session| {
            runs::announced(session, id)?;
            crash::point!("late_announce.committing");
            Ok(())
        });
        noted.await?;
        crash::point!("late_announce.committed");
        Ok(true)
    }

    /// A process that was killed and started again finds its own runs under a lease that still holds: one more look when
    /// it must have ended, or been extended by a process that lives.
    async fn look_again_after_the_lease(&self) -> Result<()> {
        let unfinished = |row: &RunRow| self.registry().get(row.id).is_none();
        let rows = self.store().read(lines::in_progress).await?;
        if !rows.iter().any(unfinished) || !self.claim_second_look() {
            return Ok(());
        }
        self.spawn_second_look();
        Ok(())
    }

    /// A run was given up here: nobody need wait for the next start.
    pub(super) fn look_again_later(&self) {
        if self.claim_second_look() {
            self.spawn_second_look();
        }
    }

    fn spawn_second_look(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(engine.options().lease).await;
            engine.release_second_look();
            if let Err(error) = engine.recover_now().await {
                tracing::warn!(
                    error = with_causes(&error),
                    "could not look for runs of a dead process"
                );
            }
        });
    }

    /// Runs nobody looks after, but for those that this process drives: a laptop's sleep ends every lease.
    async fn abandoned(&self, statuses: &'static [RunStatus]) -> Result<Vec<RunRow>> {
        let worker = self.worker().to_owned();
        let rows = self.store().read(move |session| lines::abandoned(session, statuses, &worker));
        Ok(rows.await?.into_iter().filter(|row| self.registry().get(row.id).is_none()).collect())
    }
}

/// What became of a run of a dead process.
enum Taken {
    /// Somebody else was faster.
    Nothing,
    Settled,
    Queued,
}

/// A run that took so many calls with it is not asked again: perhaps it is what kills the process.
const MOST_ATTEMPTS: i64 = 3;

/// Ends a run with what is stored of it, or queues it again.
fn take_up(session: &mut dyn Session, found: &RunRow, policy: Recovery) -> Result<Taken> {
    let Some(row) = runs::lock(session, found.id)? else {
        return Ok(Taken::Nothing);
    };
    if row.status != found.status || row.fencing_token != found.fencing_token {
        return Ok(Taken::Nothing);
    }
    let said = messages::of_run(session, row.id)?;
    let nothing_stored = !said.iter().any(Message::is_assistant);
    if nothing_stored
        && row.recovery.unwrap_or(policy) == Recovery::Retry
        && row.cancel_requested_at.is_none()
        && row.attempts < MOST_ATTEMPTS
    {
        responses::end_open(session, row.id)?;
        let queued = lines::queue_again(session, row.id)?;
        crash::point!("recover_retry.committing");
        return Ok(queued.map_or(Taken::Nothing, |_| Taken::Queued));
    }
    let streaming: Vec<&Message> = said
        .iter()
        .filter(|message| {
            message.role == Role::Assistant && message.status == MessageStatus::Streaming
        })
        .collect();
    for message in &streaming {
        let settled = SettledMessage {
            status: MessageStatus::Incomplete,
            content: message.content.clone(),
            model: message.model.clone(),
            usage: message.usage,
            remote_id: message.remote_id.clone(),
            remote_state: message.remote_state,
            endpoint: None,
            protocol: None,
            updated_at: utc_now(),
        };
        messages::settle(session, message.id, &settled)?;
    }
    deltas::fold(session, &streaming.iter().map(|message| message.id).collect::<Vec<_>>())?;
    responses::end_open(session, row.id)?;
    let end = match row.cancel_requested_at {
        Some(_) => End { status: RunStatus::Cancelled, reason: None, error: None },
        None => End {
            status: RunStatus::Incomplete,
            reason: Some("interrupted".to_owned()),
            error: Some("the process that drove the run ended".to_owned()),
        },
    };
    let usage = responses::usage_of_run(session, row.id)?;
    let ended = runs::end(session, row.id, &end, usage)?;
    crash::point!("recover_settle.committing");
    Ok(ended.map_or(Taken::Nothing, |_| Taken::Settled))
}
