//! The host's own connections, transactions and pools, as Diesel's types.

use std::future::Future;

use ai_engine::{Error, Result, Session, SqliteDatabase};
use diesel::connection::{AnsiTransactionManager, SimpleConnection};
use diesel::migration::MigrationConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, R2D2Connection};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

use super::{HostConnection, Sqlite, TestDatabase};

/// What a host does beside the engine on a database of its own.
pub trait Raw: TestDatabase {
    type Backend: diesel::backend::Backend;
    type Conn: HostConnection
        + Session
        + Connection<Backend = Self::Backend, TransactionManager = AnsiTransactionManager>
        + R2D2Connection
        + MigrationConnection
        + MigrationHarness<Self::Backend>
        + Send
        + 'static;

    /// The folder of our migrations.
    const MIGRATIONS: &'static str;
    /// Our tables.
    const TABLES: &'static str;
    /// Makes a connection one that does not enforce foreign keys.
    const UNENFORCED: &'static str;
    /// Makes a connection one that waits for others' locks.
    const PATIENT: &'static str;

    /// Another engine's view of the same database, as another process would open it.
    fn open(url: &str) -> Self::Database;

    fn from_pool(pool: Pool<ConnectionManager<Self::Conn>>) -> Self::Database;

    /// The engine's transaction for hosts.
    fn transaction<T: Send + 'static>(
        database: &Self::Database,
        work: impl FnOnce(&mut Self::Conn) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;

