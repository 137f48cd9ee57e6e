//! A host for the benchmarks: an owner without a table, a storyteller, a fake provider.

mod database;

use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{
    AiEngine, Answer, AssistantDefinition, AssistantThread, Database, Error, prelude::*,
};

pub use database::*;

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
impl Chattable for User {}

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
