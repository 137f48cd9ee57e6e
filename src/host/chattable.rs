use super::conversations::{Chats, Conversations};
use super::hooks::MessageHooks;
use super::record::Owner;
use crate::engine::AiEngine;
use crate::model::{AssistantDefinition, Chat, Content, Messageable};
use crate::submit::asked::Who;
use crate::submit::request::RunRequest;

/// A host's record that talks to bare models: `impl Chattable for User {}`.
pub trait Chattable: MessageHooks {
    /// The chats of this record.
    fn chats(&self, engine: &AiEngine) -> Chats
    where
        Self: Sized,
    {
        Conversations::of(engine, Owner::of(self))
    }
}

impl Chat {
    /// Asks a model; options such as instructions or temperature go into a definition. See [`RunRequest`].
    pub fn run(
        &self,
        engine: &AiEngine,
        model: impl Into<AssistantDefinition>,
        content: impl Into<Content>,
    ) -> RunRequest {
        let of = Messageable::Chat(self.id);
        RunRequest::new(engine, Who::Model(model.into()), of, content.into())
    }
}

impl From<&str> for AssistantDefinition {
    fn from(model: &str) -> Self {
        Self::new(model)
    }
}
