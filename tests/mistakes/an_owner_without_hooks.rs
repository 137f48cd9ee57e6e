//! An owner of threads that does not say what it hears of them.
//~ error[E0277]: `User` owns threads or chats, so it needs `impl MessageHooks for User {}`
//~ the hooks default to doing nothing

use ai_engine::prelude::*;

pub struct User {
    pub id: i64,
}

ai_engine::record! { User { id: i64 } as "User" }
impl Threadable for User {}
