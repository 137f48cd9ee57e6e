//! The Chat Completions API. It keeps nothing of what was said.

mod messages;
mod progress;
mod tools;

use std::time::Duration;

use async_trait::async_trait;

use super::responses::Responses;
use super::{Call, ProgressStream, Provider, Result};
use crate::error;
use crate::model::{AssistantDefinition, Item};
use crate::openai::{CreateChatCompletion, Error, OpenAi, OptionalMembers, Protocol};

#[cfg_attr(not(feature = "_internal"), allow(unreachable_pub, reason = "fuzzing reaches it"))]
pub(crate) use progress::progress;
pub(super) use tools::function;

const PROTOCOL: Protocol = Protocol::ChatCompletions;

#[derive(Debug, Clone)]
pub(crate) struct ChatCompletions {
    client: OpenAi,
    /// The same server by its other protocol, for what was left there earlier.
    earlier: Responses,
}

impl ChatCompletions {
    pub(crate) fn new(client: OpenAi) -> Self {
        Self { earlier: Responses::new(client.clone()), client }
    }

    fn request(&self, call: &Call) -> Result<CreateChatCompletion> {
        let definition = call.definition.clone();
        let effort = definition.reasoning.as_ref().and_then(|options| options["effort"].as_str());
        let end_user = call.end_user.as_ref();
        let optional = end_user.map(|user| user.members(&definition.parameters));
        let response_format = call.form.clone();
        Ok(CreateChatCompletion {
            messages: messages::of(
                definition.instructions.as_deref(),
                &call.input,
                self.takes_system_texts_in_place(),
            )?,
            temperature: definition.temperature,
            top_p: definition.top_p,
            reasoning_effort: effort.map(str::to_owned),
            tools: definition.tools.into_iter().map(function).collect(),
            max_tokens: definition.max_output_tokens.and_then(|tokens| u32::try_from(tokens).ok()),
            model: definition.model,
            optional: OptionalMembers { response_format, ..optional.unwrap_or_default() },
            // Pairs of metadata are kept with stored completions only, and none is stored.
            extra: definition.parameters,
        })
    }
}

/// What there is none of.
fn no_conversations() -> Error {
    let message = format!("there are none in the protocol {PROTOCOL}; use History::Local");
    Error::Invalid { what: "a request for a conversation", message }
}

#[async_trait]
impl Provider for ChatCompletions {
    fn name(&self) -> &'static str {
        PROTOCOL.as_str()
    }

    fn protocol(&self) -> Protocol {
        Protocol::ChatCompletions
    }

    fn endpoint(&self) -> &str {
        self.client.endpoint()
    }

    fn check(&self, definition: &AssistantDefinition) -> error::Result<()> {
        tools::check(definition, self.client.is_openai())
    }

    fn retry_delay(&self) -> Duration {
        self.client.retry_delay()
    }

    fn server(&self) -> Option<(&str, Option<u16>)> {
        self.client.server()
    }

    async fn call(&self, call: &Call) -> Result<ProgressStream> {
        let request = self.request(call)?;
        Ok(progress(self.client.chat_completions().stream(&request, &call.tries).await?))
    }

    async fn create_conversation(&self) -> Result<String> {
        Err(no_conversations().into())
    }

    async fn conversation_exists(&self, id: &str) -> Result<bool> {
        self.earlier.conversation_exists(id).await
    }

    async fn conversation_tail(
        &self,
        _: &str,
        _: &(dyn for<'a> Fn(&'a str) -> bool + Sync),
    ) -> Result<(Vec<Item>, Option<String>)> {
        Err(no_conversations().into())
    }

    async fn conversation_newest(&self, _: &str) -> Result<Vec<Item>> {
        Err(no_conversations().into())
    }

    fn has_conversations(&self) -> bool {
        false
    }

    fn takes_system_texts_in_place(&self) -> bool {
        self.client.is_openai()
    }

    fn surely_keeps_conversations(&self) -> bool {
        false
    }

    async fn delete_conversation(&self, id: &str) -> Result<()> {
        self.earlier.delete_conversation(id).await
    }

    async fn delete_response(&self, id: &str) -> Result<()> {
        self.earlier.delete_response(id).await
    }
}

#[cfg(test)]
mod tests;
