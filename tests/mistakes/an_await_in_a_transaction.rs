//! A transaction's closure that awaits the engine, for which it has the connection.
//~ error[E0728]: `await` is only allowed inside `async` functions and blocks

use ai_engine::{AiEngine, AssistantThread, Role, SqliteDatabase};

pub async fn say(
    db: &SqliteDatabase,
    engine: AiEngine,
    thread: AssistantThread,
) -> ai_engine::Result<()> {
    db.transaction(move |_conn| {
        thread.messages(&engine).create(Role::User, "Hi").await?;
        Ok(())
    })
    .await
}
