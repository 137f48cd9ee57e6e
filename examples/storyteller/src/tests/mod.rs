//! The app as browsers meet it, on each of the databases; the model is the engine's fake.

mod account;
mod asking;
mod chats;
mod operations;
mod problems;
mod publishing;
mod questions;
mod sessions;
mod storytellers;
mod streams;
mod world;

/// Each test on SQLite, and on PostgreSQL where `AI_ENGINE_TEST_POSTGRES` has the URL of a server.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::tests::world::World::on_sqlite().await).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(world) = crate::tests::world::World::on_postgres().await {
                    super::$name(world).await;
                }
            })*
        }
    };
}
use on_both;
