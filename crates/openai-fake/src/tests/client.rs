//! A small client for the tests.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{API_KEY, FakeOpenAi};

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(super) fn of(fake: &FakeOpenAi) -> Self {
        Self { http: reqwest::Client::new(), base: fake.base_url() }
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<reqwest::Response> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {API_KEY}"));
        if path.starts_with("/assistants") || path.starts_with("/threads") {
            request = request.header("openai-beta", "assistants=v2");
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        request.send().await
    }

    async fn json(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let response = self.send(method, path, body).await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.json("POST", path, Some(&body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> (u16, Value) {
        self.json("DELETE", path, None).await
    }

    pub(super) async fn new_conversation(&self) -> String {
        let (status, conversation) = self.post("/conversations", json!({})).await;
        assert_eq!(status, 200);
        conversation["id"].as_str().unwrap().to_owned()
    }

    /// Opens a stream; the body need not say that it streams.
    pub(super) async fn stream(&self, mut body: Value) -> EventStream {
        body["stream"] = json!(true);
        let sent = self.send("POST", "/responses", Some(&body)).await;
        EventStream::of(sent.unwrap())
    }

    /// The same, of a server that sends no `event:` lines.
    pub(super) async fn stream_unnamed(&self, body: Value) -> EventStream {
        self.stream(body).await.unnamed()
    }

    /// The chunks of a streamed completion, and whether `[DONE]` came behind them.
    pub(super) async fn chat(&self, mut body: Value) -> (Vec<Value>, bool) {
        body["stream"] = json!(true);
        let sent = self.send("POST", "/chat/completions", Some(&body)).await;
        let mut response = sent.unwrap();
        assert_eq!(response.status(), 200);
        let mut text = String::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            text += std::str::from_utf8(&chunk).unwrap();
        }
        assert!(!text.contains("event:"), "{text}");
        let mut data: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let done = data.pop_if(|last| *last == "[DONE]").is_some();
        (data.into_iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect(), done)
    }

    /// The events of a streamed run, by name, and whether the body ended cleanly.
    pub(super) async fn run_events(
        &self,
        path: &str,
        mut body: Value,
    ) -> (Vec<(String, Value)>, bool) {
        body["stream"] = json!(true);
        let sent = self.send("POST", path, Some(&body)).await;
        let mut response = sent.unwrap();
        assert_eq!(response.status(), 200);
        let mut text = String::new();
        let clean = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => text += std::str::from_utf8(&chunk).unwrap(),
                end => break end.is_ok(),
            }
        };
        let event = |block: &str| {
            let name = block.lines().find_map(|line| line.strip_prefix("event: "))?;
            let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
            let data = serde_json::from_str(data).unwrap_or_else(|_| json!(data));
            Some((name.to_owned(), data))
        };
        (text.split("\n\n").filter_map(event).collect(), clean)
    }

    pub(super) async fn new_assistant(&self, settings: Value) -> String {
        let (status, assistant) = self.post("/assistants", settings).await;
        assert_eq!(status, 200, "{assistant}");
        assistant["id"].as_str().unwrap().to_owned()
    }

    /// A thread in which the user has said this.
    pub(super) async fn new_thread(&self, text: &str) -> String {
        let messages = json!([{"role": "user", "content": text}]);
        let (status, thread) = self.post("/threads", json!({"messages": messages})).await;
        assert_eq!(status, 200, "{thread}");
        thread["id"].as_str().unwrap().to_owned()
    }

    /// Opens the stream of a background response after the event of this number.
    pub(super) async fn resume(&self, id: &str, after: usize) -> EventStream {
        let path = format!("/responses/{id}?stream=true&starting_after={after}");
        EventStream::of(self.send("GET", &path, None).await.unwrap())
    }

    /// The body of a streamed answer, byte for byte.
    pub(super) async fn streamed_bytes(&self, mut body: Value) -> Vec<u8> {
        body["stream"] = json!(true);
        let response = self.send("POST", "/responses", Some(&body)).await.unwrap();
        response.bytes().await.unwrap().to_vec()
    }
}

/// A stream of events, read one by one.
pub(super) struct EventStream {
    pub(super) response: reqwest::Response,
    buffer: String,
    events: VecDeque<Value>,
    named: bool,
}

impl EventStream {
    fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { response, buffer: String::new(), events: VecDeque::new(), named: true }
    }

    /// Expects no `event:` lines.
    pub(super) fn unnamed(mut self) -> Self {
        self.named = false;
        self
    }

    /// The next event; `Ok(None)` at a clean end.
    pub(super) async fn next(&mut self) -> reqwest::Result<Option<Value>> {
        while self.events.is_empty() {
            let Some(chunk) = self.response.chunk().await? else {
                return Ok(None);
            };
            self.buffer += std::str::from_utf8(&chunk).unwrap();
            while let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                self.events.extend(parse(&block, self.named));
            }
        }
        Ok(self.events.pop_front())
    }

    /// The rest of the stream, and whether it ended cleanly.
    pub(super) async fn rest(mut self) -> (Vec<Value>, bool) {
        let mut events = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return (events, true),
                Err(_) => return (events, false),
            }
        }
    }

    pub(super) async fn all(self) -> Vec<Value> {
        let (events, clean) = self.rest().await;
        assert!(clean, "the stream broke after {events:?}");
        events
    }
}

fn parse(block: &str, named: bool) -> Option<Value> {
    let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
    let event: Value = serde_json::from_str(data).unwrap();
    let name = block.lines().find_map(|line| line.strip_prefix("event: "));
    assert_eq!(event["type"].as_str().filter(|_| named), name);
    Some(event)
}

/// A request for a story.
pub(super) fn story(subject: &str) -> Value {
    json!({"model": "m", "input": format!("Tell me a story about {subject}")})
}

/// All text in the output of a response.
pub(super) fn text_of(response: &Value) -> String {
    let output = response["output"].as_array().unwrap();
    let parts = output.iter().flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// Status, code and message of a refusal.
pub(super) fn error_of((status, body): &(u16, Value)) -> (u16, &str, &str) {
    let error = &body["error"];
    assert_eq!(error["type"], "invalid_request_error", "{body}");
    let code = error["code"].as_str().unwrap_or_default();
    (*status, code, error["message"].as_str().unwrap())
}
