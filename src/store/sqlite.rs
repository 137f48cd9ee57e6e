//! SQLite: WAL, one writer at a time, readers beside it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::{Connection, SqliteConnection};
use tokio::sync::Semaphore;

use super::database::{Access, Connections, Database, Job, Pooled, permit, run, take};
use super::session::{Conn, Session, transaction};
use crate::error::{Error, Result};

/// A SQLite database: a file of the engine's own opening, or the host's pool.
///
/// Clones share their connections. Every write of the engine is one `BEGIN IMMEDIATE` transaction, and
/// only one runs at a time per `SqliteDatabase`, so concurrent runs wait for each other in order and
/// none fails with "database is locked".
///
/// # Your own transactions
///
/// A SQLite transaction that reads first and writes later fails at once when somebody else wrote in
/// between. Use [`transaction`](Self::transaction), or `conn.immediate_transaction(…)` on a connection of
/// your own.
#[derive(Clone)]
pub struct SqliteDatabase {
    pooled: Pooled<SqliteConnection>,
    readers: Arc<Semaphore>,
    writer: Arc<Semaphore>,
}

/// Connections of a file opened by [`SqliteDatabase::open`].
const CONNECTIONS: u32 = 4;
/// SQLite's name for a database in memory.
const MEMORY: &str = ":memory:";
/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl SqliteDatabase {
    /// Opens or creates a database file: a path, with or without the scheme `sqlite://`.
    ///
    /// Connections use WAL, `synchronous=NORMAL` (a power cut may take the last commits back, a crash of
    /// the process never; give a pool of your own for `FULL`), enforced foreign keys and a busy timeout
    /// of 10 s. `:memory:` is [`in_memory`](Self::in_memory).
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] naming the path when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_string_lossy().into_owned();
        let path = path
            .strip_prefix("sqlite://")
            .or_else(|| path.strip_prefix("sqlite:"))
            .unwrap_or(&path);
        if let Some((scheme, _)) = path.split_once("://") {
            return Err(Error::Connection(format!(
                "{scheme}:// is no SQLite file; give a path, or sqlite://path"
            )));
        }
        if path.is_empty() {
            return Err(Error::Connection("the path of the SQLite file is empty".to_owned()));
        }
        if path == MEMORY {
            return Self::in_memory();
        }
        Self::build(path, CONNECTIONS)
    }

    /// A database in memory, gone with its last clone.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] when SQLite cannot allocate it.
    pub fn in_memory() -> Result<Self> {
        // Each connection to `:memory:` is a database of its own, so there is one, and it is never closed.
        Self::build(MEMORY, 1)
    }

    fn build(path: &str, size: u32) -> Result<Self> {
        // A first connection by hand: its error says what is wrong; the pool's would be a timeout.
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
        let advice = match folder.filter(|folder| !folder.is_dir()) {
            Some(folder) => format!("; there is no folder {}: create it", folder.display()),
            None => String::new(),
        };
        let connect = |error: &dyn std::fmt::Display| {
            Error::Connection(format!("SQLite database {path:?}: {error}{advice}"))
        };
        let mut first = SqliteConnection::establish(path).map_err(|error| connect(&error))?;
        prepare(&mut first).map_err(|error| connect(&error))?;
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .connection_timeout(BUSY_TIMEOUT)
            .connection_customizer(Box::new(Prepare))
            .build(ConnectionManager::new(path))
            .map_err(|error| connect(&error))?;
        Ok(Self::from_pool(pool))
    }

    /// Uses the host's own pool. Its connections keep the host's pragmas; we recommend WAL and a busy
    /// timeout of some seconds.
    #[must_use]
    pub fn from_pool(pool: Pool<ConnectionManager<SqliteConnection>>) -> Self {
        let size = pool.max_size().max(1) as usize;
        Self {
            pooled: Pooled::new(pool),
            readers: Arc::new(Semaphore::new(size)),
            writer: Arc::new(Semaphore::new(1)),
        }
    }

    /// One write transaction on a blocking thread: commits on `Ok`, rolls back on `Err` and on a panic,
    /// and is never left half-way when the future is dropped.
    ///
    /// # Errors
    ///
    /// Whatever `work` returns (wrap your own errors with [`Error::host`]), [`Error::Connection`],
    /// [`Error::Database`] when the commit fails, [`Error::Panicked`].
    pub async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
    {
        let work = move |session: &mut dyn Session| match session.conn() {
            Conn::Sqlite(conn) => work(conn),
            #[cfg(feature = "postgres")]
            Conn::Pg(_) => Err(Error::Connection("not a SQLite connection".to_owned())),
        };
        run(self, Access::Write, work).await
    }
}

impl Database for SqliteDatabase {
    type Connection = SqliteConnection;
}

#[async_trait]
impl Connections for SqliteDatabase {
    async fn run(&self, access: Access, job: Job) -> Result<()> {
        if access == Access::Read {
            let permits = vec![permit(&self.readers).await?];
            return self.pooled.run(permits, job, |conn, job| take(job, conn)).await;
        }
        // The gate first: whoever waits for it must not hold a connection that its holder needs.
        let gate = permit(&self.writer).await?;
        let permits = vec![gate, permit(&self.readers).await?];
        self.pooled
            .run(permits, job, |conn, job| transaction(conn, |session| take(job, session)))
            .await
    }
}

impl std::fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteDatabase").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Prepare;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Prepare {
    fn on_acquire(
        &self,
        conn: &mut SqliteConnection,
    ) -> std::result::Result<(), diesel::r2d2::Error> {
        prepare(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}

fn prepare(conn: &mut SqliteConnection) -> diesel::QueryResult<()> {
    let busy = BUSY_TIMEOUT.as_millis();
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {busy}; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;"
    ))?;
    // Processes that open a new file together fight over this one switch, and SQLite does not wait for
    // it: who loses finds the file switched already, or switches it at the next connection.
    match conn.batch_execute("PRAGMA journal_mode = WAL;") {
        Err(error) if error.to_string().contains("locked") => Ok(()),
        other => other,
    }
}
