//! What the service remembers: conversations, their items, stored responses.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::service::{assistants, error::ApiError, models::Models, snapshot, tape::Tape};

#[derive(Debug)]
pub(crate) struct State {
    ids: Ids,
    conversations: BTreeMap<String, Conversation>,
    /// Items of conversations, and of conversations since deleted.
    items: BTreeMap<String, Value>,
    responses: BTreeMap<String, StoredResponse>,
    pub(crate) assistants: assistants::Store,
    pub(crate) responses_created: usize,
    pub(crate) models: Models,
    /// Whether a chat has to begin with the user and go on by turns.
    pub(crate) strict_template: bool,
    /// The keys that are taken; `None` is any.
    pub(crate) keys: Option<Vec<String>>,
}

#[derive(Debug)]
struct Conversation {
    created_at: u64,
    metadata: Value,
    items: Vec<String>,
    /// The response that runs on it now and thereby locks it.
    running: Option<String>,
}

#[derive(Debug)]
pub(crate) struct StoredResponse {
    pub(crate) object: Value,
    pub(crate) input: Vec<Value>,
    pub(crate) previous: Option<String>,
    /// Of a background response.
    pub(crate) tape: Option<Tape>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            ids: Ids::new(),
            conversations: BTreeMap::new(),
            items: BTreeMap::new(),
            responses: BTreeMap::new(),
            assistants: assistants::Store::default(),
            responses_created: 0,
            models: Models::any(),
            strict_template: false,
            keys: None,
        }
    }

    pub(crate) fn mint(&mut self, prefix: &str) -> String {
        self.ids.mint(prefix)
    }

    // Conversations

    pub(crate) fn create_conversation(&mut self, metadata: Value) -> String {
        let id = self.mint("conv");
        let conversation =
            Conversation { created_at: unix_seconds(), metadata, items: Vec::new(), running: None };
        self.conversations.insert(id.clone(), conversation);
        id
    }

    pub(crate) fn conversation_object(&self, id: &str) -> Result<Value, ApiError> {
        let conversation = self.conversation(id)?;
        Ok(json!({
            "id": id,
            "object": "conversation",
            "created_at": conversation.created_at,
            "metadata": conversation.metadata,
        }))
    }

    pub(crate) fn set_metadata(&mut self, id: &str, metadata: Value) -> Result<(), ApiError> {
        self.conversation_mut(id)?.metadata = metadata;
        Ok(())
    }

    /// Forgets the conversation but, as the real service does, not its items.
    pub(crate) fn delete_conversation(&mut self, id: &str) -> Result<(), ApiError> {
        let removed = self.conversations.remove(id);
        removed.map(drop).ok_or_else(|| ApiError::unknown("Conversation", id))
    }

    pub(crate) fn conversation_ids(&self) -> Vec<String> {
        self.conversations.keys().cloned().collect()
    }

    /// The items of a conversation, oldest first.
    pub(crate) fn conversation_items(&self, id: &str) -> Result<Vec<&Value>, ApiError> {
        let ids = self.conversation(id)?.items.iter();
        Ok(ids.filter_map(|item| self.items.get(item)).collect())
    }

    /// The item, if it is in that conversation.
    pub(crate) fn conversation_item(&self, id: &str, item: &str) -> Result<&Value, ApiError> {
        let conversation = self.conversation(id)?;
        let held = conversation.items.iter().any(|other| other == item);
        held.then(|| self.items.get(item)).flatten().ok_or_else(|| ApiError::unknown("Item", item))
    }

    /// Appends items, giving a new id to one whose id is taken, and returns them as kept.
    pub(crate) fn append(&mut self, id: &str, items: Vec<Value>) -> Result<Vec<Value>, ApiError> {
        self.conversation(id)?;
        let mut kept = Vec::with_capacity(items.len());
        for mut item in items {
            let mut item_id = item["id"].as_str().unwrap_or_default().to_owned();
            if self.conversation(id)?.items.contains(&item_id) {
                continue; // an item_reference to what is in there already
            }
            if self.items.contains_key(&item_id) {
                item_id = self.mint("item");
                item["id"] = json!(item_id);
            }
            self.items.insert(item_id.clone(), item.clone());
            self.conversation_mut(id)?.items.push(item_id);
            kept.push(item);
        }
        Ok(kept)
    }

    pub(crate) fn delete_item(&mut self, id: &str, item: &str) -> Result<(), ApiError> {
        self.conversation_item(id, item)?;
        self.conversation_mut(id)?.items.retain(|other| other != item);
        self.items.remove(item);
        Ok(())
    }

    /// All items still held, in the order they were made.
    pub(crate) fn items(&self) -> Vec<Value> {
        self.items.values().cloned().collect()
    }

    /// An item by id, wherever it is: in a conversation or in a stored response.
    pub(crate) fn find_item(&self, id: &str) -> Option<&Value> {
        let in_responses = || {
            self.responses.values().find_map(|response| {
                let output = response.object["output"].as_array().into_iter().flatten();
                output.chain(&response.input).find(|item| item["id"] == *id)
            })
        };
        self.items.get(id).or_else(in_responses)
    }

    /// An error if a response runs on the conversation.
    pub(crate) fn check_unlocked(&self, id: &str) -> Result<(), ApiError> {
        match self.conversation(id)?.running {
            Some(_) => Err(ApiError::conversation_locked()),
            None => Ok(()),
        }
    }

    pub(crate) fn lock(&mut self, id: &str, response: &str) -> Result<(), ApiError> {
        self.check_unlocked(id)?;
        self.conversation_mut(id)?.running = Some(response.to_owned());
        Ok(())
    }

    /// Ends the lock, if that response holds it. The conversation may be gone by now.
    pub(crate) fn unlock(&mut self, id: &str, response: &str) {
        if let Some(conversation) = self.conversations.get_mut(id) {
            conversation.running.take_if(|running| running == response);
        }
    }

    fn conversation(&self, id: &str) -> Result<&Conversation, ApiError> {
        let found = self.conversations.get(id);
        found.ok_or_else(|| ApiError::unknown("Conversation", id))
    }

    fn conversation_mut(&mut self, id: &str) -> Result<&mut Conversation, ApiError> {
        let found = self.conversations.get_mut(id);
        found.ok_or_else(|| ApiError::unknown("Conversation", id))
    }

    // Responses

    pub(crate) fn store_response(&mut self, id: &str, response: StoredResponse) {
        self.responses.insert(id.to_owned(), response);
    }

    pub(crate) fn response(&self, id: &str) -> Result<&StoredResponse, ApiError> {
        let found = self.responses.get(id);
        found.ok_or_else(|| ApiError::unknown("Response", id))
    }

    /// Brings the stored object up to date, unless it was never stored or is deleted.
    pub(crate) fn update_response(&mut self, id: &str, object: &Value) {
        if let Some(response) = self.responses.get_mut(id) {
            response.object = object.clone();
        }
    }

    pub(crate) fn is_cancelled(&self, id: &str) -> bool {
        self.responses.get(id).is_some_and(|response| response.object["status"] == "cancelled")
    }

    /// Stops a background response, unless it is over, and returns it as it then is.
    pub(crate) fn cancel_response(&mut self, id: &str) -> Result<Value, ApiError> {
        let unknown = || ApiError::unknown("Response", id);
        let response = self.responses.get_mut(id).ok_or_else(unknown)?;
        let Some(tape) = &response.tape else {
            return Err(ApiError::bad_request("Cannot cancel a synchronous response."));
        };
        if matches!(response.object["status"].as_str(), Some("queued" | "in_progress")) {
            response.object = snapshot::cancelled(response.object.take());
            tape.end();
        }
        let object = response.object.clone();
        if let Some(conversation) = object["conversation"]["id"].as_str() {
            self.unlock(conversation, id);
        }
        Ok(object)
    }

    pub(crate) fn delete_response(&mut self, id: &str) -> Result<(), ApiError> {
        let removed = self.responses.remove(id);
        removed.map(drop).ok_or_else(|| ApiError::unknown("Response", id))
    }

    pub(crate) fn response_ids(&self) -> Vec<String> {
        self.responses.keys().cloned().collect()
    }

    /// Everything said along a chain of responses up to this one, oldest first.
    pub(crate) fn chain(&self, last: &str) -> Vec<Value> {
        let mut turns = Vec::new();
        let mut next = Some(last);
        while let Some(response) = next.and_then(|id| self.responses.get(id)) {
            turns.push(response);
            next = response.previous.as_deref();
        }
        let mut items = Vec::new();
        for turn in turns.into_iter().rev() {
            items.extend(turn.input.iter().cloned());
            items.extend(turn.object["output"].as_array().into_iter().flatten().cloned());
        }
        items
    }
}

/// Makes ids that sort by age within a server and differ between servers, so that a test which
/// mixes two servers up cannot pass by luck.
#[derive(Debug)]
struct Ids {
    server: u64,
    last: u64,
}

impl Ids {
    fn new() -> Self {
        // The standard library's only source of randomness.
        let server = RandomState::new().build_hasher().finish();
        Self { server, last: 0 }
    }

    fn mint(&mut self, prefix: &str) -> String {
        self.last += 1;
        format!("{prefix}_{:016x}{:012x}", self.server, self.last)
    }
}

pub(crate) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}
