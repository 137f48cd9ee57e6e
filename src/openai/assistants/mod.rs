//! The Assistants API, version 2: assistants, threads and their messages, and runs, as some servers still have it.

mod event;
mod object;
mod request;
mod stream;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use reqwest::Method;

use super::client::Call;
use super::lenient::{self, Object};
use super::{ListItems, OpenAi, Result};

pub(crate) use event::RunEventKind;
pub(crate) use object::{AssistantPage, Run, ThreadMessage};
pub(crate) use request::{AssistantSettings, CreateRun};
pub(crate) use stream::RunStream;

use object::{ASSISTANT, THREAD, ThreadMessages, id_of};

/// Without this header `OpenAI` had no such API.
const BETA: &str = "assistants=v2";

/// Assistants, threads and runs. Source of paths and names: `OpenAI`'s API description, `/assistants` and `/threads`.
///
/// An id whose prefix is another than that of its kind is [`Error::Malformed`](super::Error::Malformed): it is no id of what was
/// asked for, and would be stored as one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Assistants<'c> {
    client: &'c OpenAi,
}

impl<'c> Assistants<'c> {
    pub(super) const fn of(client: &'c OpenAi) -> Self {
        Self { client }
    }

    /// Creates an assistant, counting the requests; its id. `careful`: repeated only when the server surely did nothing.
    pub(crate) async fn create(
        &self,
        settings: &AssistantSettings,
        careful: bool,
        tries: &Arc<AtomicU32>,
    ) -> Result<String> {
        let call = self.call(Method::POST, &["assistants"])?.json(&settings.body()?);
        self.id(call.counted(careful, Arc::clone(tries)), ASSISTANT).await
    }

    /// Makes an assistant as the settings say.
    pub(crate) async fn update(&self, id: &str, settings: &AssistantSettings) -> Result<()> {
        let call = self.call(Method::POST, &["assistants", id])?.json(&settings.change()?);
        self.id(call, ASSISTANT).await.map(drop)
    }

    /// One page of assistants.
    pub(crate) async fn list(&self, list: &ListItems) -> Result<AssistantPage> {
        let call = self.call(Method::GET, &["assistants"])?.query(&list.query());
        Ok(AssistantPage::of(&self.object(call).await?))
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<()> {
        self.remove(&["assistants", id]).await
    }

    /// Creates an empty thread; its id.
    pub(crate) async fn create_thread(&self) -> Result<String> {
        let call = self.call(Method::POST, &["threads"])?.json(&Object::new());
        self.id(call, THREAD).await
    }

    /// Fails when there is no such thread.
    pub(crate) async fn retrieve_thread(&self, id: &str) -> Result<()> {
        self.id(self.call(Method::GET, &["threads", id])?, THREAD).await.map(drop)
    }

    pub(crate) async fn delete_thread(&self, id: &str) -> Result<()> {
        self.remove(&["threads", id]).await
    }

    /// One page of the messages of a thread.
    pub(crate) async fn messages(&self, thread: &str, list: &ListItems) -> Result<ThreadMessages> {
        let call = self.call(Method::GET, &["threads", thread, "messages"])?.query(&list.query());
        ThreadMessages::of(self.object(call).await?, self.client.secrets())
    }

    /// Starts a run and streams what it does, counting the requests. `careful`: repeated only when the server surely did nothing.
    pub(crate) async fn stream(
        &self,
        thread: &str,
        run: &CreateRun,
        careful: bool,
        tries: &Arc<AtomicU32>,
    ) -> Result<RunStream> {
        let call = self.call(Method::POST, &["threads", thread, "runs"])?.json(&run.body()?);
        let call = call.stream().counted(careful, Arc::clone(tries));
        RunStream::open(self.client.send(call).await?).await
    }

    pub(crate) async fn retrieve_run(&self, thread: &str, run: &str) -> Result<Run> {
        self.run(self.call(Method::GET, &["threads", thread, "runs", run])?).await
    }

    /// Asks for the end of a run; it may take a moment.
    pub(crate) async fn cancel_run(&self, thread: &str, run: &str) -> Result<Run> {
        let path = ["threads", thread, "runs", run, "cancel"];
        self.run(self.call(Method::POST, &path)?.json(&Object::new())).await
    }

    fn call(self, method: Method, path: &[&str]) -> Result<Call> {
        Ok(self.client.call(method, path)?.beta(BETA))
    }

    async fn run(&self, call: Call) -> Result<Run> {
        Run::of(self.object(call).await?, self.client.secrets())
    }

    async fn id(&self, call: Call, prefix: &'static str) -> Result<String> {
        let object = self.object(call).await?;
        id_of(&object, prefix, self.client.secrets())
    }

    async fn object(&self, call: Call) -> Result<Object> {
        self.client.send(call).await?.into_object().await
    }

    async fn remove(&self, path: &[&str]) -> Result<()> {
        let call = self.call(Method::DELETE, path)?;
        self.client.send(call).await?.discard().await;
        Ok(())
    }
}

/// The run that is in the way, of an error that says so: its thread takes nothing while it is active.
pub(crate) fn run_in_the_way(error: &super::Error) -> Option<String> {
    let error = error.api().filter(|error| matches!(error.status, Some(400 | 409)))?;
    let message = error.message.to_ascii_lowercase();
    if !message.contains("active") {
        return None;
    }
    let from = message.find("run_")?;
    let rest = &error.message[from..];
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !"_-".contains(letter));
    let id = &rest[..end.unwrap_or(rest.len())];
    (id.len() > "run_".len()).then(|| lenient::bounded(id, 256))
}

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
