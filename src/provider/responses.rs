//! The Responses and Conversations APIs.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;

use super::progress::progress;
use super::tail::{endless, tail};
use super::{Call, ProgressStream, Provider, Result};
use crate::error;
use crate::model::{AssistantDefinition, Item};
use crate::openai;
use crate::openai::{
    CreateConversation, CreateResponse, Error, ListItems, OpenAi, Order, Protocol,
};

/// Most items deleted at one try; the next one goes on.
const MOST_DELETED: usize = 1_000;
/// The largest page of the items endpoint (`OpenAI`'s API description).
const PAGE: u8 = 100;

#[derive(Debug, Clone)]
pub(crate) struct Responses {
    client: OpenAi,
}

impl Responses {
    pub(crate) const fn new(client: OpenAi) -> Self {
        Self { client }
    }

    fn request(call: &Call) -> CreateResponse {
        let definition = call.definition.clone();
        let mut request = CreateResponse::new(definition.model);
        request.input = call.input.iter().map(|item| item.as_value().clone().into()).collect();
        request.instructions = definition.instructions;
        request.conversation.clone_from(&call.conversation);
        // `store: false` beside a conversation contradicts it.
        request.store = call.conversation.is_none().then_some(false);
        request.temperature = definition.temperature;
        request.top_p = definition.top_p;
        request.max_output_tokens =
            definition.max_output_tokens.and_then(|tokens| u32::try_from(tokens).ok());
        request.reasoning = definition.reasoning;
        let text = |(key, value): (String, serde_json::Value)| {
            value.as_str().map(|value| (key, value.to_owned()))
        };
        let metadata: std::collections::BTreeMap<_, _> =
            definition.metadata.into_iter().filter_map(text).collect();
        request.metadata = (!metadata.is_empty()).then_some(metadata);
        request.tools = (!definition.tools.is_empty()).then_some(definition.tools);
        let end_user = call.end_user.as_ref();
        request.optional =
            end_user.map(|user| user.members(&definition.parameters)).unwrap_or_default();
        request.optional.text.clone_from(&call.form);
        request.extra = definition.parameters;
        request
    }

    async fn page(
        &self,
        id: &str,
        after: Option<String>,
        order: Order,
    ) -> openai::Result<openai::ItemPage> {
        let list = ListItems { after, limit: Some(PAGE), order: Some(order) };
        self.client.conversations().list_items(id, &list).await
    }
}

#[async_trait]
impl Provider for Responses {
    fn name(&self) -> &'static str {
        Protocol::Responses.as_str()
    }

    fn protocol(&self) -> Protocol {
        Protocol::Responses
    }

    fn endpoint(&self) -> &str {
        self.client.endpoint()
    }

    fn check(&self, _: &AssistantDefinition) -> error::Result<()> {
        Ok(())
    }

    fn retry_delay(&self) -> Duration {
        self.client.retry_delay()
    }

    fn server(&self) -> Option<(&str, Option<u16>)> {
        self.client.server()
    }

    async fn call(&self, call: &Call) -> Result<ProgressStream> {
        // A call whose answer was lost may be in the conversation already; to repeat it blindly would add it twice.
        let careful = call.conversation.is_some();
        let request = Self::request(call);
        let responses = self.client.responses();
        Ok(progress(responses.stream_counted(&request, careful, &call.tries).await?))
    }

    async fn create_conversation(&self) -> Result<String> {
        let created = self.client.conversations().create(&CreateConversation::default()).await;
        match created {
            Ok(created) if created.id.trim().is_empty() => {
                let message =
                    "it names no conversation, so none can be continued; use History::Local";
                Err(Error::malformed("the answer to a new conversation", message, "").into())
            }
            Ok(created) => Ok(created.id),
            Err(error) => Err(error.without_conversations(self.client.base_url()).into()),
        }
    }

    async fn conversation_exists(&self, id: &str) -> Result<bool> {
        match self.client.conversations().retrieve(id).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            // It cannot be asked; nothing says that it is gone.
            Err(error) if is_not_offered(&error) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn conversation_tail(
        &self,
        id: &str,
        known: &(dyn for<'a> Fn(&'a str) -> bool + Sync),
    ) -> Result<(Vec<Item>, Option<String>)> {
        let page = |after| async {
            let page = self.page(id, after, Order::NewestFirst).await?;
            Ok((page.data, page.has_more))
        };
        tail(known, page).await
    }

    async fn conversation_newest(&self, id: &str) -> Result<Vec<Item>> {
        let page = self.page(id, None, Order::NewestFirst).await?;
        Ok(page.data)
    }

    fn has_conversations(&self) -> bool {
        true
    }

    fn takes_system_texts_in_place(&self) -> bool {
        self.client.is_openai()
    }

    fn surely_keeps_conversations(&self) -> bool {
        self.client.is_openai()
    }

    async fn delete_conversation(&self, id: &str) -> Result<()> {
        // Deleting a conversation leaves its items with the provider, so they go first.
        let mut deleted = HashSet::new();
        'items: loop {
            let page = match self.page(id, None, Order::OldestFirst).await {
                Ok(page) => page,
                // Where there is no list there are no items to be had.
                Err(error) if is_gone(&error) => break,
                Err(error) => return Err(error.into()),
            };
            let ids: Vec<String> =
                page.data.iter().filter_map(Item::id).map(str::to_owned).collect();
            let new: Vec<String> =
                ids.iter().filter(|id| !deleted.contains(*id)).cloned().collect();
            if ids.is_empty() {
                break;
            }
            if new.is_empty() {
                return Err(endless("items that were deleted are still there"));
            }
            for item in new {
                if deleted.len() >= MOST_DELETED {
                    return Err(endless(
                        "there are more items than one try deletes; the next goes on",
                    ));
                }
                match self.client.conversations().delete_item(id, &item).await {
                    // It deletes no items, but perhaps the conversation.
                    Err(error) if is_not_offered(&error) => break 'items,
                    deletion => gone(deletion)?,
                }
                deleted.insert(item);
            }
        }
        gone(self.client.conversations().delete(id).await)
    }

    async fn delete_response(&self, id: &str) -> Result<()> {
        gone(self.client.responses().delete(id).await)
    }
}

fn gone(result: openai::Result<()>) -> Result<()> {
    match result {
        Err(error) if is_gone(&error) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether a deletion has nothing to do: the object is not there, or the server cannot delete what it never kept.
fn is_gone(error: &Error) -> bool {
    error.is_not_found() || is_not_offered(error)
}

/// Whether a server has no such verb.
fn is_not_offered(error: &Error) -> bool {
    matches!(error.api().and_then(|error| error.status), Some(405 | 501))
}
