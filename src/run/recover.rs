//! What a dead process left behind.

use super::owner::deliver_end;
use super::{delete_remotely, drive};
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::{Message, MessageStatus, Role, Run, RunRow, RunStatus, utc_now};
use crate::store::messages::{self, SettledMessage};
use crate::store::runs::{self, End};
use crate::store::session::Session;
use crate::store::{deltas, responses, workers};

const ENDED: [RunStatus; 4] =
    [RunStatus::Completed, RunStatus::Incomplete, RunStatus::Failed, RunStatus::Cancelled];

/// What [`AiEngine::recover`] found to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Runs whose process died, now `incomplete` with the text that was stored.
    pub settled: u64,
    /// Queued runs that nobody drove; this engine does now.
    pub driven: u64,
    /// Ended runs whose last hooks had not been delivered, and now are.
    pub announced: u64,
}

impl AiEngine {
    /// Looks after what a dead process left behind; call it at each start.
    ///
    /// Runs in progress whose lease has ended are settled as `incomplete`, reason `interrupted`, with the text that was
    /// stored; queued runs are driven; last hooks that were not delivered are; remote deletions still open are tried.
    /// A process that died less than one lease ago (30 s unless set) still holds its runs: they are left for the next
    /// call.
    ///
    /// # Errors
    ///
    /// The database's. What was recovered before it stays so.
    pub async fn recover(&self) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for row in self.abandoned(&[RunStatus::InProgress, RunStatus::RequiresAction]).await? {
            recovered.settled += u64::from(
                self.store().write(move |session| settle_abandoned(session, &row)).await?,
            );
        }
        for row in self.abandoned(&[RunStatus::Queued]).await? {
            drive(self, &row.into());
            recovered.driven += 1;
        }

        for row in self.abandoned(&ENDED).await? {
            let run = Run::from(row);
            let id = run.id;
            let said = self.store().read(move |session| messages::of_run(session, id)).await?;
            deliver_end(self, run, said.into_iter().filter(Message::is_assistant).collect()).await;
            self.store().write(move |session| runs::announced(session, id)).await?;
            recovered.announced += 1;
        }
        self.store().write(workers::forget_ended).await?;
        delete_remotely(self).await?;
        Ok(recovered)
    }

    /// Runs nobody looks after, but for those that this process drives: a laptop's sleep ends every lease.
    async fn abandoned(&self, statuses: &'static [RunStatus]) -> Result<Vec<RunRow>> {
        let rows = self.store().read(move |session| runs::abandoned(session, statuses)).await?;
        Ok(rows.into_iter().filter(|row| self.registry().get(row.id).is_none()).collect())
    }
}

/// Ends a run with what is stored of it. `false`: somebody else was faster.
fn settle_abandoned(session: &mut dyn Session, found: &RunRow) -> Result<bool> {
    let Some(row) = runs::lock(session, found.id)? else {
        return Ok(false);
    };
    if row.status != found.status || row.fencing_token != found.fencing_token {
        return Ok(false);
    }
    let said = messages::of_run(session, row.id)?;
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
    let end = End {
        status: RunStatus::Incomplete,
        reason: Some("interrupted".to_owned()),
        error: Some("the process that drove the run ended".to_owned()),
    };
    let usage = responses::usage_of_run(session, row.id)?;
    Ok(runs::end(session, row.id, &end, usage)?.is_some())
}
