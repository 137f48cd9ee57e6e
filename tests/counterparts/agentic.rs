//! `agentic-api` (vLLM's gateway): keeps conversations, and asks a model behind it.

use std::time::Duration;

use ai_engine::Answer;
use ai_engine::testing::{FakeOpenAi, Reply, Request};
use serde_json::Value;

use crate::host::COUNT;
use crate::life::Counterpart;
use crate::server::{Server, rows};

/// Keeps conversations and responses in a database, and asks the fake as its model.
pub(crate) struct Agentic {
    pub(crate) server: Server,
    model: FakeOpenAi,
}

impl Agentic {
    pub(crate) async fn start() -> Option<Self> {
        let model = FakeOpenAi::start().await.unwrap();
        model.demo_pace(Duration::ZERO);
        let behind = model.base_url();
        let server = Server::start("agentic-server", |command, folder, port| {
            // It adds `/v1` itself. The fake has none of the `/health` that it would wait for.
            command.args(["--llm-api-base", behind.strip_suffix("/v1").unwrap()]);
            command.args(["--skip-llm-ready-check", "--gateway-host", "127.0.0.1"]);
            command.args(["--gateway-port", &port.to_string()]);
            command.args(["--db-url", &format!("sqlite://{}/kept.db", folder.display())]);
        })
        .await?;
        Some(Self { server, model })
    }

    /// What it keeps: conversations, items in one of them, responses.
    pub(crate) fn kept(&self) -> [i64; 3] {
        let in_conversations = "items WHERE conversation_id IS NOT NULL";
        let tables = ["conversations", in_conversations, "responses"];
        rows(&self.server.file("kept.db"), &tables).try_into().unwrap()
    }

    pub(crate) async fn status_of_deleting_a_response(&self) -> u16 {
        let url = format!("{}/responses/resp_1", self.server.base_url());
        reqwest::Client::new().delete(url).send().await.unwrap().status().as_u16()
    }
}

impl Counterpart for Agentic {
    fn server(&self) -> &Server {
        &self.server
    }

    fn hang_next(&self) {
        self.model.reply_to(COUNT, Reply::deltas(["One, ", "two."]).stall_at(5));
    }

    async fn until_stopped(&self) {
        let hung =
            self.model.requests().iter().filter(|request| last_said(request) == COUNT).count();
        self.model.disconnected(hung).await;
    }

    fn seen(&self, _: &Answer) -> Vec<String> {
        said(self.model.requests().last().unwrap())
    }
}

/// The user's texts in a request.
fn said(request: &Request) -> Vec<String> {
    let input = request.body.as_ref().unwrap()["input"].as_array().unwrap().iter();
    let text = |item: &Value| match &item["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap().to_owned(),
    };
    input.filter(|item| item["role"] == "user").map(text).collect()
}

fn last_said(request: &Request) -> String {
    said(request).pop().unwrap()
}
