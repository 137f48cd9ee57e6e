//! The statements of a pool's connections.

use std::sync::{Arc, Mutex};

use ai_engine::{AiEngine, EngineBuilder};
use diesel::connection::InstrumentationEvent;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};

use super::{Host, Raw, TestDatabase};

/// Notes each statement of a pool's connections.
#[derive(Debug, Clone, Default)]
pub struct Watched(Arc<Mutex<Vec<String>>>);

impl<C: diesel::Connection> CustomizeConnection<C, diesel::r2d2::Error> for Watched {
    fn on_acquire(&self, conn: &mut C) -> Result<(), diesel::r2d2::Error> {
        let noted = Arc::clone(&self.0);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                noted.lock().unwrap().push(query.to_string());
            }
        });
        Ok(())
    }
}

impl Watched {
    pub fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    /// All but pragmas: connections that do not wait for locks are made to by one before and one after, and nothing is read by it.
    pub fn statements(&self) -> Vec<String> {
        let mut statements = self.0.lock().unwrap().clone();
        statements.retain(|sql| !sql.contains("PRAGMA"));
        statements
    }

    /// What reads our tables.
    pub fn reads(&self) -> Vec<String> {
        let mut statements = self.statements();
        statements.retain(|sql| sql.contains("SELECT") && sql.contains("ai_engine_"));
        statements
    }
}

/// Another process on the same database, whose statements are watched. It drives nothing.
pub fn watched<D: TestDatabase + Raw>(host: &Host<D>) -> (AiEngine, Watched) {
    watched_with(host, |builder| builder)
}

/// The same, of an engine with more to it.
pub fn watched_with<D: TestDatabase + Raw>(
    host: &Host<D>,
    configure: impl FnOnce(EngineBuilder<D::Database>) -> EngineBuilder<D::Database>,
) -> (AiEngine, Watched) {
    let watched = Watched::default();
    let pool = Pool::builder().max_size(4).connection_customizer(Box::new(watched.clone()));
    let pool = pool.build(ConnectionManager::<D::Conn>::new(host.db.url())).unwrap();
    let builder = D::owners(AiEngine::builder(D::from_pool(pool)));
    (configure(builder).build().unwrap(), watched)
}
