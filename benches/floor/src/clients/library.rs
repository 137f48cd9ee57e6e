//! The whole library: a run in a thread of a database, with an owner who hears each update.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, Database, HookContext, HookResult, Message,
    OpenAi, PgDatabase, SqliteDatabase, prelude::*,
};

use super::Client;
use crate::database;
use crate::server::now;

#[derive(Debug)]
struct Owner {
    id: i32,
}

struct Teller {
    id: i32,
    model: String,
}

ai_engine::record! { Owner { id: i32 } as "Owner", Teller { id: i32 } as "Teller" }

impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new(&self.model)
    }
}

/// What the owner heard.
#[derive(Debug, Default)]
pub struct Heard {
    pub bytes: AtomicUsize,
    /// When the words are times: those, and what is known of them.
    pub ages: Option<Mutex<Ages>>,
}

#[derive(Debug, Default)]
pub struct Ages {
    /// When each word was sent, and how old it was, in microseconds.
    pub words: Vec<(u64, u64)>,
    /// The messages that have begun, and when the last of them did.
    pub begun: HashSet<i64>,
    pub last_began: u64,
}

impl MessageHooks for Owner {
    async fn ai_engine_on_message_update(
        &self,
        message: &Message,
        cx: &HookContext<'_>,
    ) -> HookResult {
        let heard = cx.state::<Arc<Heard>>()?;
        heard.bytes.fetch_add(cx.appended().len(), Ordering::Relaxed);
        if let Some(ages) = &heard.ages {
            let now = now();
            let mut ages = ages.lock().unwrap();
            if ages.begun.insert(message.id) {
                ages.last_began = now;
            }
            let sent = cx.appended().split_whitespace().map(|sent| sent.parse::<u64>().unwrap());
            ages.words.extend(sent.map(|sent| (sent, now.saturating_sub(sent))));
        }
        Ok(())
    }
}
impl Threadable for Owner {}

pub struct Library {
    engine: AiEngine,
    threads: Mutex<Vec<AssistantThread>>,
    pub heard: Arc<Heard>,
    /// Goes with the database's files.
    _kept: Box<dyn std::any::Any + Send + Sync>,
}

pub fn has_postgres() -> bool {
    std::env::var_os("AI_ENGINE_TEST_POSTGRES").is_some()
}

impl Library {
    pub async fn on_sqlite(base_url: &str, heard: Heard) -> Self {
        let (folder, path) = database::sqlite();
        Self::new(SqliteDatabase::open(&path).unwrap(), base_url, heard, Box::new(folder)).await
    }

    pub async fn on_postgres(base_url: &str, heard: Heard) -> Self {
        let postgres = database::Postgres::fresh().expect("AI_ENGINE_TEST_POSTGRES");
        let database = PgDatabase::connect(&*postgres.url).unwrap();
        Self::new(database, base_url, heard, Box::new(postgres)).await
    }

    async fn new(
        database: impl Database,
        base_url: &str,
        heard: Heard,
        kept: Box<dyn std::any::Any + Send + Sync>,
    ) -> Self {
        let heard = Arc::new(heard);
        let client = OpenAi::builder().api_key("k").base_url(base_url).build().unwrap();
        let engine = AiEngine::builder(database)
            .openai(client)
            .state(Arc::clone(&heard))
            .owner::<Owner>(|_, id| Ok(Some(Owner { id })))
            .build()
            .unwrap();
        engine.migrate().await.unwrap();
        Self { engine, threads: Mutex::default(), heard, _kept: kept }
    }
}

impl Client for Library {
    /// A thread for each run keeps what is sent small.
    async fn prepare(&self, runs: usize) {
        let owner = Owner { id: 1 };
        for _ in 0..runs {
            let thread = owner.assistant_threads(&self.engine).create().await.unwrap();
            self.threads.lock().unwrap().push(thread);
        }
    }

    async fn run(&self, model: &str, number: usize) -> usize {
        let thread = self.threads.lock().unwrap()[number].clone();
        let teller = Teller { id: 1, model: model.to_owned() };
        let answer = teller.ai_engine_run(&self.engine, &thread, "Tell me a story").await.unwrap();
        assert_eq!(answer.run.status, ai_engine::RunStatus::Completed, "{:?}", answer.run.error);
        answer.text().len()
    }
}
