//! The pool's guard instead of the connection in it.
//~ error[E0277]: `PooledConnection<ConnectionManager<SqliteConnection>>` is not a connection that ai-engine knows
//~ of a pooled connection pass what is in it: `&mut *pooled`

use ai_engine::{AiEngine, AssistantThread, Role};
use diesel::SqliteConnection;
use diesel::r2d2::{ConnectionManager, PooledConnection};

pub fn say(
    engine: &AiEngine,
    thread: &AssistantThread,
    mut conn: PooledConnection<ConnectionManager<SqliteConnection>>,
) {
    let _ = thread.messages(engine).create_in(&mut conn, Role::User, "Hi");
}
