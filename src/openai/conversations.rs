//! Conversations: the history a provider keeps.

use reqwest::Method;
use serde_json::Value;

use super::client::Call;
use super::lenient::Object;
use super::request::{check_items, object};
use super::{Conversation, CreateConversation, Item, ItemPage, ListItems, OpenAi, Result};

/// The conversations at the provider. See [`Conversations::of`].
///
/// Every call fails as [`Error`](super::Error) says. Dropping a call's future closes its
/// connection; whether the provider acted by then is unknown. Source of paths and limits: OpenAI's
/// API description, `/conversations`.
#[derive(Debug, Clone, Copy)]
pub struct Conversations<'c> {
    client: &'c OpenAi,
}

impl<'c> Conversations<'c> {
    /// The conversations that this client reaches.
    #[must_use]
    pub const fn of(client: &'c OpenAi) -> Self {
        Self { client }
    }
}

impl Conversations<'_> {
    /// Creates a conversation, with its first items if there are any.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_ITEMS`](super::unstable::MAX_ITEMS) items, or the call fails.
    pub async fn create(&self, request: &CreateConversation) -> Result<Conversation> {
        check_items(&request.items)?;
        let body = object("the conversation request", request)?;
        let call = self.client.call(Method::POST, &["conversations"])?.json(&body);
        Ok(Conversation::from_object(self.object(call).await?))
    }

    /// Reads a conversation; its items are listed by [`list_items`](Self::list_items).
    ///
    /// # Errors
    ///
    /// When the provider does not know it ([`is_not_found`](super::Error::is_not_found)), or the
    /// call fails.
    pub async fn retrieve(&self, conversation_id: &str) -> Result<Conversation> {
        let call = self.client.call(Method::GET, &["conversations", conversation_id])?;
        Ok(Conversation::from_object(self.object(call).await?))
    }

    /// Deletes a conversation. OpenAI does **not** delete its items with it: delete them first.
    ///
    /// # Errors
    ///
    /// When the call fails. An unknown conversation is an error too, with
    /// [`is_not_found`](super::Error::is_not_found).
    pub async fn delete(&self, conversation_id: &str) -> Result<()> {
        self.remove(&["conversations", conversation_id]).await
    }

    /// Adds items and returns them as stored, with their ids.
    ///
    /// # Errors
    ///
    /// When there are more than [`MAX_ITEMS`](super::unstable::MAX_ITEMS) items: sending them in batches, and
    /// knowing which batch failed, is the caller's part. Or when the call fails.
    pub async fn create_items(&self, conversation_id: &str, items: &[Item]) -> Result<ItemPage> {
        check_items(items)?;
        let items = items.iter().map(|item| item.as_value().clone()).collect();
        let body = Object::from_iter([("items".to_owned(), Value::Array(items))]);
        let call = self
            .client
            .call(Method::POST, &["conversations", conversation_id, "items"])?
            .json(&body);
        Ok(ItemPage::from_object(self.object(call).await?))
    }

    /// Lists one page of items.
    ///
    /// # Errors
    ///
    /// When the provider does not know the conversation, or the call fails.
    pub async fn list_items(&self, conversation_id: &str, list: &ListItems) -> Result<ItemPage> {
        let call = self
            .client
            .call(Method::GET, &["conversations", conversation_id, "items"])?
            .query(&list.query());
        Ok(ItemPage::from_object(self.object(call).await?))
    }

    /// Deletes one item.
    ///
    /// # Errors
    ///
    /// When the call fails. An unknown item or conversation is an error too, with
    /// [`is_not_found`](super::Error::is_not_found).
    pub async fn delete_item(&self, conversation_id: &str, item_id: &str) -> Result<()> {
        self.remove(&["conversations", conversation_id, "items", item_id]).await
    }

    async fn object(&self, call: Call) -> Result<Object> {
        self.client.send(call).await?.into_object().await
    }

    async fn remove(&self, path: &[&str]) -> Result<()> {
        let call = self.client.call(Method::DELETE, path)?;
        self.client.send(call).await?.discard().await;
        Ok(())
    }
}
