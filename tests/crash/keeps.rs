//! What the provider keeps, and which process had it made.

use std::collections::HashMap;

use ai_engine::testing::{FakeOpenAi, Request};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Conversation,
    Response,
    Thread,
    Assistant,
}

/// An object at the provider.
#[derive(Debug, Clone)]
pub struct Made {
    pub kind: Kind,
    pub id: String,
    /// The key of the process.
    pub by: String,
    /// It holds something that was said.
    pub has_words: bool,
}

/// Who made what, by the keys of the processes: what is new when a request comes was made by the one before it, since the server has one thread.
#[derive(Debug, Default)]
pub struct Makers {
    by: HashMap<String, String>,
    before: String,
    /// The request before may have made something.
    makes: bool,
}

impl Makers {
    pub fn look(&mut self, fake: &FakeOpenAi, request: &Request, key: &str) {
        self.note_new(fake);
        key.clone_into(&mut self.before);
        self.makes = request.method == "POST"
            && matches!(
                request.path.as_str(),
                "/v1/responses" | "/v1/conversations" | "/v1/threads" | "/v1/assistants"
            );
    }

    fn note_new(&mut self, fake: &FakeOpenAi) {
        if !std::mem::take(&mut self.makes) {
            return;
        }
        for (_, id) in all(fake) {
            self.by.entry(id).or_insert_with(|| self.before.clone());
        }
    }

    pub fn keeps(&mut self, fake: &FakeOpenAi) -> Vec<Made> {
        self.note_new(fake);
        let made = |(kind, id): (Kind, String)| {
            let by = self.by.get(&id).cloned().unwrap_or_default();
            let words = match kind {
                Kind::Conversation => fake.conversation_items(&id),
                Kind::Thread => fake.thread_messages(&id),
                Kind::Response | Kind::Assistant => None,
            };
            let has_words = kind == Kind::Response || words.is_some_and(|said| !said.is_empty());
            Made { kind, id, by, has_words }
        };
        all(fake).into_iter().map(made).collect()
    }
}

fn all(fake: &FakeOpenAi) -> Vec<(Kind, String)> {
    let kinds = [
        (Kind::Conversation, fake.conversation_ids()),
        (Kind::Response, fake.response_ids()),
        (Kind::Thread, fake.thread_ids()),
        (Kind::Assistant, fake.assistant_ids()),
    ];
    kinds.into_iter().flat_map(|(kind, ids)| ids.into_iter().map(move |id| (kind, id))).collect()
}
