//! async-openai's stream of the Responses API.

use async_openai::Client as OpenAi;
use async_openai::config::OpenAIConfig;
use async_openai::types::responses::{CreateResponse, InputParam, ResponseStreamEvent};
use futures_util::StreamExt;

use super::Client;

pub struct AsyncOpenAi(OpenAi<OpenAIConfig>);

impl AsyncOpenAi {
    pub fn new(base_url: &str) -> Self {
        let config = OpenAIConfig::new().with_api_key("k").with_api_base(base_url);
        Self(OpenAi::with_config(config))
    }
}

impl Client for AsyncOpenAi {
    async fn run(&self, model: &str, _: usize) -> usize {
        let request = CreateResponse {
            model: Some(model.to_owned()),
            input: InputParam::Text("Tell me a story".to_owned()),
            ..CreateResponse::default()
        };
        let mut events = self.0.responses().create_stream(request).await.unwrap();
        let mut text = String::new();
        while let Some(event) = events.next().await {
            if let ResponseStreamEvent::ResponseOutputTextDelta(said) = event.unwrap() {
                text.push_str(&said.delta);
            }
        }
        text.len()
    }
}
