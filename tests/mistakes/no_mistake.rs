//! A host as it should be.
#![allow(dead_code)]

use ai_engine::{AiEngine, AssistantDefinition, SqliteDatabase, prelude::*};

struct User {
    id: i32,
}

struct Teller {
    id: i32,
}

ai_engine::record! { User { id: i32 } as "User", Teller { id: i32 } as "Teller" }
impl MessageHooks for User {}
impl Threadable for User {}

impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new("m")
    }
}

async fn ask(db: SqliteDatabase, user: User, teller: Teller) -> ai_engine::Result<()> {
    let engine = AiEngine::builder(db.clone())
        .owner::<User>(|_conn, id| Ok(Some(User { id })))
        .build()?;
    let thread = user.assistant_threads(&engine).create().await?;
    teller.ai_engine_run(&engine, &thread, "Tell me").await?;
    db.transaction(move |conn| engine.forget_in(conn, &user)).await?;
    Ok(())
}
