//! A run that goes on at the provider, and what has to be tidied up behind it, however it ends for us.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::debug;

use super::gone;
use crate::openai::{OpenAi, RunEventKind, RunStream};
use crate::provider::Own;

/// How long the id of a run is waited for, that is to be cancelled.
const UNTIL_IT_HAS_AN_ID: Duration = Duration::from_secs(30);

/// A run. When it is dropped, what is of no use any more is cancelled and deleted by a task: the run if it goes on, since it would keep
/// its thread busy, and a thread and an assistant that were made for it alone.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) client: OpenAi,
    pub(super) thread: String,
    pub(super) stream: Option<RunStream>,
    /// Its id, as soon as it is known.
    pub(super) run: Option<String>,
    /// Whether it is known to be over at the provider.
    pub(super) is_over: bool,
    pub(super) owns_thread: bool,
    pub(super) own_assistant: Option<String>,
    /// An assistant was asked for, and may be there under an id that was not heard.
    pub(super) is_in_doubt: bool,
    /// Where what is made for it alone is noted.
    own: Option<Arc<dyn Own>>,
}

impl Running {
    /// What there is before the run.
    pub(super) const fn new(client: OpenAi, own: Option<Arc<dyn Own>>) -> Self {
        Self {
            client,
            thread: String::new(),
            stream: None,
            run: None,
            is_over: true,
            owns_thread: false,
            own_assistant: None,
            is_in_doubt: false,
            own,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let needs_nothing =
            self.is_over && !self.owns_thread && self.own_assistant.is_none() && self.own.is_none();
        // Without a runtime nobody is left to do it.
        let (false, Ok(handle)) = (needs_nothing, Handle::try_current()) else { return };
        let left = Left {
            client: self.client.clone(),
            thread: std::mem::take(&mut self.thread),
            // Its connection closes at once, unless it has yet to say which run it is.
            stream: self.stream.take().filter(|_| self.run.is_none() && !self.is_over),
            run: self.run.take().filter(|_| !self.is_over),
            owns_thread: self.owns_thread,
            own_assistant: self.own_assistant.take(),
            is_in_doubt: self.is_in_doubt,
            own: self.own.take(),
        };
        handle.spawn(left.tidy_up());
    }
}

/// What is left of a run.
struct Left {
    client: OpenAi,
    thread: String,
    stream: Option<RunStream>,
    run: Option<String>,
    owns_thread: bool,
    own_assistant: Option<String>,
    is_in_doubt: bool,
    own: Option<Arc<dyn Own>>,
}

impl Left {
    async fn tidy_up(self) {
        let assistants = self.client.assistants();
        let mut deleted = !self.is_in_doubt;
        let run = match (self.run, self.stream) {
            (None, Some(stream)) => timeout(UNTIL_IT_HAS_AN_ID, id_in(stream)).await.ok().flatten(),
            (run, _) => run,
        };
        if let Some(run) = run
            && let Err(error) = assistants.cancel_run(&self.thread, &run).await
        {
            // It may have ended meanwhile.
            debug!(error = %error.brief(), "a run was not cancelled");
        }
        if self.owns_thread
            && let Err(error) = gone(assistants.delete_thread(&self.thread).await)
        {
            debug!(error = %error.brief(), "a thread was not deleted");
            deleted = false;
        }
        if let Some(assistant) = self.own_assistant
            && let Err(error) = gone(assistants.delete(&assistant).await)
        {
            debug!(error = %error.brief(), "an assistant was not deleted");
            deleted = false;
        }
        if let Some(own) = self.own {
            own.end(deleted).await;
        }
    }
}

/// The id of the run whose stream this is, unless it is over.
async fn id_in(mut stream: RunStream) -> Option<String> {
    while let Some(Ok(event)) = stream.next().await {
        if let RunEventKind::Run(run) | RunEventKind::Whole(run) = event {
            return Some(run.id);
        }
    }
    None
}
