//! A record whose name was left out.
//~ error: a record needs a name, which is stored in every row that belongs to it: `User { id: i64 } as "User"`

pub struct User {
    pub id: i64,
}

ai_engine::record! { User { id: i64 } }
