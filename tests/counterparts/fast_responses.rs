//! `fastresponses`: serves an agent.

use std::time::Duration;

use ai_engine::Answer;

use crate::life::Counterpart;
use crate::server::Server;

/// Serves `parrot.py` and keeps responses that it is to keep in a database.
pub(crate) struct FastResponses {
    pub(crate) server: Server,
}

impl FastResponses {
    pub(crate) async fn start() -> Option<Self> {
        let server = Server::start("fastresponses", |command, folder, port| {
            let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterparts/parrot.py:parrot");
            command.args(["serve", agent, "--host", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--store", "kept.db"]);
            command.env("PARROT_STOPPED", folder.join("stopped"));
            command.env("PYTHONDONTWRITEBYTECODE", "1");
        })
        .await?;
        Some(Self { server })
    }
}

impl Counterpart for FastResponses {
    fn server(&self) -> &Server {
        &self.server
    }

    fn hang_next(&self) {
        let _ = std::fs::remove_file(self.server.file("stopped"));
    }

    async fn until_stopped(&self) {
        while !self.server.file("stopped").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn seen(&self, answer: &Answer) -> Vec<String> {
        serde_json::from_str(&answer.text()).unwrap()
    }
}
