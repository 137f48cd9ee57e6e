//! Waiting for a run to end, or to wait for somebody's decision, whoever drives it.

use std::time::Duration;

use super::events::RunEvents;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::model::{Answer, Message, Reason, Run, RunStatus};
use crate::store::{messages, refuse_within, runs};

/// How far those who follow a run may be behind the database.
pub(crate) const BEHIND: Duration = Duration::from_millis(50);

impl Core {
    pub(crate) async fn answer(&self, run: i64) -> Result<Answer> {
        refuse_within()?;
        self.keep_up();
        let mut followed = false;
        loop {
            // Whoever began to drive it meanwhile, perhaps because it waited for its turn, is waited for like that.
            if let Some(message) = self.driven_here(run).await {
                return Err(Error::NotDriven { run_id: run, message });
            }
            let found = self.store().read(move |session| {
                let Some(row) = runs::find(session, run)? else {
                    return Err(Error::RunGone(run));
                };
                Ok((Run::from(row), messages::of_run(session, run)?))
            });
            let (ended, said) = found.await?;
            if ended.status == RunStatus::RequiresAction || ended.status.is_terminal() {
                // It may have begun and ended since we asked; its end is stored, whatever became of its hooks.
                self.driven_here(run).await;
                return answer_of(ended, said);
            }
            // Only now: a shutdown waits for the runs that are driven here, and ends as soon as the last one has.
            if *self.closed().borrow() {
                return Err(Error::ShuttingDown);
            }
            if std::mem::replace(&mut followed, true) {
                // It was decided on since; those who follow it have not looked yet.
                self.hubs().nudge();
                tokio::time::sleep(BEHIND).await;
            }
            // Another process drives it, or nobody yet: one look into the database tells all who wait.
            let mut events = RunEvents::of(self, ended).until_it_waits();
            while let Some(event) = events.next().await {
                event?;
            }
        }
    }

    /// Waits until this process drives the run no more; why it could not be driven to its end, if so.
    async fn driven_here(&self, run: i64) -> Option<String> {
        let transcript = self.transcript(run)?;
        transcript.wait_for_update(|seen| seen.finished.then(|| seen.failure.clone())).await
    }
}

/// What a run that has ended answered.
fn answer_of(run: Run, said: Vec<Message>) -> Result<Answer> {
    if run.status == RunStatus::Failed {
        let reason = run.reason.unwrap_or(Reason::ProviderError);
        return Err(Error::RunFailed {
            run_id: run.id,
            reason,
            message: run.error.unwrap_or_default(),
        });
    }
    let messages = said.into_iter().filter(Message::is_assistant).collect();
    Ok(Answer { run, messages })
}