    /// The same with an error of the host's.
    fn transact<T: Send + 'static, E: From<Error> + Send + 'static>(
        database: &Self::Database,
        work: impl FnOnce(&mut Self::Conn) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>> + Send;

    /// The engine's way for hosts to read.
    fn read<T: Send + 'static, E: From<Error> + Send + 'static>(
        database: &Self::Database,
        work: impl FnOnce(&mut Self::Conn) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>> + Send;

    /// A host's transaction on a connection of its own.
    fn begin<T>(
        conn: &mut Self::Conn,
        work: impl FnOnce(&mut Self::Conn) -> Result<T>,
    ) -> Result<T>;

    /// The host's own migrations, as the guide says for processes that start together.
    fn migrate_the_host(conn: &mut Self::Conn, migrations: FileBasedMigrations);

    /// Returns once a transaction waits for another's lock, where that can be seen.
    fn until_one_waits(&self);

    /// A connection as Diesel makes it.
    fn bare(&self) -> Self::Conn {
        Self::Conn::establish(self.url()).unwrap()
    }

    fn connect(&self) -> Self::Conn {
        let mut conn = self.bare();
        conn.batch_execute(Self::PATIENT).unwrap();
        conn
    }

    /// A pool of the host's, its connections prepared with some SQL.
    fn pool(&self, size: u32, prepare: &'static str) -> Pool<ConnectionManager<Self::Conn>> {
        Pool::builder()
            .max_size(size)
            .connection_customizer(Box::new(Prepare(prepare)))
            .build(ConnectionManager::new(self.url()))
            .unwrap()
    }

    /// Our tables that have rows, and how many.
    fn ours(&self) -> Vec<String> {
        self.with(ours::<Self>)
    }
}

pub fn ours<D: Raw>(conn: &mut dyn HostConnection) -> Vec<String> {
    let mut ours = Vec::new();
    for table in conn.texts(D::TABLES) {
        if table == "ai_engine_schema_migrations" {
            continue;
        }
        match conn.number(&format!("SELECT count(*) FROM {table}")) {
            0 => {}
            count => ours.push(format!("{table}: {count}")),
        }
    }
    ours
}

#[derive(Debug)]
struct Prepare(&'static str);

impl<C: SimpleConnection> CustomizeConnection<C, diesel::r2d2::Error> for Prepare {
    fn on_acquire(&self, conn: &mut C) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(self.0).map_err(diesel::r2d2::Error::QueryError)
    }
}

impl Raw for Sqlite {
    type Backend = diesel::sqlite::Sqlite;
    type Conn = SqliteConnection;

    const MIGRATIONS: &'static str = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    const TABLES: &'static str = "SELECT name AS line FROM sqlite_master \
        WHERE type = 'table' AND name LIKE 'ai\\_engine\\_%' ESCAPE '\\' ORDER BY 1";
    const UNENFORCED: &'static str = "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF";
    const PATIENT: &'static str = "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON";

    fn open(url: &str) -> SqliteDatabase {
        SqliteDatabase::open(url).unwrap()
    }

    fn from_pool(pool: Pool<ConnectionManager<SqliteConnection>>) -> SqliteDatabase {
        SqliteDatabase::from_pool(pool)
    }

    fn transact<T: Send + 'static, E: From<Error> + Send + 'static>(
        database: &SqliteDatabase,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>> + Send {
        database.transaction(work)
    }

    fn read<T: Send + 'static, E: From<Error> + Send + 'static>(
        database: &SqliteDatabase,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>> + Send {
        database.read(work)
    }

    fn transaction<T: Send + 'static>(
        database: &SqliteDatabase,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send {
        database.transaction(work)
    }

    fn begin<T>(
        conn: &mut SqliteConnection,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T>,
    ) -> Result<T> {
        conn.immediate_transaction::<T, Error, _>(work)
    }

    fn migrate_the_host(conn: &mut SqliteConnection, migrations: FileBasedMigrations) {
        conn.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
        conn.exclusive_transaction(|conn| conn.run_pending_migrations(migrations).map(|_| ()))
            .unwrap();
    }

    /// SQLite's transactions wait at their beginning, unseen.
    fn until_one_waits(&self) {}
}

#[cfg(feature = "postgres")]
mod pg {
    use ai_engine::PgDatabase;

    use super::super::Postgres;
    use super::*;

    impl Raw for Postgres {
        type Backend = diesel::pg::Pg;
        type Conn = PgConnection;

        const MIGRATIONS: &'static str =
            concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        const TABLES: &'static str = "SELECT CAST(tablename AS TEXT) AS line FROM pg_tables \
            WHERE tablename LIKE 'ai\\_engine\\_%' ORDER BY 1";
        const UNENFORCED: &'static str = "SET session_replication_role = replica";
        const PATIENT: &'static str = "SET lock_timeout = 0";

        fn open(url: &str) -> PgDatabase {
            PgDatabase::connect(url).unwrap()
        }

        fn from_pool(pool: Pool<ConnectionManager<PgConnection>>) -> PgDatabase {
            PgDatabase::from_pool(pool)
        }

        fn transact<T: Send + 'static, E: From<Error> + Send + 'static>(
            database: &PgDatabase,
            work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
        ) -> impl Future<Output = Result<T, E>> + Send {
            database.transaction(work)
        }

        fn read<T: Send + 'static, E: From<Error> + Send + 'static>(
            database: &PgDatabase,
            work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
        ) -> impl Future<Output = Result<T, E>> + Send {
            database.read(work)
        }

        fn transaction<T: Send + 'static>(
            database: &PgDatabase,
            work: impl FnOnce(&mut PgConnection) -> Result<T> + Send + 'static,
        ) -> impl Future<Output = Result<T>> + Send {
            database.transaction(work)
        }

        fn begin<T>(
            conn: &mut PgConnection,
            work: impl FnOnce(&mut PgConnection) -> Result<T>,
        ) -> Result<T> {
            Connection::transaction::<T, Error, _>(conn, work)
        }

        fn migrate_the_host(conn: &mut PgConnection, migrations: FileBasedMigrations) {
            conn.batch_execute("SELECT pg_advisory_lock(20261125)").unwrap();
            let result = conn.run_pending_migrations(migrations).map(|_| ());
            conn.batch_execute("SELECT pg_advisory_unlock(20261125)").unwrap();
            result.unwrap();
        }

        fn until_one_waits(&self) {
            self.until_waiting(1);
        }
    }

    impl Postgres {
        /// Returns once so many connections wait for locks.
        pub fn until_waiting(&self, count: i64) {
            let mut conn = self.connect();
            while conn.number(
                "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            ) < count
            {
                std::thread::yield_now();
            }
        }
    }
}
