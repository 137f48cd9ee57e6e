//! What a run needs of a remote service, whatever protocol it speaks.

mod assistants;
mod billed;
mod call_error;
mod chat_completions;
mod end_user;
mod progress;
mod reasons;
mod responses;
mod tail;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use serde_json::Value;

pub(crate) use crate::openai::OpenAi;
pub(crate) use billed::{Billed, CODE_INTERPRETER, container_of};
pub(crate) use call_error::CallError;
#[cfg(feature = "_internal")]
pub(crate) use chat_completions::progress as chat_progress;
pub(crate) use end_user::EndUser;
#[cfg(feature = "_internal")]
pub(crate) use progress::progress;

use assistants::Assistants;
use chat_completions::ChatCompletions;
use responses::Responses;

use crate::error;
use crate::model::{AssistantDefinition, Item, Reason, RunStatus, Usage};
use crate::openai::Protocol;

/// One call of the model.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) definition: AssistantDefinition,
    /// What the provider does not hold, or the whole history.
    pub(crate) input: Vec<Item>,
    /// The conversation it continues; `None`: the provider shall keep nothing.
    pub(crate) conversation: Option<String>,
    /// The assistant at the provider that answers, where it has one.
    pub(crate) assistant: Option<String>,
    /// The form that the answer is to have, sent only to a server that knows how.
    pub(crate) form: Option<Value>,
    /// For whom it is, where the provider is told.
    pub(crate) end_user: Option<EndUser>,
    /// Counts the requests that were sent for it.
    pub(crate) tries: Arc<AtomicU32>,
    /// Where it notes what it makes for itself alone, of a provider that [does so](Provider::makes_its_own).
    pub(crate) own: Option<Arc<dyn Own>>,
}

/// What a call makes at the service for itself alone is noted, so that it is deleted there also when this process does not come to
/// it.
#[async_trait]
pub(crate) trait Own: fmt::Debug + Send + Sync {
    /// The metadata of an assistant of the call's own, by which it is found again: noted before the call.
    fn mark(&self) -> (&'static str, &str);
    /// Notes a thread of its own, before anything is said in it.
    async fn note_thread(&self, id: &str) -> Result<()>;
    /// The call is over. `deleted`: so is all that it made; else it is to be deleted now.
    async fn end(&self, deleted: bool);
}

/// What a conversation of a service keeps; the rest is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keeps {
    /// Else they are told with each call.
    pub(crate) system_texts: bool,
    /// Those of tools that the model made; else they are told again, with their outputs.
    pub(crate) calls: bool,
}

impl Default for Keeps {
    fn default() -> Self {
        Self { system_texts: true, calls: true }
    }
}

/// Something a call's stream said.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Where in the stream it was, if the provider numbers its events.
    pub(crate) sequence_number: Option<i64>,
    pub(crate) news: News,
}

#[derive(Debug)]
pub(crate) enum News {
    /// The call has an id.
    Started { response_id: String },
    /// Text of an output message. `slot` tells messages apart and orders them.
    Text { slot: i64, remote_id: Option<String>, delta: String },
    /// The call ended.
    Ended(Box<Ended>),
    /// The stream lives.
    Alive,
}

/// How a call ended, by the provider's word.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    /// `Completed`, `Incomplete`, `Failed` or `Cancelled`.
    pub(crate) status: RunStatus,
    /// Why it is not whole, in the provider's own word.
    pub(crate) reason: Option<String>,
    /// The model declined, and said nothing else.
    pub(crate) refusal: bool,
    pub(crate) error: Option<String>,
    /// That error as the error of a call, when the response failed and has no output.
    pub(crate) failure: Option<CallError>,
    pub(crate) response_id: Option<String>,
    pub(crate) model: Option<String>,
    /// `None`: it reported none. Zero for all is none, too: no call is without input.
    pub(crate) usage: Option<Usage>,
    /// What else is charged for.
    pub(crate) billed: Billed,
    /// All output in order: the authoritative text.
    pub(crate) output: Vec<Item>,
}

impl Ended {
    /// One word for why a response that ended with this status is not whole, or is no answer.
    pub(crate) fn word(&self, status: RunStatus) -> Option<Reason> {
        match (status, &self.failure) {
            (RunStatus::Completed, _) => self.refusal.then_some(Reason::Refusal),
            (_, Some(failure)) => Some(failure.reason()),
            (status, None) => reasons::of_response(
                self.reason.as_deref(),
                self.error.as_deref(),
                status == RunStatus::Incomplete,
            ),
        }
    }
}

