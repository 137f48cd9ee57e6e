//! Waiting for words of a run to be stored.

use std::time::Duration;

use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::model::{Message, Run};
use crate::store::{messages, refuse_within, runs};

/// The pause between two looks. No event says that text is stored: what readers are shown may come before it, and other
/// processes say nothing at all.
const PAUSE: Duration = Duration::from_millis(20);

impl Run {
    /// Waits until a message of the model in this run is stored with `text` in it, and returns that message as it is stored then.
    ///
    /// The words of a run are shown to hooks and readers before they are stored. This waits for the database, so that a test can say
    /// "kill it here": whatever happens to the process that drives the run, in this process or another one, these words are kept.
    ///
    /// It waits for as long as the run has not ended, also while it waits for its turn; put it into `tokio::time::timeout` to wait for
    /// a limited time. It does not check who owns the run.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NeverSaid`] when the run ended without the text, [`Error::RunGone`] when it was deleted, [`Error::ShuttingDown`] when
    /// the engine was shut down meanwhile, or the database's.
    pub async fn until_text(&self, engine: &AiEngine, text: &str) -> Result<Message> {
        refuse_within()?;
        let (core, id) = (&engine.core, self.id);
        core.keep_up();
        loop {
            // The run first: once it has ended, so have its messages.
            let look = core.store().read(move |session| {
                let run = runs::find(session, id)?.ok_or(Error::RunGone(id))?;
                Ok((Self::from(run), messages::of_run(session, id)?))
            });
            let (run, stored) = look.await?;
            let mut said = stored.into_iter().filter(Message::is_assistant);
            if let Some(message) = said.find(|message| message.content.contains(text)) {
                return Ok(message);
            }
            if run.status.is_terminal() {
                return Err(Error::NeverSaid {
                    run_id: id,
                    status: run.status,
                    text: text.to_owned(),
                });
            }
            let mut closed = core.closed().subscribe();
            if tokio::time::timeout(PAUSE, closed.wait_for(|closed| *closed)).await.is_ok() {
                return Err(Error::ShuttingDown);
            }
        }
    }
}
