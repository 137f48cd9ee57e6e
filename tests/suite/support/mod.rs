//! A host app for the tests: its tables, its structs, what its hooks heard; on either database.

mod database;
mod effects;
mod faults;
#[cfg(feature = "postgres")]
mod held;
mod host;
mod hub;
mod process;
#[cfg(feature = "postgres")]
mod proxy;
mod raw;
mod recorder;
mod watched;

pub use database::*;
pub use effects::*;
pub use faults::*;
#[cfg(feature = "postgres")]
pub use held::*;
pub use host::*;
pub use hub::*;
pub use process::*;
#[cfg(feature = "postgres")]
pub use proxy::*;
pub use raw::*;
pub use recorder::*;
pub use watched::*;

/// A test that hangs fails instead of holding up all others.
pub async fn in_time(test: impl Future<Output = ()>) {
    const LIMIT: std::time::Duration = std::time::Duration::from_mins(3);
    listen();
    tokio::time::timeout(LIMIT, test).await.expect("the test hangs");
}

/// A test of what PostgreSQL alone has.
#[cfg(feature = "postgres")]
pub async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Postgres) -> F) {
    if let Some(db) = Postgres::fresh() {
        in_time(test(db)).await;
    }
}

/// An address that refuses connections for as long as the socket is held: it is taken, and nobody listens.
pub fn closed() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Waits for what only the database can tell.
pub async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Waits until the last hooks of all runs were delivered.
pub async fn until_announced<D: TestDatabase>(db: &D) {
    until(|| db.number("SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NULL") == 0)
        .await;
}

/// Waits until the hooks of all runs that wait for somebody have heard that.
pub async fn until_heard<D: TestDatabase>(db: &D) {
    let owed = "SELECT count(*) FROM ai_engine_runs WHERE status = 'requires_action' AND lease_owner IS NOT NULL";
    until(|| db.number(owed) == 0).await;
}

/// Waits until the provider was asked to delete all that is to be deleted there.
pub async fn until_deleted<D: TestDatabase>(db: &D) {
    until(|| db.number("SELECT count(*) FROM ai_engine_remote_deletions") == 0).await;
}

/// Runs each named test, an `async fn(impl TestDatabase)`, on each database.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::support::in_time(super::$name($crate::support::Sqlite::fresh())).await;
                }
            )+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = $crate::support::Postgres::fresh() {
                        $crate::support::in_time(super::$name(database)).await;
                    }
                }
            )+
        }
    };
}
