//! A fresh database per test.

use std::sync::Arc;

use ai_engine::{Database, EngineBuilder, Session, SqliteDatabase};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{Storyteller, User, storytellers, users};

const HOST_TABLES: &str = "
    CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL);
    CREATE TABLE storytellers (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL);";

/// What a test needs of a database beyond what the engine does.
pub trait TestDatabase: Clone + Send + Sync + 'static {
    type Database: Database;

    /// The database as the engine takes it.
    fn database(&self) -> Self::Database;
    /// Registers the owners.
    fn owners(builder: EngineBuilder<Self::Database>) -> EngineBuilder<Self::Database>;
    /// Work on a connection of its own, outside the engine's pool.
    fn with<T>(&self, work: impl FnOnce(&mut dyn HostConnection) -> T) -> T;

    /// One more, empty but for the host's tables.
    fn another(&self) -> Self;

    /// Where another process finds it: a path or a URL.
    fn url(&self) -> &str;

    /// One number.
    fn number(&self, sql: &str) -> i64 {
        self.with(|conn| conn.number(sql))
    }

    /// One column of text.
    fn texts(&self, sql: &str) -> Vec<String> {
        self.with(|conn| conn.texts(sql))
    }

    fn execute(&self, sql: &str) {
        self.with(|conn| conn.execute(sql));
    }

    /// The rows of a table as text, all columns of each.
    fn rows(&self, table: &str) -> Vec<String>;
}

/// A connection as the host uses it.
pub trait HostConnection {
    fn session(&mut self) -> &mut dyn Session;
    fn execute(&mut self, sql: &str) {
        self.try_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn try_execute(&mut self, sql: &str) -> QueryResult<()>;
    fn number(&mut self, sql: &str) -> i64;
    fn texts(&mut self, sql: &str) -> Vec<String>;
    /// Our rows, selected as a host would.
    fn runs(&mut self) -> Vec<ai_engine::Run>;
    fn messages(&mut self) -> Vec<ai_engine::Message>;
    fn assistants(&mut self) -> Vec<ai_engine::Assistant>;
    fn insert_storyteller(&mut self, storyteller: &Storyteller) -> QueryResult<()>;
    /// A transaction as the host begins it: `BEGIN IMMEDIATE` on SQLite.
    fn transaction(
        &mut self,
        work: &mut dyn FnMut(&mut dyn HostConnection) -> Result<(), ai_engine::Error>,
    ) -> Result<(), ai_engine::Error>;
    /// Whether a writer could begin now: nobody holds a transaction open.
    fn nobody_is_in_a_transaction(&mut self) -> bool;
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

macro_rules! host_connection {
    ($connection:ty, $begin:path, $free:expr) => {
        impl HostConnection for $connection {
            fn session(&mut self) -> &mut dyn Session {
                self
            }

            fn try_execute(&mut self, sql: &str) -> QueryResult<()> {
                self.batch_execute(sql)
            }

            fn number(&mut self, sql: &str) -> i64 {
                let sql = format!("SELECT CAST(({sql}) AS BIGINT) AS number");
                diesel::sql_query(&sql)
                    .get_result::<Number>(self)
                    .unwrap_or_else(|e| panic!("{sql}: {e}"))
                    .number
            }

            fn texts(&mut self, sql: &str) -> Vec<String> {
                let lines = diesel::sql_query(sql)
                    .load::<Line>(self)
                    .unwrap_or_else(|e| panic!("{sql}: {e}"));
                lines.into_iter().map(|line| line.line).collect()
            }

            fn runs(&mut self) -> Vec<ai_engine::Run> {
                use ai_engine::schema::ai_engine_runs::dsl as runs;
                let all = runs::ai_engine_runs.select(ai_engine::Run::as_select());
                all.order(runs::id).load(self).unwrap()
            }

            fn assistants(&mut self) -> Vec<ai_engine::Assistant> {
                use ai_engine::schema::ai_engine_assistants::dsl as assistants;
                let all =
                    assistants::ai_engine_assistants.select(ai_engine::Assistant::as_select());
                all.order(assistants::id).load(self).unwrap()
            }

            fn messages(&mut self) -> Vec<ai_engine::Message> {
                use ai_engine::schema::ai_engine_messages::dsl as messages;
                let all = messages::ai_engine_messages.select(ai_engine::Message::as_select());
                all.order(messages::id).load(self).unwrap()
            }

            fn insert_storyteller(&mut self, storyteller: &Storyteller) -> QueryResult<()> {
                diesel::insert_into(storytellers::table)
                    .values(storyteller)
                    .execute(self)
                    .map(|_| ())
            }

            fn transaction(
                &mut self,
                work: &mut dyn FnMut(&mut dyn HostConnection) -> Result<(), ai_engine::Error>,
            ) -> Result<(), ai_engine::Error> {
                $begin(self, |conn| work(conn))
            }

            fn nobody_is_in_a_transaction(&mut self) -> bool {
                let free: fn(&mut $connection) -> bool = $free;
                free(self)
            }
        }
    };
}
host_connection!(SqliteConnection, SqliteConnection::immediate_transaction, |conn| {
    conn.batch_execute("PRAGMA busy_timeout = 2000; BEGIN IMMEDIATE; ROLLBACK").is_ok()
});

/// A SQLite file of its own.
#[derive(Clone)]
pub struct Sqlite {
    database: SqliteDatabase,
    path: String,
    _folder: Arc<tempfile::TempDir>,
}

impl Sqlite {
    pub fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite3").to_string_lossy().into_owned();
        let database = SqliteDatabase::open(&path).unwrap();
        let fresh = Self { database, path, _folder: Arc::new(folder) };
        fresh.execute(HOST_TABLES);
        fresh
    }
}

impl TestDatabase for Sqlite {
    type Database = SqliteDatabase;

