//! A type whose name and key nobody was told.
//~ error[E0277]: `User` is no record: ai-engine knows neither its name nor its key
//~ say both: `ai_engine::record! { User { id: i64 } as "User" }`

use ai_engine::prelude::*;

pub struct User {
    pub id: i64,
}

impl MessageHooks for User {}
