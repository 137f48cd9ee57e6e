//! Calls that wait: those on which nobody decided in time count as refused, and those that this process has the tool for after all are
//! carried out.

use super::lanes;
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::model::{RunRow, RunStatus, ToolCall, ToolCallStatus};
use crate::store::runs::{self, Locking};
use crate::store::session::Session;
use crate::store::tool_calls::{self, Move};

const TOLD: &str = "Nobody decided on this call in time, so it counts as refused.";

impl Core {
    /// One run after the other: what keeps one from being moved may not keep the others.
    pub(super) async fn look_after_waiting_calls(&self) -> Result<()> {
        for run in self.store().read(tool_calls::overdue).await? {
            self.move_calls(Write::Expire, run, expire).await?;
        }
        let names = self.tools().names();
        // Whoever would not drive the run on leaves its calls to those that would.
        if names.is_empty() || !self.options().take_queued {
            return Ok(());
        }
        let (waiting, providers) = (names.clone(), self.remotes().names());
        let waiting = move |session: &mut dyn Session| {
            tool_calls::awaiting_output_of(session, &waiting, &providers)
        };
        for run in self.store().read(waiting).await? {
            let names = names.clone();
            let adopting =
                move |session: &mut dyn Session, row: &RunRow| adopt(session, row, &names);
            self.move_calls(Write::Adopt, run, adopting).await?;
        }
        Ok(())
    }

    /// Changes calls of a run, which goes on when none of them waits any more. Fails if the database cannot be had; a run that
    /// cannot be changed is left alone for a while.
    async fn move_calls(
        &self,
        write: Write,
        run: i64,
        change: impl Fn(&mut dyn Session, &RunRow) -> Result<usize> + Send + 'static,
    ) -> Result<()> {
        if !self.troubles().may_try(run) {
            return Ok(());
        }
        let moved = self.store().write(write, move |session| {
            // The run first, as whoever drives it does. What somebody has locked is for the next look.
            let Locking::Got(row) = runs::try_lock(session, run)? else { return Ok(None) };
            if change(session, &row)? == 0 { Ok(None) } else { tool_calls::go_on(session, &row) }
        });
        match moved.await {
            Ok(moved) => {
                if let Some(of) = moved {
                    lanes::wake(self, of);
                }
                Ok(())
            }
            Err(error) if error.lost_connection() => Err(error),
            Err(error) => {
                self.troubles().failed(run);
                let error = with_causes(&error);
                tracing::error!(run, error, "calls that wait cannot be moved; tried again later");
                Ok(())
            }
        }
    }
}

/// Returns how many.
fn expire(session: &mut dyn Session, row: &RunRow) -> Result<usize> {
    let overdue = tool_calls::overdue_of_run(session, row.id)?;
    for call in &overdue {
        let status = match call.status {
            ToolCallStatus::AwaitingApproval => ToolCallStatus::Rejected,
            _ => ToolCallStatus::Failed,
        };
        let told = Some(call.refusal(TOLD));
        let with = Move { output: told.clone(), error: told, ..Move::default() };
        tool_calls::end(session, call.id, status, &with)?;
    }
    Ok(overdue.len())
}

/// Returns how many.
fn adopt(session: &mut dyn Session, row: &RunRow, names: &[&str]) -> Result<usize> {
    if row.status != RunStatus::RequiresAction {
        // Whoever drives it still looks at its calls.
        return Ok(0);
    }
    let is_ours = |call: &ToolCall| {
        call.status == ToolCallStatus::AwaitingOutput && names.contains(&&*call.name)
    };
    let mut ours = tool_calls::open_of_run(session, row.id)?;
    ours.retain(is_ours);
    for call in &ours {
        tool_calls::become_(session, call.id, call.before_running(), &Move::default())?;
    }
    Ok(ours.len())
}
