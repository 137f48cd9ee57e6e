//! A record that is whatever assistant a test wants, and what is done while a request is on its way.

use std::sync::Mutex;

use ai_engine::testing::{API_KEY, FakeOpenAi};
use ai_engine::{AssistantDefinition, prelude::*};
use serde_json::{Value, json};

use super::KEY;
use crate::support::*;

/// The host's storyteller, whose definition changes.
#[derive(Clone)]
pub struct Changing {
    pub id: i32,
    pub definition: AssistantDefinition,
}

ai_engine::record! { Changing { id: i32 } as "Storyteller" }

impl Assistable for Changing {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        self.definition.clone()
    }
}

impl Changing {
    pub fn of<D>(host: &Host<D>) -> Self {
        Self { id: host.teller.id, definition: host.teller.ai_engine_assistant() }
    }

    pub fn with_model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.definition.model);
        self
    }

    pub fn at(mut self, provider: &str) -> Self {
        self.definition = self.definition.provider(provider);
        self
    }

    /// As a host's transaction stores it: nobody is told.
    pub fn store<D: TestDatabase>(&self, db: &D) {
        db.with(|conn| self.update_openai_assistant_in(conn.session())).unwrap();
    }

    pub fn delete<D: TestDatabase>(&self, db: &D) {
        db.with(|conn| self.delete_openai_assistant_in(conn.session())).unwrap();
    }
}

/// Does something, once, while the first such request is on its way.
pub fn amid(
    fake: &FakeOpenAi,
    method: &'static str,
    path: &'static str,
    work: impl FnOnce(&Value) + Send + 'static,
) {
    let work = Mutex::new(Some(work));
    fake.on_request(move |request| {
        if request.method == method && request.path.starts_with(path) {
            let work = work.lock().unwrap().take();
            if let Some(work) = work {
                work(request.body.as_ref().unwrap_or(&Value::Null));
            }
        }
    });
}

/// A request that no engine makes.
pub async fn ask(fake: &FakeOpenAi, method: reqwest::Method, path: &str, body: &Value) -> Value {
    let request = reqwest::Client::new().request(method, format!("{}/{path}", fake.base_url()));
    let request = request.header("openai-beta", "assistants=v2").bearer_auth(API_KEY);
    let request = request.header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

/// Somebody else deletes it there.
pub async fn delete_there(fake: &FakeOpenAi, id: &str) {
    let path = format!("assistants/{id}");
    let gone = ask(fake, reqwest::Method::DELETE, &path, &json!({})).await;
    assert_eq!(gone["deleted"], true);
}

/// Whether it is there as the definition says, all of it.
pub fn is_as(there: &Value, definition: &AssistantDefinition) -> bool {
    let mut metadata = there["metadata"].clone();
    let key = metadata.as_object_mut().and_then(|pairs| pairs.remove(KEY));
    // What is not set is the default there.
    let number = |name: &str| there[name].as_f64().unwrap_or(1.0);
    key.is_some()
        && there["model"] == *definition.model
        && there["name"].as_str() == definition.name.as_deref()
        && there["description"].as_str() == definition.description.as_deref()
        && there["instructions"].as_str() == definition.instructions.as_deref()
        && there["tools"].as_array().is_some_and(|tools| *tools == definition.tools)
        && there["reasoning_effort"].as_str()
            == definition.reasoning.as_ref().and_then(|options| options["effort"].as_str())
        && (number("temperature") - definition.temperature.unwrap_or(1.0)).abs() < 1e-9
        && (number("top_p") - definition.top_p.unwrap_or(1.0)).abs() < 1e-9
        && metadata == json!(definition.metadata)
}
