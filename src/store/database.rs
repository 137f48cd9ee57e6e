//! One pool hop per transaction: a blocking job takes a connection and always reaches COMMIT or ROLLBACK,
//! whatever becomes of the future that waits for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use diesel::Connection;
use diesel::connection::{TransactionManager, TransactionManagerStatus};
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::session::Session;
use crate::error::{Error, Result};

/// A database the engine can live in: [`SqliteDatabase`](crate::SqliteDatabase) or
/// `PgDatabase`.
pub trait Database: Connections + Clone + Send + Sync + 'static {
    /// Diesel's connection, as owner loaders receive it.
    type Connection: Session + 'static;
}

/// A job for a connection.
pub(crate) type Job = Box<dyn FnOnce(&mut dyn Session) -> Result<()> + Send>;

/// How a job uses its connection.
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the databases are ours")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Single statements outside a transaction.
    Read,
    /// One write transaction.
    Write,
    /// One write transaction that must not wait behind the others: a heartbeat.
    Heartbeat,
}

/// The object-safe half of [`Database`].
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the databases are ours")]
#[async_trait]
pub trait Connections: Send + Sync {
    async fn run(&self, access: Access, job: Job) -> Result<()>;
}

/// The engine's view of its database.
#[derive(Clone)]
pub(crate) struct Store {
    connections: Arc<dyn Connections>,
}

impl Store {
    pub(crate) fn new(database: impl Database) -> Self {
        Self { connections: Arc::new(database) }
    }

    /// Statements outside a transaction.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Access::Read, work).await
    }

    /// One write transaction.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Access::Write, work).await
    }

    /// One write transaction on the connection kept for heartbeats.
    pub(crate) async fn beat<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Access::Heartbeat, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        access: Access,
        work: impl FnOnce(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run(&*self.connections, access, work).await
    }
}

/// Runs typed work through the object-safe door.
pub(crate) async fn run<T: Send + 'static>(
    connections: &dyn Connections,
    access: Access,
    work: impl FnOnce(&mut dyn Session) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (send, receive) = tokio::sync::oneshot::channel();
    let job = move |session: &mut dyn Session| {
        let value = work(session)?;
        // Nobody waits any more: the caller was dropped, the transaction commits all the same.
        let _ = send.send(value);
        Ok(())
    };
    connections.run(access, Box::new(job)).await?;
    receive.await.map_err(|_| Error::Panicked("the job ended without a result".to_owned()))
}

/// A pool and the permits that keep its blocking waits off the runtime's threads.
pub(crate) struct Pooled<C: R2D2Connection + 'static> {
    pool: Pool<ConnectionManager<C>>,
    /// Why no connection could be made. The pool tells one of those who wait, and forgets it.
    cause: Arc<Mutex<Option<String>>>,
}

impl<C: R2D2Connection + 'static> Clone for Pooled<C> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), cause: Arc::clone(&self.cause) }
    }
}

impl<C: R2D2Connection + Send + 'static> Pooled<C> {
    pub(crate) fn new(pool: Pool<ConnectionManager<C>>) -> Self {
        Self { pool, cause: Arc::default() }
    }

    /// Has `begin` run `job` on a blocking thread. The permits are held until it is done, not until the caller
    /// stops waiting.
    ///
    /// A connection that was lost while it was idle is found out when `begin` fails before it took the job; then the next
    /// one is tried.
    pub(crate) async fn run(
        &self,
        permits: Vec<OwnedSemaphorePermit>,
        job: Job,
        begin: impl Fn(&mut C, &mut Option<Job>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let pooled = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permits = permits;
            let (mut job, mut others) = (Some(job), pooled.pool.max_size());
            loop {
                let mut conn = pooled.get()?;
                match guarded(&mut *conn, |conn| begin(conn, &mut job)) {
                    Err(error) if error.lost_connection() && job.is_some() && others > 0 => {
                        others -= 1;
                    }
                    result => return result,
                }
            }
        });
        match task.await {
            Ok(result) => result,
            Err(error) => Err(Error::Panicked(error.to_string())),
        }
    }

    /// A connection, or why there is none and what to do.
    fn get(&self) -> Result<PooledConnection<ConnectionManager<C>>> {
        let got = self.pool.get();
        let mut known = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match got {
            Ok(conn) => {
                *known = None;
                return Ok(conn);
            }
            Err(error) => error.to_string(),
        };
        if error.contains(": ") {
            *known = Some(error.clone());
        }
        let (state, size) = (self.pool.state(), self.pool.max_size());
        Err(Error::Connection(if state.connections >= size && state.idle_connections == 0 {
            format!(
                "{error}; all {size} of the pool are in use: give them back sooner, or make the pool larger"
            )
        } else {
            let error = known.as_ref().unwrap_or(&error);
            format!("{error}; see that the database is there and lets you in")
        }))
    }
}

/// The job, once.
pub(crate) fn take(job: &mut Option<Job>, session: &mut dyn Session) -> Result<()> {
    job.take().map_or(Ok(()), |job| job(session))
}

/// Runs `work`; a panic rolls back and becomes an error, a lost connection leaves the pool.
fn guarded<C: R2D2Connection>(conn: &mut C, work: impl FnOnce(&mut C) -> Result<()>) -> Result<()> {
    let result = catch_unwind(AssertUnwindSafe(|| work(conn))).unwrap_or_else(|panic| {
        while status(conn).transaction_depth().is_ok_and(|depth| depth.is_some()) {
            if C::TransactionManager::rollback_transaction(conn).is_err() {
                status(conn).set_in_error();
            }
        }
        Err(Error::Panicked(panic_text(&*panic)))
    });
    if let Err(Error::Database(DieselError::DatabaseError(
        // PostgreSQL tells a session once whether it may write: a new one may be told otherwise.
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::ReadOnlyTransaction,
        _,
    ))) = &result
    {
        // The pool drops connections whose transaction manager is broken when they come back.
        status(conn).set_in_error();
    }
    result
}

fn status<C: Connection>(conn: &mut C) -> &mut TransactionManagerStatus {
    C::TransactionManager::transaction_manager_status_mut(conn)
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Waits for `semaphore`; it is never closed.
pub(crate) async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let closed = |_| Error::Connection("the database is closed".to_owned());
    Arc::clone(semaphore).acquire_owned().await.map_err(closed)
}
