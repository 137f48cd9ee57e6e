//! A connection of either database behind one small, object-safe trait.
//!
//! Statements are ordinary functions over `&mut dyn Session`; the [`on!`] macro compiles each once per
//! database. So they run on the engine's connections and, unchanged, inside a transaction of the host.

use diesel::Connection;
#[cfg(feature = "postgres")]
use diesel::PgConnection;
#[cfg(feature = "sqlite")]
use diesel::SqliteConnection;
use diesel::connection::TransactionManager;
use diesel::result::Error as DieselError;

use crate::error::Result;

mod sealed {
    #[allow(unnameable_types, reason = "that is what seals")]
    pub trait Sealed {}
    #[cfg(feature = "sqlite")]
    impl Sealed for diesel::SqliteConnection {}
    #[cfg(feature = "postgres")]
    impl Sealed for diesel::PgConnection {}
}

/// The borrowed connection, told apart by database.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "Diesel's connections have none")]
#[allow(unnameable_types, reason = "sealed: the connections are Diesel's")]
pub enum Conn<'a> {
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut SqliteConnection),
    #[cfg(feature = "postgres")]
    Pg(&'a mut PgConnection),
}

/// A Diesel connection: `SqliteConnection` or `PgConnection`.
///
/// Methods with the suffix `_in` take `&mut dyn Session`, so `&mut conn` of either type works, also in
/// the middle of your own transaction.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection that ai-engine knows",
    note = "of a pooled connection pass what is in it: `&mut *pooled`",
    note = "Diesel's `SqliteConnection` needs the feature `sqlite`, its `PgConnection` the feature `postgres`"
)]
pub trait Session: sealed::Sealed {
    #[doc(hidden)]
    fn conn(&mut self) -> Conn<'_>;
}

#[cfg(feature = "sqlite")]
impl Session for SqliteConnection {
    fn conn(&mut self) -> Conn<'_> {
        Conn::Sqlite(self)
    }
}

#[cfg(feature = "postgres")]
impl Session for PgConnection {
    fn conn(&mut self) -> Conn<'_> {
        Conn::Pg(self)
    }
}

/// Runs the same Diesel statement on whichever connection the session is.
macro_rules! on {
    ($session:expr, |$conn:ident| $statement:expr) => {
        match $crate::store::session::Session::conn($session) {
            #[cfg(feature = "sqlite")]
            $crate::store::session::Conn::Sqlite($conn) => $statement,
            #[cfg(feature = "postgres")]
            $crate::store::session::Conn::Pg($conn) => $statement,
        }
    };
}
pub(crate) use on;

/// The rows of a table that belong to a thread or chat.
macro_rules! of {
    ($table:ident, $parent:expr) => {
        $crate::store::belongs::Of::new($table::assistant_thread_id, $table::chat_id, $parent)
    };
}
pub(crate) use of;

/// Runs `work` in a transaction, or in a savepoint when the host has one open.
pub(crate) fn transaction<T>(
    session: &mut dyn Session,
    work: impl FnOnce(&mut dyn Session) -> Result<T>,
) -> Result<T> {
    within(work, |work| match session.conn() {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => {
            if is_outermost(conn) {
                // A transaction that reads first and writes later gets "database is locked" at once.
                conn.immediate_transaction(|conn| work(conn))
            } else {
                conn.transaction(|conn| work(conn))
            }
        }
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => {
            if is_outermost(conn) {
                // What our statements read after a lock must be what the lock waited for.
                conn.build_transaction().read_committed().run(|conn| work(conn))
            } else {
                conn.transaction(|conn| work(conn))
            }
        }
    })
}

/// Whether no transaction is open.
fn is_outermost<C: Connection>(conn: &mut C) -> bool {
    C::TransactionManager::transaction_manager_status_mut(conn)
        .transaction_depth()
        .is_ok_and(|depth| depth.is_none())
}

/// Has `transact` do `work` in a transaction. The error of the work is the one to tell. A rollback that fails, too, would
/// hide it: SQLite rolls back by itself when its disk is full, and Diesel then has nothing to roll back.
pub(crate) fn within<T>(
    work: impl FnOnce(&mut dyn Session) -> Result<T>,
    transact: impl FnOnce(&mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T>,
) -> Result<T> {
    let (mut cause, mut work) = (None, Some(work));
    let result = transact(&mut |session| {
        let Some(work) = work.take() else {
            return Err(DieselError::AlreadyInTransaction.into());
        };
        work(session).map_err(|error| {
            cause = Some(error);
            DieselError::RollbackTransaction.into()
        })
    });
    result.map_err(|error| cause.unwrap_or(error))
}