    fn database(&self) -> SqliteDatabase {
        self.database.clone()
    }

    fn another(&self) -> Self {
        Self::fresh()
    }

    fn rows(&self, table: &str) -> Vec<String> {
        let columns = format!(
            "SELECT group_concat('coalesce(quote(\"' || name || '\"), '''')', ' || '' '' || ') AS line \
             FROM pragma_table_info('{table}')"
        );
        let columns = self.texts(&columns).remove(0);
        self.texts(&format!("SELECT {columns} AS line FROM {table} ORDER BY id"))
    }

    fn url(&self) -> &str {
        &self.path
    }

    fn owners(builder: EngineBuilder<SqliteDatabase>) -> EngineBuilder<SqliteDatabase> {
        builder.owner::<User>(|conn, id| {
            users::table.find(id).select(User::as_select()).first(conn).optional()
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut dyn HostConnection) -> T) -> T {
        let mut conn = SqliteConnection::establish(&self.path).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        work(&mut conn)
    }
}

#[cfg(feature = "postgres")]
pub use pg::Postgres;

#[cfg(feature = "postgres")]
mod pg {
    use std::sync::atomic::{AtomicU32, Ordering};

    use ai_engine::PgDatabase;

    use super::*;

    host_connection!(PgConnection, Connection::transaction, |conn| {
        // As patient as the check on SQLite: other tasks may be in short transactions of their own, while one that is
        // open during a call stays open until the call is answered.
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        (0..100).any(|_| {
            let free = conn.number(open) == 0;
            if !free {
                conn.execute("SELECT pg_sleep(0.02)");
            }
            free
        })
    });

    /// A PostgreSQL database of its own, dropped at the end.
    #[derive(Clone)]
    pub struct Postgres {
        database: PgDatabase,
        url: String,
        _drop: Arc<DropDatabase>,
    }

    struct DropDatabase {
        server: String,
        name: String,
    }

    impl Drop for DropDatabase {
        fn drop(&mut self) {
            if let Ok(mut conn) = PgConnection::establish(&self.server) {
                let _ = conn
                    .batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
            }
        }
    }

    impl Postgres {
        /// `None`, with a line that says so, when there is no server.
        pub fn fresh() -> Option<Self> {
            let Ok(server) = std::env::var("AI_ENGINE_TEST_POSTGRES") else {
                eprintln!("skipped on PostgreSQL: AI_ENGINE_TEST_POSTGRES is not set");
                return None;
            };
            Some(Self::on(server))
        }

        /// A database of its own on this server.
        pub fn on(server: String) -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "ai_engine_{}_{}",
                std::process::id(),
                NUMBER.fetch_add(1, Ordering::Relaxed)
            );
            let mut conn = PgConnection::establish(&server).unwrap();
            conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
            let (base, _) = server.rsplit_once('/').unwrap();
            let url = format!("{base}/{name}");
            let database = PgDatabase::connect(url.clone()).unwrap();
            let fresh = Self { database, url, _drop: Arc::new(DropDatabase { server, name }) };
            fresh.execute(HOST_TABLES);
            fresh
        }
    }

    impl TestDatabase for Postgres {
        type Database = PgDatabase;

        fn database(&self) -> PgDatabase {
            self.database.clone()
        }

        fn another(&self) -> Self {
            Self::fresh().unwrap()
        }

        fn rows(&self, table: &str) -> Vec<String> {
            self.texts(&format!("SELECT CAST(t AS TEXT) AS line FROM {table} AS t ORDER BY id"))
        }

        fn url(&self) -> &str {
            &self.url
        }

        fn owners(builder: EngineBuilder<PgDatabase>) -> EngineBuilder<PgDatabase> {
            builder.owner::<User>(|conn, id| {
                users::table.find(id).select(User::as_select()).first(conn).optional()
            })
        }

        fn with<T>(&self, work: impl FnOnce(&mut dyn HostConnection) -> T) -> T {
            work(&mut PgConnection::establish(&self.url).unwrap())
        }
    }
}
