//! SQLite: WAL, one writer at a time, readers beside it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::sql_types::{Integer, Nullable, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use tokio::sync::Semaphore;

use super::access::Access;
use super::database::{Connections, Database, Pooled, host_work, these};
use super::hosts_work::hosts_work;
use super::job::Job;
use super::session::{Conn, Session, transaction, within};
use super::sqlite_url::{MEMORY, Target};
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
    for_the_host: Arc<Semaphore>,
    /// The connections are the host's, as they are.
    hosts: Option<Arc<HostsPool>>,
}

/// What is known of the host's pool.
#[derive(Debug, Default)]
struct HostsPool {
    /// Its connections lead to one database, or there is one of them.
    is_one_database: AtomicBool,
    /// Whether they wait for locks by themselves: looked at once, since a host sets them up alike.
    are_patient: OnceLock<bool>,
}

/// Connections of a file opened by [`SqliteDatabase::open`].
const CONNECTIONS: u32 = 4;
/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl SqliteDatabase {
    /// Opens or creates a database file: a path; or a URL, `sqlite://PATH?mode=…` or SQLite's own `file:PATH?mode=…`,
    /// whose percent-escapes are decoded.
    ///
    /// `mode` is `rwc` (the default: create the file if need be), `rw`, `ro` or `memory`. `:memory:`, `mode=memory` and
    /// their like are [`in_memory`](Self::in_memory). `cache=private` passes as well (in memory also `cache=shared`), and
    /// in a `file:` URL `vfs`, `psow`, `nolock`, `immutable` and `modeof`, which SQLite reads. Any other parameter is refused by
    /// name.
    ///
    /// Connections use WAL, `synchronous=NORMAL` (a power cut may take the last commits back, a crash of
    /// the process never; give a pool of your own for `FULL`), enforced foreign keys and a busy timeout
    /// of 10 s.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] naming what cannot be opened or is not understood.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        match Target::of(path.as_ref())? {
            Target::Memory => Self::in_memory(),
            Target::File { name, path, read_only } => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let advice = match folder.filter(|folder| !folder.is_dir()) {
                    Some(folder) => format!("; there is no folder {}: create it", folder.display()),
                    None if !path.exists() => "; there is no such file".to_owned(),
                    None => String::new(),
                };
                Self::build(&name, CONNECTIONS, read_only, &advice)
            }
        }
    }

    /// A database in memory. It ends with the last clone of this value.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] when SQLite cannot allocate it.
    pub fn in_memory() -> Result<Self> {
        // Each connection to `:memory:` is a database of its own, so there is one, and it is never closed.
        Self::build(MEMORY, 1, false, "")
    }

    fn build(name: &str, size: u32, read_only: bool, advice: &str) -> Result<Self> {
        let prepare = Prepare { read_only };
        let connect = |error: &dyn std::fmt::Display| {
            Error::Connection(format!("the SQLite database {name:?}: {error}{advice}"))
        };
        // A first connection by hand: its error says what is wrong; the pool's would be a timeout.
        let mut first = SqliteConnection::establish(name).map_err(|error| connect(&error))?;
        prepare.run(&mut first).map_err(|error| connect(&error))?;
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .connection_timeout(BUSY_TIMEOUT)
            .connection_customizer(Box::new(prepare))
            .build(ConnectionManager::new(name))
            .map_err(|error| connect(&error))?;
        Ok(Self::on(pool, None))
    }

    /// Uses the host's own pool. Its connections keep the host's pragmas; WAL is recommended. A connection that does not wait for
    /// locks (`busy_timeout = 0`) waits for up to 10 s while the engine uses it.
    ///
    /// A pool of more than one connection to a database in memory is refused with the first use, by
    /// [`Error::Connection`]: each connection would be a database of its own, or, with a shared cache, fail beside another.
    #[must_use]
    pub fn from_pool(pool: Pool<ConnectionManager<SqliteConnection>>) -> Self {
        Self::on(pool, Some(Arc::default()))
    }

    fn on(pool: Pool<ConnectionManager<SqliteConnection>>, hosts: Option<Arc<HostsPool>>) -> Self {
        let pooled = Pooled::new(pool);
        let size = pooled.size();
        Self {
            pooled,
            readers: Arc::new(Semaphore::new(size)),
            writer: Arc::new(Semaphore::new(1)),
            for_the_host: Arc::new(Semaphore::new(if size > 2 { size - 1 } else { size })),
            hosts,
        }
    }
}

hosts_work! {
    SqliteDatabase, Sqlite(SqliteConnection), named "SQLite";
    transaction {
        /// One write transaction (`BEGIN IMMEDIATE`) on a blocking thread: commits on `Ok`, rolls back on `Err` and on a panic,
        /// and is never left half-way when the future is dropped.
    } {
        /// What only reads had better be a [`read`](Self::read), which waits for no writer.
    }
    read {
        /// [`transaction`](Self::transaction) that only reads: all statements see the database at one moment, none waits for a
        /// writer, and SQLite refuses to write.
    }
}

