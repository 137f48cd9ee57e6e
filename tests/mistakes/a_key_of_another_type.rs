//! The macro is told another type than the field has.
//~ error[E0308]: mismatched types
//~ expected `&i64`, found `&i32`
//~ User { id: i64 }

pub struct User {
    pub id: i32,
}

ai_engine::record! { User { id: i64 } as "User" }
