//! PostgreSQL: a small pool, one connection of it kept for heartbeats.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel::connection::{AnsiTransactionManager, CacheSize, TransactionManager};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::{Connection, PgConnection};
use tokio::sync::Semaphore;

use super::access::Access;
use super::database::{Connections, Database, Pooled, host_work, these};
use super::hosts_work::hosts_work;
use super::job::Job;
use super::session::{Conn, Session, within};
use crate::error::{Error, Result};

/// A PostgreSQL database: a pool of the engine's own, or the host's.
///
/// Clones share their connections. One connection is reserved for heartbeats, so that a burst of work never costs a process its
/// runs. Of a pool of four or more, one is reserved for the engine's other work, however long the host's transactions take.
///
/// The engine's own transactions are `READ COMMITTED` whatever the database's default, and are repeated by themselves after
/// a deadlock. Those that wait for a lock of the host share a few of the connections, so that the lock delays nothing but what it
/// locks. A transaction that has waited for 30 s fails.
#[derive(Clone)]
pub struct PgDatabase {
    pooled: Pooled<PgConnection>,
    connections: Arc<Semaphore>,
    for_the_host: Arc<Semaphore>,
    /// For transactions of ours that met a lock.
    for_waiting: Arc<Semaphore>,
    listens_at: Option<Arc<str>>,
}

/// Connections of a pool opened by [`PgDatabase::connect`].
const CONNECTIONS: u32 = 4;
/// Longest time that a transaction of ours waits for one lock before it gives its connection back. From then on it waits in
/// a line of its own: those who wait for a lock of the host's have a few of the pool's connections, however many they are.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);
/// How long to try for a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

impl PgDatabase {
    /// A pool of 4 connections to `url` (`postgres://user@host/database`, or libpq's key=value form).
    /// Connections are made when they are first needed. One more hears what other processes write
    /// ([`listening_at`](Self::listening_at)).
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] when the pool cannot be built.
    pub fn connect(url: impl Into<String>) -> Result<Self> {
        let url = url.into();
        Ok(Self::build(url.clone(), Pool::builder())?.listening_at(url))
    }

    /// Has one connection to this address hear what other processes write (`LISTEN`): readers and workers then go on at once,
    /// where they would find it at their next look otherwise, after up to half a second. It must lead to the database itself or to
    /// a pooler in session mode; one that gives each transaction another connection lets nothing through, and then it is as without.
    /// [`connect`](Self::connect) has it already.
    ///
    /// Whoever writes tells it in the same transaction (`NOTIFY` on the channel `ai_engine`), whether somebody listens or not; a
    /// transaction of yours that has a `_in` method in it can therefore not be prepared for a two-phase commit.
    #[must_use]
    pub fn listening_at(mut self, url: impl Into<String>) -> Self {
        self.listens_at = Some(url.into().into());
        self
    }

    /// [`connect`](Self::connect), where a pooler stands in between that gives each transaction another connection of the
    /// server's, such as PgBouncer with `pool_mode = transaction`. Statements are not prepared in advance, since a prepared statement
    /// is known on one connection of the server only; so the server plans each statement anew.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_through_pooler(url: impl Into<String>) -> Result<Self> {
        Self::build(url.into(), Pool::builder().connection_customizer(Box::new(Unprepared)))
    }

    fn build(
        url: String,
        pool: diesel::r2d2::Builder<ConnectionManager<PgConnection>>,
    ) -> Result<Self> {
        let pool = pool
            .max_size(CONNECTIONS)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(CONNECTION_TIMEOUT)
            .build(ConnectionManager::new(url))
            .map_err(|error| Error::Connection(error.to_string()))?;
        Ok(Self::from_pool(pool))
    }

    /// Uses the host's own pool. Of two connections or more the engine reserves one for heartbeats. Behind a pooler such as
    /// PgBouncer the connections need `set_prepared_statement_cache_size(CacheSize::Disabled)`.
    #[must_use]
    pub fn from_pool(pool: Pool<ConnectionManager<PgConnection>>) -> Self {
        let pooled = Pooled::new(pool);
        let beside_heartbeats = (pooled.size() - 1).max(1);
        let for_the_host =
            if beside_heartbeats > 2 { beside_heartbeats - 1 } else { beside_heartbeats };
        Self {
            pooled,
            connections: Arc::new(Semaphore::new(beside_heartbeats)),
            for_the_host: Arc::new(Semaphore::new(for_the_host)),
            for_waiting: Arc::new(Semaphore::new((beside_heartbeats / 2).max(1))),
            listens_at: None,
        }
    }
}

hosts_work! {
    PgDatabase, Pg(PgConnection), named "PostgreSQL";
    transaction {
        /// One transaction on a blocking thread: commits on `Ok`, rolls back on `Err` and on a panic, and is
        /// never left half-way when the future is dropped.
    } {
        /// The isolation level is the database's (`default_transaction_isolation`); above `READ COMMITTED` it is up to you to
        /// repeat what could not be serialized.
    }
    read {
        /// [`transaction`](Self::transaction) that only reads: all statements see the database at one moment
        /// (`REPEATABLE READ READ ONLY`), and the database refuses to write.
    }
}

impl Database for PgDatabase {
    type Connection = PgConnection;
}

#[async_trait]
impl Connections for PgDatabase {
    async fn once(&self, access: Access, job: Job) -> (Result<()>, Option<Job>) {
        // Whoever waits for the first must not hold a connection.
        let needed = [
            (&self.for_the_host, access.is_of_the_host()),
            (&self.for_waiting, job.has_met_a_lock()),
            (&self.connections, access != Access::Heartbeat),
        ];
        let begin = move |conn: &mut PgConnection, job: &mut Job| match access {
            Access::Read => job.run(conn),
            Access::Write | Access::Prompt | Access::Heartbeat => transaction(conn, &ours(), job),
            Access::HostRead => {
                transaction(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", job)
            }
            Access::HostWrite => transaction(conn, "BEGIN", job),
        };
        self.pooled.once(these(needed), job, begin, |_| {}).await
    }

    fn listens_at(&self) -> Option<Arc<str>> {
        self.listens_at.clone()
    }
}

/// How a transaction of ours begins, in one message to the server.
fn ours() -> String {
    let wait = LOCK_TIMEOUT.as_millis();
    format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {wait}")
}

/// Does the job in a transaction that begins with `begin`.
fn transaction(conn: &mut PgConnection, begin: &str, job: &mut Job) -> Result<()> {
    within(
        |session| job.run(session),
        |work| {
            AnsiTransactionManager::begin_transaction_sql(conn, begin)?;
            match work(conn) {
                Ok(()) => Ok(AnsiTransactionManager::commit_transaction(conn)?),
                Err(error) => {
                    // If it fails, the connection is one that the pool drops.
                    let _ = AnsiTransactionManager::rollback_transaction(conn);
                    Err(error)
                }
            }
        },
    )
}

#[derive(Debug)]
struct Unprepared;

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Unprepared {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        Ok(())
    }
}

impl std::fmt::Debug for PgDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgDatabase").finish_non_exhaustive()
    }
}
