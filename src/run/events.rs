//! What happens to a run, as a stream: from the accumulator of the run, or from the database when it lives elsewhere.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt;
use serde::Serialize;

use super::cursor::{Change, Cursor};
use super::live::LiveRun;
use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::model::{Message, Run};
use crate::store::{messages, runs};

/// How often the database is asked about a run of another process.
const POLL: Duration = Duration::from_millis(250);

/// One thing that happened to a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEvent {
    /// The run began, or ended: its status tells.
    RunUpdated {
        /// The run now.
        run: Run,
    },
    /// A message was stored; the text of the model's comes with the events after it.
    MessageCreated {
        /// The message.
        message: Message,
    },
    /// A message grew.
    TextAppended {
        /// The message.
        message_id: i64,
        /// Where in its text, in bytes.
        offset: usize,
        /// The text added.
        text: String,
    },
    /// A message ended with another text than the one shown so far: take this one.
    TextReplaced {
        /// The settled message.
        message: Message,
    },
    /// A message is whole, as far as it will be; its text has been told.
    MessageSettled {
        /// The settled message.
        message: Message,
    },
}

impl From<Change> for RunEvent {
    fn from(change: Change) -> Self {
        match change {
            Change::UserMessage(message) | Change::Created(message) => {
                Self::MessageCreated { message }
            }
            Change::Begun(run) | Change::Ended(run) => Self::RunUpdated { run },
            Change::Appended { message_id, offset, text } => {
                Self::TextAppended { message_id, offset, text }
            }
            Change::Replaced(message) => Self::TextReplaced { message },
            Change::Settled(message) => Self::MessageSettled { message },
        }
    }
}

/// The events of one run, from its beginning to its end. Text comes coalesced: a slow reader gets larger pieces, not
/// a queue. Dropping it leaves the run going.
pub struct RunEvents {
    run: Run,
    inner: Pin<Box<dyn Stream<Item = Result<RunEvent>> + Send>>,
}

impl RunEvents {
    pub(crate) fn of(engine: &AiEngine, run: Run) -> Self {
        let reader = Reader {
            live: engine.registry().get(run.id),
            engine: engine.clone(),
            run: run.id,
            cursor: Cursor::default(),
            over: false,
        };
        Self { run, inner: Box::pin(futures_util::stream::unfold(reader, Reader::step)) }
    }

    /// The run as it was submitted.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// The next event; `None` after the run's end.
    pub async fn next(&mut self) -> Option<Result<RunEvent>> {
        self.inner.next().await
    }
}

impl Stream for RunEvents {
    type Item = Result<RunEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl std::fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunEvents").field("run", &self.run).finish_non_exhaustive()
    }
}

struct Reader {
    engine: AiEngine,
    run: i64,
    live: Option<Arc<LiveRun>>,
    cursor: Cursor,
    over: bool,
}

impl Reader {
    async fn step(mut self) -> Option<(Result<RunEvent>, Self)> {
        if self.over {
            return None;
        }
        let next = self.next().await;
        self.over = matches!(next, Err(_) | Ok(Change::Ended(_)));
        Some((next.map(RunEvent::from), self))
    }

    async fn next(&mut self) -> Result<Change> {
        if let Some(live) = self.live.clone() {
            let next = live.wait(|state| match state.after(&mut self.cursor) {
                Some(change) => Some(Ok(change)),
                None => state.finished.then(|| Err(state.failure.clone())),
            });
            match next.await {
                Ok(change) => return Ok(change),
                Err(Some(message)) => {
                    return Err(Error::NotDriven { run_id: self.run, message });
                }
                // It went to another process.
                Err(None) => self.live = None,
            }
        }
        loop {
            let run = self.run;
            let stored = self.engine.store().read(move |session| {
                let Some(row) = runs::find(session, run)? else {
                    return Err(Error::RunGone(run));
                };
                Ok((Run::from(row), messages::of_run(session, run)?))
            });
            let (run, messages) = stored.await?;
            if let Some(change) = LiveRun::stored(run, messages).state().after(&mut self.cursor) {
                return Ok(change);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
