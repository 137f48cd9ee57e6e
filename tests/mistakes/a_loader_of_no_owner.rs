//! A loader for a record that hears nothing.
//~ error[E0277]: `User` owns threads or chats, so it needs `impl MessageHooks for User {}`

use ai_engine::{AiEngine, SqliteDatabase};

pub struct User {
    pub id: i64,
}

ai_engine::record! { User { id: i64 } as "User" }

pub fn build(db: SqliteDatabase) -> ai_engine::Result<AiEngine> {
    AiEngine::builder(db).owner::<User>(|_conn, id| Ok(Some(User { id }))).build()
}