/// What came of a request.
pub(crate) type Result<T, E = CallError> = std::result::Result<T, E>;

pub(crate) type ProgressStream = Pin<Box<dyn Stream<Item = Result<Progress>> + Send>>;

/// The service that a client speaks to, in the protocol that the client is set to.
pub(crate) fn of(client: OpenAi) -> Arc<dyn Provider> {
    match client.protocol() {
        Protocol::Responses => Arc::new(Responses::new(client)),
        Protocol::ChatCompletions => Arc::new(ChatCompletions::new(client)),
        Protocol::Assistants => Arc::new(Assistants::new(client)),
    }
}

/// A remote service. Remote ids are kept with [`name`](Self::name) and [`endpoint`](Self::endpoint).
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// Stored beside remote ids.
    fn name(&self) -> &'static str;
    /// Base URL and project: where an id means something.
    fn endpoint(&self) -> &str;

    fn protocol(&self) -> Protocol;
    /// Fails with [`Unsupported`](error::Error::Unsupported) for a definition that asks for what cannot be done here. Nothing is sent.
    fn check(&self, definition: &AssistantDefinition) -> error::Result<()>;
    /// The wait before a call is made again for the first time.
    fn retry_delay(&self) -> Duration;

    /// Host and port that requests go to.
    fn server(&self) -> Option<(&str, Option<u16>)>;
    /// Starts a call and reads its answer. Dropping the stream ends the call.
    async fn call(&self, call: &Call) -> Result<ProgressStream>;
    async fn create_conversation(&self) -> Result<String>;
    /// Whether the service still knows a conversation.
    async fn conversation_exists(&self, id: &str) -> Result<bool>;
    /// The newest items of a conversation, oldest first, after the last one whose id `known` recognises; and that id. A list
    /// that repeats or does not end is an error.
    async fn conversation_tail(
        &self,
        id: &str,
        known: &(dyn for<'a> Fn(&'a str) -> bool + Sync),
    ) -> Result<(Vec<Item>, Option<String>)>;
    /// How something that was sent is listed, where words stand for what has no form here.
    fn listed(&self, item: Item) -> Item {
        item
    }
    /// The newest items of a conversation, a page of them, newest first.
    async fn conversation_newest(&self, id: &str) -> Result<Vec<Item>>;
    /// Whether there are conversations in this protocol at all.
    fn has_conversations(&self) -> bool;
    /// Whether there is no way without: what the model is to know has to be in one.
    fn has_conversations_alone(&self) -> bool {
        false
    }
    /// Whether a call makes objects there for itself alone, which it deletes at its end.
    fn makes_its_own(&self) -> bool {
        false
    }
    /// What a conversation keeps of what is said and done in it.
    fn keeps(&self) -> Keeps {
        Keeps::default()
    }
    /// Whether system texts are taken in their places: of other servers not every chat template does.
    fn takes_system_texts_in_place(&self) -> bool;
    /// Whether conversations are known to be kept here, not only taken.
    fn surely_keeps_conversations(&self) -> bool;
    /// Deletes a conversation after its items. Unknown ids are as good as deleted.
    async fn delete_conversation(&self, id: &str) -> Result<()>;
    /// Whether the service keeps assistants of its own.
    fn keeps_assistants(&self) -> bool {
        false
    }
    /// Creates an assistant there and returns its id. Whoever repeats it has to look first: it is not repeated here while it may have
    /// been done.
    async fn create_assistant(&self, _definition: &AssistantDefinition) -> Result<String> {
        Err(CallError::not_offered("assistants of its own"))
    }
    /// The assistants there whose metadata have this pair, where they can be looked through.
    async fn find_assistants(&self, _name: &str, _value: &str) -> Result<Vec<String>> {
        Err(CallError::not_offered("assistants of its own"))
    }
    /// Makes an assistant there as this definition says. An unknown id is [`is_not_found`](CallError::is_not_found).
    async fn update_assistant(&self, _id: &str, _definition: &AssistantDefinition) -> Result<()> {
        Err(CallError::not_offered("assistants of its own"))
    }
    /// Deletes an assistant there. Unknown ids are as good as deleted.
    async fn delete_assistant(&self, _id: &str) -> Result<()> {
        Err(CallError::not_offered("assistants of its own"))
    }
    /// Deletes a stored response. Unknown ids are as good as deleted.
    async fn delete_response(&self, id: &str) -> Result<()>;
}
