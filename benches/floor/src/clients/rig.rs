//! rig's stream of the Responses API.

use futures_util::StreamExt;
use rig_core::completion::CompletionRequest;
use rig_core::providers::openai::{OpenAI, OpenAIConfig};
use rig_core::streaming::{Item, StreamEvent};

use super::Client;

pub struct Rig(OpenAI);

impl Rig {
    pub fn new(base_url: &str) -> Self {
        Self(OpenAIConfig::new("k").with_base_url(base_url).client())
    }
}

impl Client for Rig {
    async fn run(&self, model: &str, _: usize) -> usize {
        let request = CompletionRequest::new("Tell me a story");
        let mut events = self.0.responses(model).stream(request).unwrap();
        let mut text = String::new();
        while let Some(event) = events.next().await {
            if let Item::Event(StreamEvent::Text { text: said, .. }) = event.unwrap() {
                text.push_str(&said);
            }
        }
        text.len()
    }
}
