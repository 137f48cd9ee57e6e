//! Calls that wait: those on which nobody decided in time count as refused, and those that this process has the tool for after all are
//! carried out.

use super::lanes;
use crate::engine::core::Core;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::{RunRow, RunStatus, ToolCall, ToolCallStatus};
use crate::store::runs::{self, Locking};
use crate::store::session::Session;
use crate::store::tool_calls::{self, Move};

const TOLD: &str = "Nobody decided on this call in time, so it counts as refused.";

impl Core {
    /// One run after the other.
    pub(super) async fn look_after_waiting_calls(&self) -> Result<()> {
        for run in self.store().read(tool_calls::overdue).await? {
            self.move_calls(Write::Expire, run, expire).await?;
        }
        let names = self.tools().names();
        // Whoever would not drive the run on leaves its calls to those that would.
        if names.is_empty() || !self.options().take_queued {
            return Ok(());
        }
        let waiting = names.clone();
        let waiting =
            move |session: &mut dyn Session| tool_calls::awaiting_output_of(session, &waiting);
        for run in self.store().read(waiting).await? {
            let (names, core) = (names.clone(), self.clone());
            let adopting = move |session: &mut dyn Session, row: &RunRow| match core
                .remotes()
                .find(row.provider.as_deref())
            {
                Some(_) => adopt(session, row, &names),
                None => Ok(()),
            };
            self.move_calls(Write::Adopt, run, adopting).await?;
        }
        Ok(())
    }

    /// Changes calls of a run, which goes on when none of them waits any more.
    async fn move_calls(
        &self,
        write: Write,
        run: i64,
        change: impl Fn(&mut dyn Session, &RunRow) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let moved = self.store().write(write, move |session| {
            // The run first, as whoever drives it does. What somebody has locked is for the next look.
            let Locking::Got(row) = runs::try_lock(session, run)? else { return Ok(None) };
            change(session, &row)?;
            tool_calls::go_on(session, &row)
        });
        if let Some(of) = moved.await? {
            lanes::wake(self, of);
        }
        Ok(())
    }
}

fn expire(session: &mut dyn Session, row: &RunRow) -> Result<()> {
    for call in tool_calls::overdue_of_run(session, row.id)? {
        let status = match call.status {
            ToolCallStatus::AwaitingApproval => ToolCallStatus::Rejected,
            _ => ToolCallStatus::Failed,
        };
        let told = Some(call.refusal(TOLD));
        let with = Move { output: told.clone(), error: told, ..Move::default() };
        tool_calls::end(session, call.id, status, &with)?;
    }
    Ok(())
}

fn adopt(session: &mut dyn Session, row: &RunRow, names: &[&str]) -> Result<()> {
    if row.status != RunStatus::RequiresAction {
        // Whoever drives it still looks at its calls.
        return Ok(());
    }
    let is_ours = |call: &ToolCall| {
        call.status == ToolCallStatus::AwaitingOutput && names.contains(&&*call.name)
    };
    for call in tool_calls::open_of_run(session, row.id)?.into_iter().filter(is_ours) {
        tool_calls::become_(session, call.id, call.before_running(), &Move::default())?;
    }
    Ok(())
}
