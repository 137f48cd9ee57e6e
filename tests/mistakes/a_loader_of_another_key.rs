//! A loader that takes another key than the record has.
//~ error[E0631]: type mismatch in closure arguments
//~ SqliteConnection, i64) -> _`
//~ SqliteConnection, i32) -> _`
//~ load: impl Fn(&mut D::Connection, O::Id) -> diesel::QueryResult<Option<O>>

use ai_engine::{AiEngine, SqliteDatabase, prelude::*};
use diesel::SqliteConnection;

pub struct User {
    pub id: i64,
}

ai_engine::record! { User { id: i64 } as "User" }
impl MessageHooks for User {}

pub fn build(db: SqliteDatabase) -> ai_engine::Result<AiEngine> {
    AiEngine::builder(db)
        .owner::<User>(|_conn: &mut SqliteConnection, id: i32| Ok(Some(User { id: id.into() })))
        .build()
}