impl Database for SqliteDatabase {
    type Connection = SqliteConnection;
}

#[async_trait]
impl Connections for SqliteDatabase {
    async fn once(&self, access: Access, job: Job) -> (Result<()>, Option<Job>) {
        let writes = !matches!(access, Access::Read | Access::HostRead);
        // Whoever waits must not hold what is needed for it to go on.
        let needed = [
            (&self.for_the_host, access.is_of_the_host()),
            (&self.writer, writes),
            (&self.readers, true),
        ];
        let hosts = self.hosts.clone();
        let size = self.pooled.size();
        let impatient = Arc::new(AtomicBool::new(false));
        let made_patient = Arc::clone(&impatient);
        let begin = move |conn: &mut SqliteConnection, job: &mut Job| {
            if let Some(hosts) = hosts {
                made_patient.store(hosts.make_patient(conn)?, Ordering::SeqCst);
                hosts.refuse_several_databases(conn, size)?;
            }
            match access {
                Access::Read => job.run(conn),
                Access::HostRead => snapshot(conn, job),
                _ => transaction(conn, |session| job.run(session)),
            }
        };
        let after = move |conn: &mut SqliteConnection| {
            let mut restore = Vec::new();
            if access == Access::HostRead {
                restore.push("PRAGMA query_only = 0");
            }
            if impatient.load(Ordering::SeqCst) {
                restore.push("PRAGMA busy_timeout = 0");
            }
            // It can fail on a connection that is lost, which the pool drops.
            let _ = restore.iter().try_for_each(|pragma| conn.batch_execute(pragma));
        };
        self.pooled.once(these(needed), job, begin, after).await
    }
}

/// Does the job in a transaction that only reads.
fn snapshot(conn: &mut SqliteConnection, job: &mut Job) -> Result<()> {
    conn.batch_execute("PRAGMA query_only = 1")?;
    within(|session| job.run(session), |work| conn.transaction(|conn| work(conn)))
}

#[derive(QueryableByName)]
struct Attached {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    file: Option<String>,
}

#[derive(QueryableByName)]
struct Timeout {
    #[diesel(sql_type = Integer)]
    timeout: i32,
}

impl HostsPool {
    fn refuse_several_databases(&self, conn: &mut SqliteConnection, size: usize) -> Result<()> {
        if size == 1 || self.is_one_database.load(Ordering::SeqCst) {
            return Ok(());
        }
        let attached: Vec<Attached> = diesel::sql_query("PRAGMA database_list").load(conn)?;
        let main = attached.into_iter().find(|attached| attached.name == "main");
        if main.and_then(|main| main.file).is_none_or(|file| file.is_empty()) {
            return Err(Error::Connection(format!(
                "the pool leads to a SQLite database in memory, and may have {size} connections, each with a database of its \
                 own or at odds with the others; give the pool a max_size of 1, or use SqliteDatabase::in_memory()"
            )));
        }
        self.is_one_database.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Has a connection wait for locks, if it would not; whether it would not.
    fn make_patient(&self, conn: &mut SqliteConnection) -> Result<bool> {
        let are_patient = match self.are_patient.get() {
            Some(known) => *known,
            None => {
                // Not a SELECT: that would read the schema, which may be locked.
                let now: Timeout = diesel::sql_query("PRAGMA busy_timeout").get_result(conn)?;
                *self.are_patient.get_or_init(|| now.timeout > 0)
            }
        };
        if !are_patient {
            conn.batch_execute(&format!("PRAGMA busy_timeout = {}", BUSY_TIMEOUT.as_millis()))?;
        }
        Ok(!are_patient)
    }
}

impl std::fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteDatabase").finish_non_exhaustive()
    }
}

/// How a connection of the engine's own is set up.
#[derive(Debug, Clone, Copy)]
struct Prepare {
    read_only: bool,
}

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Prepare {
    fn on_acquire(
        &self,
        conn: &mut SqliteConnection,
    ) -> std::result::Result<(), diesel::r2d2::Error> {
        self.run(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}

impl Prepare {
    fn run(self, conn: &mut SqliteConnection) -> diesel::QueryResult<()> {
        let busy = BUSY_TIMEOUT.as_millis();
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {busy}; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;"
        ))?;
        if self.read_only {
            // Whoever writes the file says how. Its first page shows whether it is a database at all.
            return conn.batch_execute("PRAGMA schema_version;");
        }
        // Processes that open a new file together fight over this one switch, and SQLite does not wait for
        // it: who loses finds the file switched already, or switches it at the next connection.
        match conn.batch_execute("PRAGMA journal_mode = WAL;") {
            Err(error) if error.to_string().contains("locked") => Ok(()),
            other => other,
        }
    }
}
