//! Driving one run because the host's own queue says so.

use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::model::{Answer, Run};
use crate::store::{refuse_within, runs, threads};
use crate::worker::keep::LOOK;
use crate::worker::lanes;

impl Core {
    pub(crate) async fn drive(&self, run: i64) -> Result<Answer> {
        refuse_within()?;
        let found = self.store().read(move |session| {
            let found = runs::require(session, run)?;
            let owner = threads::owner(session, found.messageable)?;
            Ok((found, owner))
        });
        let (found, owner) = found.await?;
        if found.status.is_terminal() {
            return self.answer(run).await;
        }
        let submission = found.submission.as_ref();
        self.remotes().require(submission.and_then(|known| known.provider.as_deref()))?;
        if let Some((kind, _)) = owner {
            self.check_loader(&kind)?;
        }
        tokio::select! {
            biased;
            answer = self.answer(run) => answer,
            error = self.have_driven(&found) => Err(error),
        }
    }

    /// Has a run driven that has not ended, until this process is about to end and does not drive it.
    ///
    /// It looks again and again, since whatever stands before the run or drives it elsewhere may die, and this engine need not be one
    /// that looks by itself.
    async fn have_driven(&self, run: &Run) -> Error {
        let mut closing = self.closing().subscribe();
        loop {
            let driven_here = self.registry().get(run.id).is_some();
            if self.is_closing() {
                if !driven_here {
                    return Error::ShuttingDown;
                }
                // Shutdown waits for it, and so does whoever waits for the answer.
                return std::future::pending().await;
            }
            if !driven_here && self.troubles().may_try(run.messageable) {
                lanes::wake_up_to(self, run.messageable, run.seq);
            }
            let _ = tokio::time::timeout(LOOK, closing.wait_for(|closing| *closing)).await;
        }
    }
}
