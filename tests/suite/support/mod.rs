//! A host app for the tests: its tables, its structs, what its hooks heard; on either database.

mod database;
mod host;
mod hub;

pub use database::*;
pub use host::*;
pub use hub::*;

/// Runs each named test, an `async fn(impl TestDatabase)`, on each database.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::Sqlite::fresh()).await;
                }
            )+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = $crate::support::Postgres::fresh() {
                        super::$name(database).await;
                    }
                }
            )+
        }
    };
}
