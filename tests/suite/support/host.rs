//! The host's tables, structs and engine.

use ai_engine::openai::Protocol;
use ai_engine::testing::FakeOpenAi;
use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, EngineBuilder, History, HookContext,
    HookResult, Message, Run, ToolCall, prelude::*,
};
use diesel::prelude::*;

use super::{Heard, Hub, TestDatabase};

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { storytellers (id) { id -> Integer, name -> Text, model -> Text, } }

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
pub struct User {
    pub id: i32,
    pub name: String,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
pub struct Storyteller {
    pub id: i32,
    pub name: String,
    pub model: String,
}

ai_engine::record! { User { id: i32 } as "User", Storyteller { id: i32 } as "Storyteller" }

impl Assistable for Storyteller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new(&self.model).name(&self.name).instructions("You tell stories.")
    }
}

impl MessageHooks for User {
    async fn ai_engine_on_message_create(
        &self,
        message: &Message,
        cx: &HookContext<'_>,
    ) -> HookResult {
        cx.state::<Hub>()?.hear(self.id, Heard::Created(message.clone()), cx.engine).await
    }

    async fn ai_engine_on_message_update(
        &self,
        message: &Message,
        cx: &HookContext<'_>,
    ) -> HookResult {
        let heard = Heard::Updated {
            message: message.clone(),
            appended: cx.appended().to_owned(),
            replaced: cx.is_replaced(),
        };
        cx.state::<Hub>()?.hear(self.id, heard, cx.engine).await
    }

    async fn ai_engine_on_run_update(&self, run: &Run, cx: &HookContext<'_>) -> HookResult {
        cx.state::<Hub>()?.hear(self.id, Heard::Run(run.clone()), cx.engine).await
    }

    async fn ai_engine_on_tool_call(&self, call: &ToolCall, cx: &HookContext<'_>) -> HookResult {
        cx.state::<Hub>()?.hear(self.id, Heard::Tool(call.clone()), cx.engine).await
    }
}

impl Threadable for User {}
impl Chattable for User {}

/// A host app on a database, with a fake provider.
pub struct Host<D> {
    pub db: D,
    pub engine: AiEngine,
    pub fake: FakeOpenAi,
    pub hub: Hub,
    pub user: User,
    pub teller: Storyteller,
    /// Whether the provider keeps the conversation.
    pub conversing: bool,
    /// How the provider is spoken to.
    pub protocol: Protocol,
}

impl<D: TestDatabase> Host<D> {
    /// Local history, as by default with any server but OpenAI's.
    pub async fn new(db: D) -> Self {
        Self::with(db, |builder| builder).await
    }

    /// The provider keeps the conversation.
    pub async fn conversing(db: D) -> Self {
        let host = Self::with(db, |builder| builder.history(History::Conversation)).await;
        Self { conversing: true, ..host }
    }

    /// In another protocol.
    pub async fn speaking(db: D, protocol: Protocol) -> Self {
        let host = Self::with(db, |builder| builder).await;
        let openai = host.fake.openai_builder().protocol(protocol).build().unwrap();
        let engine = engine(&host.db, &host.fake, &host.hub, |builder| builder.openai(openai));
        Self { engine, protocol, conversing: protocol == Protocol::Assistants, ..host }
    }

    pub async fn with(
        db: D,
        configure: impl FnOnce(EngineBuilder<D::Database>) -> EngineBuilder<D::Database>,
    ) -> Self {
        let fake = FakeOpenAi::start().await.unwrap();
        let hub = Hub::default();
        let engine = engine(&db, &fake, &hub, configure);
        engine.migrate().await.unwrap();
        db.execute("INSERT INTO users (id, name) VALUES (1, 'Ada'), (2, 'Bob')");
        let user = User { id: 1, name: "Ada".to_owned() };
        let teller =
            Storyteller { id: 7, name: "Scheherazade".to_owned(), model: "test-model".to_owned() };
        db.with(|conn| conn.insert_storyteller(&teller)).unwrap();
        Self {
            db,
            engine,
            fake,
            hub,
            user,
            teller,
            conversing: false,
            protocol: Protocol::Responses,
        }
    }

    pub async fn thread(&self) -> AssistantThread {
        self.user.assistant_threads(&self.engine).create().await.unwrap()
    }
}

/// An engine on the same database and provider: what another process, or the next life of this one, would build.
pub fn engine<D: TestDatabase>(
    db: &D,
    fake: &FakeOpenAi,
    hub: &Hub,
    configure: impl FnOnce(EngineBuilder<D::Database>) -> EngineBuilder<D::Database>,
) -> AiEngine {
    let builder =
        AiEngine::builder(db.database()).openai(fake.openai().unwrap()).state(hub.clone());
    configure(D::owners(builder)).build().unwrap()
}

/// A run submitted where no runtime is: nobody can drive it.
pub fn submit_undriven<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Run {
    let (client, db) = (host.fake.openai().unwrap(), host.db.clone());
    let (teller, asked) = (host.teller.clone(), thread.clone());
    let submitting = std::thread::spawn(move || {
        let engine = D::owners(AiEngine::builder(db.database())).openai(client).build().unwrap();
        let request = teller.ai_engine_run(&engine, &asked, "Tell me");
        db.with(|conn| request.submit_in(conn.session())).unwrap()
    });
    submitting.join().unwrap()
}
