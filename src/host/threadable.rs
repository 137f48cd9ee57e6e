use super::conversations::{AssistantThreads, Conversations};
use super::hooks::MessageHooks;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::model::{Assistant, AssistantThread, Content, Messageable};
use crate::submit::asked::Who;
use crate::submit::request::RunRequest;

/// A host's record that talks to assistants: `impl Threadable for User {}`.
pub trait Threadable: MessageHooks {
    /// The threads of this record.
    fn assistant_threads(&self, engine: &AiEngine) -> AssistantThreads
    where
        Self: Sized,
    {
        Conversations::of(engine, Owner::of(self))
    }
}

impl AssistantThread {
    /// Asks a stored assistant, without the host's struct. It is not checked whose assistant it is. See [`RunRequest`].
    pub fn run(
        &self,
        engine: &AiEngine,
        assistant: &Assistant,
        content: impl Into<Content>,
    ) -> RunRequest {
        let of = Messageable::AssistantThread(self.id);
        RunRequest::new(engine, Who::Assistant(assistant.id), of, content.into())
    }
}
