//! A fresh database for a benchmark.

/// A SQLite file in a folder that goes with it.
pub fn sqlite() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("benchmark.sqlite3");
    (folder, path.to_string_lossy().into_owned())
}

/// A PostgreSQL database, dropped at the end.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub struct Postgres {
    server: String,
    name: String,
    pub url: String,
}

#[cfg(feature = "postgres")]
impl Postgres {
    /// `None` when `AI_ENGINE_TEST_POSTGRES` names no server.
    pub fn fresh() -> Option<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};

        use diesel::connection::SimpleConnection;
        use diesel::{Connection, PgConnection};

        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("AI_ENGINE_TEST_POSTGRES").ok()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ai_engine_bench_{}_{number}", std::process::id());
        let mut conn = PgConnection::establish(&server).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        Some(Self { server, name, url })
    }
}

#[cfg(feature = "postgres")]
impl Drop for Postgres {
    fn drop(&mut self) {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, PgConnection};

        if let Ok(mut conn) = PgConnection::establish(&self.server) {
            let _ = conn.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}
