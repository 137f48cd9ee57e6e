//! PostgreSQL: a small pool, one connection of it kept for heartbeats.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use tokio::sync::Semaphore;

use super::database::{Access, Connections, Database, Job, Pooled, permit, run, take};
use super::session::{Conn, Session, transaction};
use crate::error::{Error, Result};

/// A PostgreSQL database: a pool of the engine's own, or the host's.
///
/// Clones share their connections. One connection is kept for heartbeats, so that a burst of work never
/// costs a process its runs.
#[derive(Clone)]
pub struct PgDatabase {
    pooled: Pooled<PgConnection>,
    connections: Arc<Semaphore>,
}

/// Connections of a pool opened by [`PgDatabase::connect`].
const CONNECTIONS: u32 = 4;
/// How long to try for a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

impl PgDatabase {
    /// A pool of 4 connections to `url` (`postgres://user@host/database`, or libpq's key=value form).
    /// Connections are made when they are first needed.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] when the pool cannot be built.
    pub fn connect(url: impl Into<String>) -> Result<Self> {
        let pool = Pool::builder()
            .max_size(CONNECTIONS)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(CONNECTION_TIMEOUT)
            .build(ConnectionManager::new(url))
            .map_err(|error| Error::Connection(error.to_string()))?;
        Ok(Self::from_pool(pool))
    }

    /// Uses the host's own pool, all of it but one connection at most, which heartbeats keep.
    #[must_use]
    pub fn from_pool(pool: Pool<ConnectionManager<PgConnection>>) -> Self {
        let beside_heartbeats = (pool.max_size().max(2) - 1) as usize;
        Self { pooled: Pooled::new(pool), connections: Arc::new(Semaphore::new(beside_heartbeats)) }
    }

    /// One transaction on a blocking thread: commits on `Ok`, rolls back on `Err` and on a panic, and is
    /// never left half-way when the future is dropped.
    ///
    /// # Errors
    ///
    /// Whatever `work` returns (wrap your own errors with [`Error::host`]), [`Error::Connection`],
    /// [`Error::Database`] when the commit fails, [`Error::Panicked`].
    pub async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T> + Send + 'static,
    {
        let work = move |session: &mut dyn Session| match session.conn() {
            Conn::Pg(conn) => work(conn),
            #[cfg(feature = "sqlite")]
            Conn::Sqlite(_) => Err(Error::Connection("not a PostgreSQL connection".to_owned())),
        };
        run(self, Access::Write, work).await
    }
}

impl Database for PgDatabase {
    type Connection = PgConnection;
}

#[async_trait]
impl Connections for PgDatabase {
    async fn run(&self, access: Access, job: Job) -> Result<()> {
        let permits = match access {
            Access::Heartbeat => Vec::new(),
            Access::Read | Access::Write => vec![permit(&self.connections).await?],
        };
        match access {
            Access::Read => self.pooled.run(permits, job, |conn, job| take(job, conn)).await,
            Access::Write | Access::Heartbeat => {
                self.pooled
                    .run(permits, job, |conn, job| transaction(conn, |session| take(job, session)))
                    .await
            }
        }
    }
}

impl std::fmt::Debug for PgDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgDatabase").finish_non_exhaustive()
    }
}
