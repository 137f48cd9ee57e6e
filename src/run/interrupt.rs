//! Making room for a run: the unended ones before it are cancelled, keeping their texts.

use super::live::Stop;
use crate::crash;
use crate::engine::AiEngine;
use crate::error::{Result, with_causes};
use crate::model::{Messageable, Run, RunStatus, Usage};
use crate::store::lines;
use crate::store::runs::{self, End};
use crate::store::session::Session;

/// What became of the runs that were in the way.
#[derive(Debug, Default)]
pub(super) struct Interrupted {
    /// Driven by some process, which was asked to stop.
    asked: Vec<i64>,
    /// Waited for their turn, and are cancelled.
    cancelled: Vec<Run>,
}

/// Under the lock of the conversation, in the transaction that submits the run they make room for.
pub(super) fn interrupt(session: &mut dyn Session, of: Messageable) -> Result<Interrupted> {
    let mut interrupted = Interrupted::default();
    for (id, status) in lines::unended(session, of)? {
        if status == RunStatus::Queued
            && let Some(run) = cancel_queued(session, id)?
        {
            interrupted.cancelled.push(run);
        } else {
            runs::request_cancel(session, id)?;
            interrupted.asked.push(id);
        }
    }
    crash::point!("interrupt.committing");
    Ok(interrupted)
}

/// Nobody drives a queued run, so nobody else can end it. `None`: somebody began to drive it.
pub(super) fn cancel_queued(session: &mut dyn Session, id: i64) -> Result<Option<Run>> {
    let row = runs::lock(session, id)?;
    if row.is_none_or(|row| row.status != RunStatus::Queued) {
        return Ok(None);
    }
    let end = End { status: RunStatus::Cancelled, reason: None, error: None };
    runs::end(session, id, &end, Usage::default())
}

impl Interrupted {
    /// After the commit: what this process drives stops at once, and the owners of what never began hear of it.
    pub(super) fn stop(self, engine: &AiEngine) {
        engine.registry().stop(&self.asked, Stop::Cancelled);
        for run in self.cancelled {
            crash::point!("interrupt.committed");
            let engine = engine.clone();
            tokio::spawn(async move {
                if let Err(error) = engine.announce(run).await {
                    let error = with_causes(&error);
                    tracing::warn!(error, "the owner of a cancelled run is told by recovery");
                }
            });
        }
    }
}
