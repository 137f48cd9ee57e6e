//! The engine is forgotten.
//~ error[E0061]: this method takes 1 argument but 0 arguments were supplied
//~ argument #1 of type `&AiEngine` is missing

use ai_engine::{AssistantThreads, prelude::*};

pub struct User {
    pub id: i64,
}

ai_engine::record! { User { id: i64 } as "User" }
impl MessageHooks for User {}
impl Threadable for User {}

pub fn threads(user: &User) -> AssistantThreads {
    user.assistant_threads()
}
