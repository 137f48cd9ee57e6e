//! One pool hop per transaction: a blocking job takes a connection and always reaches COMMIT or ROLLBACK,
//! whatever becomes of the future that waits for it.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use diesel::Connection;
use diesel::connection::{TransactionManager, TransactionManagerStatus};
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::Access;
use super::again::Again;
use super::job::{self, Job};
use super::session::Session;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::task::Guarded;

/// A database the engine can live in: [`SqliteDatabase`](crate::SqliteDatabase) or
/// `PgDatabase`.
pub trait Database: Connections + Clone + Send + Sync + 'static {
    /// Diesel's connection, as owner loaders receive it.
    type Connection: Session + 'static;
}

/// The object-safe half of [`Database`].
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the databases are ours")]
#[async_trait]
pub trait Connections: Send + Sync {
    /// Does the job once, in the way asked for, and hands it back with what came of it.
    async fn once(&self, access: Access, job: Job) -> (Result<()>, Option<Job>);

    /// Where a process hears what others write.
    fn listens_at(&self) -> Option<Arc<str>> {
        None
    }
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

    /// Where this process hears what others write; `None`: nowhere.
    #[cfg(feature = "postgres")]
    pub(crate) fn listens_at(&self) -> Option<Arc<str>> {
        self.connections.listens_at()
    }

    /// Statements outside a transaction. They are repeated on another connection when theirs was lost.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Access::Read, work).await
    }

    /// One write transaction. It is repeated when it was rolled back for the sake of another.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: Write,
        mut work: impl FnMut(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write_as(write, move |session| Ok((Some(write), work(session)?))).await
    }

    /// [`write`](Self::write), when only the work can tell which of several writes it was, if any. It is done as `like` is.
    pub(crate) async fn write_as<T: Send + 'static>(
        &self,
        like: Write,
        mut work: impl FnMut(&mut dyn Session) -> Result<(Option<Write>, T)> + Send + 'static,
    ) -> Result<T> {
        let access = Access::of(like);
        let written = self.run(access, move |session| {
            let done = work(session)?;
            if let Some(write) = done.0 {
                write.committing();
            }
            Ok(done)
        });
        let (write, value) = written.await.inspect_err(|error| {
            tracing::debug!(write = like.name(), error = %error.brief(), "a write failed");
        })?;
        if let Some(write) = write {
            write.committed();
        }
        Ok(value)
    }

    /// One transaction that waits for locks as a write does, and writes nothing: it is rolled back, whatever it did. So it
    /// needs no name; to die in it leaves what there was before.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let found = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&found);
        let looked = self.run(Access::Write, move |session| {
            *lock(&slot) = Some(work(session)?);
            Err::<Infallible, _>(DieselError::RollbackTransaction.into())
        });
        let Err(error) = looked.await;
        let found = lock(&found).take();
        found.ok_or(error)
    }

    async fn run<T: Send + 'static>(
        &self,
        access: Access,
        mut work: impl FnMut(&mut dyn Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let result = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&result);
        let job = Job::repeatable(move |session| {
            let value = work(session)?;
            // If nobody waits any more, because the caller was dropped, the transaction commits all the same.
            *lock(&slot) = Some(value);
            Ok(())
        });
        perform(&*self.connections, access, job).await?;
        let value = lock(&result).take();
        value.ok_or_else(|| Error::Panicked("the job ended without a result".to_owned()))
    }
}

/// Work of the host's, which may fail with an error of its own.
pub(crate) async fn host_work<T: Send + 'static, E: From<Error> + Send + 'static>(
    connections: &dyn Connections,
    access: Access,
    work: impl FnOnce(&mut dyn Session) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    let job = Job::once(move |session| {
        let done = work(session);
        let failed = done.is_err();
        *lock(&slot) = Some(done);
        if failed { Err(DieselError::RollbackTransaction.into()) } else { Ok(()) }
    });
    let performed = perform(connections, access, job).await;
    let done = lock(&result).take();
    match (performed, done) {
        (Ok(()), Some(done)) | (Err(_), Some(done @ Err(_))) => done,
        (Err(error), _) => Err(error.into()),
        (Ok(()), None) => Err(Error::Panicked("the job ended without a result".to_owned()).into()),
    }
}

