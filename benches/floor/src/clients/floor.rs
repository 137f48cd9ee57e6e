//! The floor: what reading such a stream costs with the usual crates, and nothing else.

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::Client;

pub struct Floor {
    client: reqwest::Client,
    url: String,
}

impl Floor {
    pub fn new(base_url: &str) -> Self {
        Self { client: reqwest::Client::new(), url: format!("{base_url}/responses") }
    }
}

impl Client for Floor {
    async fn run(&self, model: &str, _: usize) -> usize {
        let body = json!({"model": model, "input": "Tell me a story", "stream": true}).to_string();
        let request = self.client.post(&self.url).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        let mut events = answer.bytes_stream().eventsource();
        let mut text = String::new();
        while let Some(event) = events.next().await {
            let event: Value = serde_json::from_str(&event.unwrap().data).unwrap();
            match event["type"].as_str() {
                Some("response.output_text.delta") => {
                    text.push_str(event["delta"].as_str().unwrap());
                }
                // Not dropped at once: the end of the body is read, so that the connection is used again.
                Some("response.completed") | Some(_) => {}
                None => panic!("an event without a type"),
            }
        }
        text.len()
    }
}
