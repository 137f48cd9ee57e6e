//! HTTP by hand: the bytes as they come, not as our client understands them.

use ai_engine::testing::{API_KEY, FakeOpenAi};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer: its status and its body.
pub struct Raw {
    pub status: u16,
    pub body: String,
}

impl Raw {
    pub async fn send(fake: &FakeOpenAi, method: &str, path: &str, body: Option<&Value>) -> Self {
        let base = fake.base_url();
        let (host, prefix) = base.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let assistants = path.starts_with("/assistants") || path.starts_with("/threads");
        let beta = if assistants { "openai-beta: assistants=v2\r\n" } else { "" };
        // HTTP/1.0 has no chunks: the body ends with the connection.
        let request = format!(
            "{method} /{prefix}{path} HTTP/1.0\r\nhost: {host}\r\nauthorization: Bearer {API_KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n{beta}\r\n{body}",
            body.len()
        );
        let mut tcp = TcpStream::connect(host).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, body: body.to_owned() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Name and data of each server-sent event, where the name is in the event line alone.
    pub fn named_events(&self) -> Vec<Value> {
        let event = |block: &str| {
            let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            let data = line("data: ").unwrap();
            let data = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
            serde_json::json!({"event": line("event: "), "data": data})
        };
        self.body.split_terminator("\n\n").map(event).collect()
    }

    /// The data of each server-sent event.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}
