//! The database: SQLite or PostgreSQL, as `DATABASE_URL` says when the app starts.

use ai_engine::SqliteDatabase;
#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// A handle of it; the engine uses the same connections.
#[derive(Clone, Debug)]
pub(crate) enum Db {
    Sqlite(SqliteDatabase),
    #[cfg(feature = "postgres")]
    Postgres(ai_engine::PgDatabase),
}

impl Db {
    pub(crate) fn open(url: &str) -> ai_engine::Result<Self> {
        if !url.starts_with("postgres") {
            return SqliteDatabase::open(url).map(Self::Sqlite);
        }
        #[cfg(feature = "postgres")]
        return ai_engine::PgDatabase::connect(url).map(Self::Postgres);
        #[cfg(not(feature = "postgres"))]
        Err(ai_engine::Error::host("for a postgres:// URL build this with --features postgres"))
    }

    /// Makes the app's own tables; the engine makes its own. Processes that start together wait for each other: on SQLite a
    /// transaction of the engine's is the only writer, on PostgreSQL a lock says so.
    pub(crate) async fn migrate(&self) -> ai_engine::Result<()> {
        let failed = |error: ai_engine::BoxError| ai_engine::Error::host(error);
        match self {
            Self::Sqlite(db) => {
                db.transaction(move |conn| {
                    conn.run_pending_migrations(SQLITE).map(drop).map_err(failed)
                })
                .await
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(db) => {
                db.transaction(move |conn| {
                    conn.batch_execute("SELECT pg_advisory_xact_lock(20261128)")?;
                    conn.run_pending_migrations(POSTGRES).map(drop).map_err(failed)
                })
                .await
            }
        }
    }
}

/// Work in one write transaction, compiled for each of the databases: inside, `?` takes errors of Diesel's and the engine's, and the
/// last expression is the value.
macro_rules! transaction {
    ($db:expr, |$conn:ident| $work:expr) => {
        $crate::database::on!($db, transaction, |$conn| $work)
    };
}
pub(crate) use transaction;

/// The same for what only reads: it waits for no writer.
macro_rules! read {
    ($db:expr, |$conn:ident| $work:expr) => {
        $crate::database::on!($db, read, |$conn| $work)
    };
}
pub(crate) use read;

macro_rules! on {
    ($db:expr, $verb:ident, |$conn:ident| $work:expr) => {
        match &$db {
            $crate::database::Db::Sqlite(db) => {
                db.$verb(move |$conn| -> ai_engine::Result<_> { Ok($work) }).await
            }
            #[cfg(feature = "postgres")]
            $crate::database::Db::Postgres(db) => {
                db.$verb(move |$conn| -> ai_engine::Result<_> { Ok($work) }).await
            }
        }
    };
}
pub(crate) use on;
