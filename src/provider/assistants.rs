//! The Assistants API, version 2. Its conversation is the thread at the provider; what is added to it comes with the run that answers.

mod messages;
mod progress;
mod running;
mod settings;
mod start;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::tail::tail;
use super::{Call, Keeps, ProgressStream, Provider, Result};
use crate::error;
use crate::model::{AssistantDefinition, Item};
use crate::openai;
use crate::openai::{Error, ListItems, OpenAi, Order, Protocol};

const PROTOCOL: Protocol = Protocol::Assistants;
/// The largest page of the messages endpoint (`OpenAI`'s API description).
const PAGE: u8 = 100;
/// Most pages read for an assistant whose id is not known: it is among the newest.
const MOST_PAGES: usize = 20;

#[derive(Debug, Clone)]
pub(crate) struct Assistants {
    client: OpenAi,
}

impl Assistants {
    pub(crate) const fn new(client: OpenAi) -> Self {
        Self { client }
    }

    /// A page of a thread's messages, newest first, and whether more follow.
    async fn page(&self, thread: &str, after: Option<String>) -> Result<(Vec<Item>, bool)> {
        let list = ListItems { after, limit: Some(PAGE), order: Some(Order::NewestFirst) };
        let page = self.client.assistants().messages(thread, &list).await?;
        let items = page.data.into_iter().map(|message| message.item);
        Ok((items.collect(), page.has_more))
    }
}

#[async_trait]
impl Provider for Assistants {
    fn name(&self) -> &'static str {
        PROTOCOL.as_str()
    }

    fn protocol(&self) -> Protocol {
        PROTOCOL
    }

    fn endpoint(&self) -> &str {
        self.client.endpoint()
    }

    fn check(&self, definition: &AssistantDefinition) -> error::Result<()> {
        settings::check(definition)
    }

    fn retry_delay(&self) -> Duration {
        self.client.retry_delay()
    }

    fn server(&self) -> Option<(&str, Option<u16>)> {
        self.client.server()
    }

    async fn call(&self, call: &Call) -> Result<ProgressStream> {
        let running = start::start(self.client.clone(), call.clone()).await?;
        Ok(progress::progress(running))
    }

    async fn create_conversation(&self) -> Result<String> {
        Ok(self.client.assistants().create_thread().await?)
    }

    async fn conversation_exists(&self, id: &str) -> Result<bool> {
        match self.client.assistants().retrieve_thread(id).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn conversation_tail(
        &self,
        id: &str,
        known: &(dyn for<'a> Fn(&'a str) -> bool + Sync),
    ) -> Result<(Vec<Item>, Option<String>)> {
        tail(known, |after| self.page(id, after)).await
    }

    async fn conversation_newest(&self, id: &str) -> Result<Vec<Item>> {
        Ok(self.page(id, None).await?.0)
    }

    fn listed(&self, item: Item) -> Item {
        messages::listed(item)
    }

    fn has_conversations(&self) -> bool {
        true
    }

    fn has_conversations_alone(&self) -> bool {
        true
    }

    fn makes_its_own(&self) -> bool {
        true
    }

    async fn find_assistants(&self, name: &str, value: &str) -> Result<Vec<String>> {
        let (mut found, mut after) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let list = ListItems { after, limit: Some(PAGE), order: Some(Order::NewestFirst) };
            let is_first = list.after.is_none();
            let page = match self.client.assistants().list(&list).await {
                // There is no such list. A later page may begin behind what was just deleted: that is an error, to try again.
                Err(error) if is_first && is_gone(&error) => return Ok(found),
                listed => listed?,
            };
            let behind = page.assistants.last().map(|(id, _)| id.clone());
            let ours = page.assistants.into_iter().filter(|(_, metadata)| metadata[name] == value);
            found.extend(ours.map(|(id, _)| id));
            if !page.has_more || behind.is_none() {
                break;
            }
            after = behind;
        }
        Ok(found)
    }

    async fn delete_assistant(&self, id: &str) -> Result<()> {
        gone(self.client.assistants().delete(id).await)
    }

    fn takes_system_texts_in_place(&self) -> bool {
        false
    }

    fn keeps(&self) -> Keeps {
        Keeps { system_texts: false, calls: false }
    }

    fn surely_keeps_conversations(&self) -> bool {
        true
    }

    async fn delete_conversation(&self, id: &str) -> Result<()> {
        // Its messages and runs go with it.
        gone(self.client.assistants().delete_thread(id).await)
    }

    fn keeps_assistants(&self) -> bool {
        true
    }

    async fn create_assistant(&self, definition: &AssistantDefinition) -> Result<String> {
        // Whoever repeats it looks first.
        Ok(self
            .client
            .assistants()
            .create(&settings::of(definition), true, &Arc::default())
            .await?)
    }

    async fn update_assistant(&self, id: &str, definition: &AssistantDefinition) -> Result<()> {
        Ok(self.client.assistants().update(id, &settings::of(definition)).await?)
    }

    /// A run is deleted with its thread, and no other way.
    async fn delete_response(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

fn gone(result: openai::Result<()>) -> Result<()> {
    match result {
        Err(error) if is_gone(&error) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether a deletion has nothing to do.
fn is_gone(error: &Error) -> bool {
    error.is_not_found() || matches!(error.api().and_then(|error| error.status), Some(405 | 501))
}

#[cfg(test)]
mod tests;
