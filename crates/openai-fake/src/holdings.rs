//! What the service holds, for a test to look into.

use serde_json::Value;

use crate::FakeOpenAi;

/// # Inspecting
impl FakeOpenAi {
    /// The conversations that exist, oldest first.
    #[must_use]
    pub fn conversation_ids(&self) -> Vec<String> {
        self.shared().state().conversation_ids()
    }

    /// The items of a conversation, oldest first; `None` if it does not exist.
    #[must_use]
    pub fn conversation_items(&self, id: &str) -> Option<Vec<Value>> {
        let state = self.shared().state();
        let items = state.conversation_items(id).ok()?;
        Some(items.into_iter().cloned().collect())
    }

    /// All conversation items the service still holds, those of deleted conversations included.
    #[must_use]
    pub fn items(&self) -> Vec<Value> {
        self.shared().state().items()
    }

    /// The stored responses, oldest first.
    #[must_use]
    pub fn response_ids(&self) -> Vec<String> {
        self.shared().state().response_ids()
    }

    /// The assistants that exist, oldest first.
    #[must_use]
    pub fn assistant_ids(&self) -> Vec<String> {
        self.shared().state().assistants.assistant_ids()
    }

    /// An assistant as it is; `None` if it does not exist.
    #[must_use]
    pub fn assistant(&self, id: &str) -> Option<Value> {
        self.shared().state().assistants.assistant_object(id)
    }

    /// The threads that exist, oldest first.
    #[must_use]
    pub fn thread_ids(&self) -> Vec<String> {
        self.shared().state().assistants.thread_ids()
    }

    /// The messages of a thread, oldest first; `None` if it does not exist.
    #[must_use]
    pub fn thread_messages(&self, id: &str) -> Option<Vec<Value>> {
        self.shared().state().assistants.messages_of(id)
    }

    /// The runs of a thread, oldest first; `None` if it does not exist.
    #[must_use]
    pub fn thread_runs(&self, id: &str) -> Option<Vec<Value>> {
        self.shared().state().assistants.runs_of(id)
    }
}
