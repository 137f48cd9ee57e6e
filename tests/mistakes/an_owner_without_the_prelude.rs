//! The traits are implemented, and not in scope.
//~ error[E0599]: no method named `assistant_threads` found for reference `&User` in the current scope
//~ use ai_engine::Threadable;

use ai_engine::{AiEngine, AssistantThreads};

pub struct User {
    pub id: i64,
}

ai_engine::record! { User { id: i64 } as "User" }
impl ai_engine::MessageHooks for User {}
impl ai_engine::Threadable for User {}

pub fn threads(engine: &AiEngine, user: &User) -> AssistantThreads {
    user.assistant_threads(engine)
}
