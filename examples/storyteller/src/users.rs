//! Users: the owners of threads and chats.

use ai_engine::prelude::*;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::users;

#[derive(Clone, Debug, Queryable, Selectable)]
pub(crate) struct User {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) created_at: NaiveDateTime,
}

ai_engine::record! { User { id: i32 } as "User" }

// The pages follow the engine's events; no hook is needed.
impl MessageHooks for User {}
impl Threadable for User {}
impl Chattable for User {}
