//! A host for the benchmarks: an owner without a table, a storyteller, a fake provider.

use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{
    AiEngine, Answer, AssistantDefinition, AssistantThread, Database, Error, prelude::*,
};

#[derive(Debug)]
pub struct User {
    pub id: i32,
}

#[derive(Debug)]
pub struct Storyteller {
    pub id: i32,
}

ai_engine::record! { User { id: i32 } as "User", Storyteller { id: i32 } as "Storyteller" }

impl Assistable for Storyteller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new("benchmark-model")
            .name("Scheherazade")
            .instructions("You tell stories.")
    }
}

impl MessageHooks for User {}
impl Threadable for User {}

#[derive(Debug)]
pub struct Host {
    pub engine: AiEngine,
    pub fake: FakeOpenAi,
    pub user: User,
    pub teller: Storyteller,
}

impl Host {
    /// Local history; a new thread per run keeps what is sent small.
    pub async fn new(database: impl Database) -> Self {
        let fake = FakeOpenAi::start().await.unwrap();
        let engine = AiEngine::builder(database)
            .openai(fake.openai().unwrap())
            .owner::<User>(|_, id| Ok(Some(User { id })))
            .build()
            .unwrap();
        engine.migrate().await.unwrap();
        Self { engine, fake, user: User { id: 1 }, teller: Storyteller { id: 1 } }
    }

    pub async fn thread(&self) -> AssistantThread {
        let threads = self.user.assistant_threads(&self.engine);
        threads.create().await.unwrap()
    }

    /// Runs to the end.
    pub async fn ask(&self, thread: &AssistantThread) -> Result<Answer, Error> {
        let run = self.teller.ai_engine_run(&self.engine, thread, "Tell me a story");
        run.await
    }
}

/// An answer of `deltas` words of five bytes. They do not repeat, or a database that compresses would look better than
/// it is.
pub fn story(deltas: u32) -> Reply {
    let mut noise = 0x2545_f491_u32;
    let mut letter = move || {
        // xorshift32 (Marsaglia 2003).
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        char::from(b'a' + u8::try_from(noise % 26).unwrap())
    };
    let mut word = || String::from_iter([letter(), letter(), letter(), letter(), ' ']);
    Reply::deltas((0..deltas).map(|_| word()))
}

/// A SQLite file in a folder that goes with it.
pub fn sqlite() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("benchmark.sqlite3");
    (folder, path.to_string_lossy().into_owned())
}

/// A PostgreSQL database, dropped at the end.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub struct Postgres {
    server: String,
    name: String,
    pub url: String,
}

#[cfg(feature = "postgres")]
impl Postgres {
    /// `None` when `AI_ENGINE_TEST_POSTGRES` names no server.
    pub fn fresh() -> Option<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};

        use diesel::connection::SimpleConnection;
        use diesel::{Connection, PgConnection};

        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("AI_ENGINE_TEST_POSTGRES").ok()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ai_engine_bench_{}_{number}", std::process::id());
        let mut conn = PgConnection::establish(&server).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        Some(Self { server, name, url })
    }
}

#[cfg(feature = "postgres")]
impl Drop for Postgres {
    fn drop(&mut self) {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, PgConnection};

        if let Ok(mut conn) = PgConnection::establish(&self.server) {
            let _ = conn.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}