/// Does a job until it is done, or failed for a reason of its own.
async fn perform(connections: &dyn Connections, access: Access, mut job: Job) -> Result<()> {
    job::refuse_within()?;
    let mut again = Again::default();
    loop {
        let (result, returned) = connections.once(access, job).await;
        let Err(error) = result else { return Ok(()) };
        let Some(returned) = returned else { return Err(error) };
        job = returned;
        again.wait(error, access, &mut job).await?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pool, which remembers why it has no connection.
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

    pub(crate) fn size(&self) -> usize {
        self.pool.max_size().max(1) as usize
    }

    /// Has `begin` do `job` on a blocking thread, and `after` put the connection in order, whatever happened. It needs a permit of
    /// each of these, in the order in which they are waited for, until then, and not until the caller stops waiting.
    ///
    /// A task of its own stands in line for permits that are not free, until this is dropped: one is given to whoever is next, and
    /// kept for it. If that were a future that nobody polls (the stream of a reader that does something else meanwhile), all
    /// behind it would wait for ever.
    pub(crate) async fn once(
        &self,
        needed: Vec<Arc<Semaphore>>,
        job: Job,
        begin: impl FnOnce(&mut C, &mut Job) -> Result<()> + Send + 'static,
        after: impl FnOnce(&mut C) + Send + 'static,
    ) -> (Result<()>, Option<Job>) {
        let free = needed.iter().map(|semaphore| Arc::clone(semaphore).try_acquire_owned().ok());
        if let Some(permits) = free.collect() {
            return self.with(permits, job, begin, after).await;
        }
        let pooled = self.clone();
        let in_line = async move {
            let mut permits = Vec::with_capacity(needed.len());
            for semaphore in needed {
                match semaphore.acquire_owned().await {
                    Ok(permit) => permits.push(permit),
                    Err(_) => {
                        return (Err(Error::Connection("the database is closed".to_owned())), None);
                    }
                }
            }
            pooled.with(permits, job, begin, after).await
        };
        match Guarded::spawn(in_line).ended().await {
            Ok(done) => done,
            Err(error) => (Err(Error::Panicked(error.to_string())), None),
        }
    }

    async fn with(
        &self,
        permits: Vec<OwnedSemaphorePermit>,
        mut job: Job,
        begin: impl FnOnce(&mut C, &mut Job) -> Result<()> + Send + 'static,
        after: impl FnOnce(&mut C) + Send + 'static,
    ) -> (Result<()>, Option<Job>) {
        let pooled = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permits = permits;
            let result = pooled.get().and_then(|mut conn| {
                let result = guarded(&mut *conn, |conn| begin(conn, &mut job));
                after(&mut *conn);
                result
            });
            (result, Some(job))
        });
        task.await.unwrap_or_else(|error| (Err(Error::Panicked(error.to_string())), None))
    }

    /// A connection, or why there is none and what to do.
    fn get(&self) -> Result<PooledConnection<ConnectionManager<C>>> {
        let got = self.pool.get();
        let mut known = lock(&self.cause);
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
                "{error}; all {size} connections of the pool are in use: end transactions sooner, or make the pool larger"
            )
        } else {
            let error = known.as_ref().unwrap_or(&error);
            format!("{error}; see that the database is there and lets you in")
        }))
    }
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
    let is_spoiled = match &result {
        // PostgreSQL tells a session once whether it may write: a new one may be told otherwise.
        Err(Error::Database(DieselError::DatabaseError(
            DatabaseErrorKind::ReadOnlyTransaction,
            _,
        ))) => true,
        Err(error) => error.lost_connection(),
        Ok(()) => false,
    };
    if is_spoiled {
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

/// Those that are needed.
pub(crate) fn these<const N: usize>(all: [(&Arc<Semaphore>, bool); N]) -> Vec<Arc<Semaphore>> {
    all.into_iter()
        .filter(|(_, needed)| *needed)
        .map(|(semaphore, _)| Arc::clone(semaphore))
        .collect()
}
