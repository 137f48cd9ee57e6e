//! What every handler has at hand, and how it is put together.

use std::sync::Arc;
use std::time::Duration;

use ai_engine::testing::FakeOpenAi;
use ai_engine::{
    AiEngine, AssistantDefinition, BoxError, Database, EngineBuilder, OpenAi, prelude::*,
};
use diesel::prelude::*;

use crate::database::Db;
use crate::pictures;
use crate::publish::Publish;
use crate::schema::users;
use crate::settings::Settings;
use crate::signed_out::SignedOut;
use crate::signer::Signer;
use crate::users::User;

#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) engine: AiEngine,
    pub(crate) db: Db,
    pub(crate) signer: Signer,
    pub(crate) settings: Arc<Settings>,
    pub(crate) signed_out: SignedOut,
    /// The demo model, where there is no other; it lives as long as this.
    _demo: Option<FakeOpenAi>,
}

impl App {
    pub(crate) async fn open(settings: Settings) -> Result<Self, BoxError> {
        if settings.has_key {
            return Self::asking(settings, OpenAi::from_env()?, None).await;
        }
        let demo = FakeOpenAi::start().await?;
        demo.demo_pace(settings.demo_pace);
        Self::asking(settings, demo.openai()?, Some(demo)).await
    }

    /// With this provider. The engine is not started yet.
    pub(crate) async fn asking(
        settings: Settings,
        provider: OpenAi,
        demo: Option<FakeOpenAi>,
    ) -> Result<Self, BoxError> {
        let db = Db::open(&settings.database_url)?;
        db.migrate().await?;
        // Each database has its own type of connections, and so the loader of users is written for each.
        let engine = match &db {
            Db::Sqlite(database) => built(
                AiEngine::builder(database.clone()).owner::<User>(|conn, id| {
                    users::table.find(id).select(User::as_select()).first(conn).optional()
                }),
                &db,
                &settings,
                provider,
            ),
            #[cfg(feature = "postgres")]
            Db::Postgres(database) => built(
                AiEngine::builder(database.clone()).owner::<User>(|conn, id| {
                    users::table.find(id).select(User::as_select()).first(conn).optional()
                }),
                &db,
                &settings,
                provider,
            ),
        }?;
        engine.migrate().await?;
        let signer = match &settings.secret {
            Some(secret) => Signer::new(secret)?,
            None => Signer::kept(&db).await?,
        };
        Ok(Self {
            engine,
            db,
            signer,
            settings: Arc::new(settings),
            signed_out: SignedOut::default(),
            _demo: demo,
        })
    }
}

fn built<D: Database>(
    builder: EngineBuilder<D>,
    db: &Db,
    settings: &Settings,
    provider: OpenAi,
) -> ai_engine::Result<AiEngine> {
    builder
        .openai(provider)
        .state(db.clone())
        .tool::<Publish>()
        .titles(AssistantDefinition::new(&settings.model))
        // After so long another process, or the next one, ends the answers of one that was killed.
        .lease(Duration::from_secs(5))
        .max_part_bytes(pictures::MOST_BYTES)
        .build()
}
