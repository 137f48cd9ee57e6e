//! A loader whose error is not Diesel's.
//~ error[E0308]: mismatched types
//~ expected enum `Result<_, diesel::result::Error>`
//~ found enum `Result<_, String>`

use ai_engine::{AiEngine, SqliteDatabase, prelude::*};

pub struct User {
    pub id: i64,
}

ai_engine::record! { User { id: i64 } as "User" }
impl MessageHooks for User {}

fn load(id: i64) -> Result<Option<User>, String> {
    Ok(Some(User { id }))
}

pub fn build(db: SqliteDatabase) -> ai_engine::Result<AiEngine> {
    AiEngine::builder(db).owner::<User>(|_conn, id| load(id)).build()
}
