//! A host app on a database in a file, and what it asks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ai_engine::{
    AiEngine, Answer, AssistantDefinition, AssistantThread, History, HookContext, HookResult,
    Message, OpenAi, Run, RunStatus, SqliteDatabase, prelude::*,
};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::server::{Server, rows};

/// What is answered with "One, " and no end, where that was agreed on.
pub(crate) const COUNT: &str = "Count to ten.";

pub(crate) struct User {
    pub(crate) id: i32,
}

pub(crate) struct Teller {
    pub(crate) id: i32,
}

ai_engine::record! { User { id: i32 } as "User", Teller { id: i32 } as "Teller" }

impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new("a-model").instructions("You tell stories.")
    }
}

/// What the hooks heard of the answers.
type Heard = Arc<watch::Sender<String>>;

impl MessageHooks for User {
    async fn ai_engine_on_message_update(&self, _: &Message, cx: &HookContext<'_>) -> HookResult {
        cx.state::<Heard>()?.send_modify(|heard| heard.push_str(cx.appended()));
        Ok(())
    }
}

impl Threadable for User {}

/// A host app on a database in a file.
pub(crate) struct Host {
    pub(crate) engine: AiEngine,
    heard: Heard,
    folder: TempDir,
    url: String,
    history: History,
}

fn engine(folder: &Path, url: &str, history: History, heard: &Heard) -> AiEngine {
    let openai = OpenAi::builder().api_key("sk-not-a-real-key").base_url(url).build().unwrap();
    AiEngine::builder(SqliteDatabase::open(folder.join("host.sqlite3")).unwrap())
        .openai(openai)
        .history(history)
        .state(Arc::clone(heard))
        .owner::<User>(|_, id| Ok(Some(User { id })))
        .build()
        .unwrap()
}

impl Host {
    pub(crate) async fn new(server: &Server, history: History) -> Self {
        let (folder, heard) = (tempfile::tempdir().unwrap(), Heard::default());
        let url = server.base_url();
        let engine = engine(folder.path(), &url, history, &heard);
        engine.start().await.unwrap();
        Self { engine, heard, folder, url, history }
    }

    /// This process ends its engine at once and begins another.
    pub(crate) async fn restart(&mut self) {
        self.engine.shutdown(Duration::ZERO).await.unwrap();
        self.engine = engine(self.folder.path(), &self.url, self.history, &self.heard);
        self.engine.start().await.unwrap();
    }

    pub(crate) async fn thread(&self) -> AssistantThread {
        User { id: 1 }.assistant_threads(&self.engine).create().await.unwrap()
    }

    pub(crate) async fn ask(&self, thread: &AssistantThread, question: &str) -> Answer {
        let answer = Teller { id: 1 }.ai_engine_run(&self.engine, thread, question).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        assert!(answer.run.usage.input_tokens > 0);
        answer
    }

    /// Asks what is answered with "One, " and no end, and waits for that much.
    pub(crate) async fn ask_to_count(&self, thread: &AssistantThread) -> Run {
        self.heard.send_replace(String::new());
        let request = Teller { id: 1 }.ai_engine_run(&self.engine, thread, COUNT);
        let run = request.submit().await.unwrap();
        self.heard.subscribe().wait_for(|heard| heard == "One, ").await.unwrap();
        run
    }

    /// Waits until the provider was asked to delete all that is to be deleted there.
    pub(crate) async fn until_deleted(&self) {
        let database = self.folder.path().join("host.sqlite3");
        while rows(&database, &["ai_engine_remote_deletions"]) != [0] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
