//! The bundled migrations, run by a harness of our own.
//!
//! # Guarantees
//!
//! * Our versions are kept in our own table, so the host's Diesel migrations are never skipped, counted or
//!   reverted with ours, whatever their version numbers.
//! * All pending migrations run in one transaction under one lock: processes that start together each
//!   succeed, and one of them does the work.
//! * On SQLite foreign keys are off while a table is rebuilt (otherwise dropping it would delete its
//!   children) and checked before the commit.

use diesel::connection::{BoxableConnection, SimpleConnection, TransactionManager};
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::session::{Conn, Session};
use crate::error::{Error, Result};

#[cfg(feature = "sqlite")]
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// How long a start waits for the migrations of another, on a connection that waits less by itself.
#[cfg(feature = "sqlite")]
const BUSY_TIMEOUT_MS: i32 = 10_000;

/// Ours alone: "ai-engine" in ASCII, cut to a lock number.
#[cfg(feature = "postgres")]
const ADVISORY_LOCK: i64 = 0x6169_2d65_6e67_696e;

diesel::table! {
    ai_engine_schema_migrations (version) {
        version -> Text,
        run_on -> Timestamp,
    }
}

/// Runs the migrations that this database does not have yet; returns how many.
///
/// Safe to call from every process at every start. Cannot run inside a transaction of yours.
///
/// # Errors
///
/// [`Error::Migration`] inside an open transaction, on a database that a newer ai-engine migrated, or when
/// a statement fails (then nothing was changed).
pub fn migrate(session: &mut dyn Session) -> Result<usize> {
    match session.conn() {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => migrate_sqlite(conn),
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => {
            refuse_open_transaction(conn)?;
            // The host's isolation level might be one that looks at the tables as they were before the lock.
            conn.build_transaction().read_committed().run(|conn| {
                diesel::sql_query(format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
                    .execute(conn)?;
                run_pending::<diesel::pg::Pg, _>(conn, &POSTGRES)
            })
        }
    }
}

#[cfg(feature = "sqlite")]
fn migrate_sqlite(conn: &mut SqliteConnection) -> Result<usize> {
    #[derive(QueryableByName)]
    struct ForeignKeys {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        foreign_keys: i32,
    }
    #[derive(QueryableByName)]
    struct BusyTimeout {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        timeout: i32,
    }

    refuse_open_transaction(conn)?;
    // A connection that does not wait would fail beside another start. These statements need no lock yet.
    let BusyTimeout { timeout } = diesel::sql_query("PRAGMA busy_timeout").get_result(conn)?;
    let ForeignKeys { foreign_keys } = diesel::sql_query("PRAGMA foreign_keys").get_result(conn)?;
    let patient = timeout.max(BUSY_TIMEOUT_MS);
    conn.batch_execute(&format!("PRAGMA busy_timeout = {patient}; PRAGMA foreign_keys = OFF"))?;
    let result = conn.immediate_transaction(|conn| {
        let count = run_pending::<diesel::sqlite::Sqlite, _>(conn, &SQLITE)?;
        if count > 0 {
            check_foreign_keys(conn)?;
        }
        Ok(count)
    });
    conn.batch_execute(&format!(
        "PRAGMA foreign_keys = {foreign_keys}; PRAGMA busy_timeout = {timeout}"
    ))?;
    result
}

/// Fails when a row of ours points nowhere. The host's own tables are the host's business.
#[cfg(feature = "sqlite")]
fn check_foreign_keys(conn: &mut SqliteConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Violation {
        #[diesel(sql_type = diesel::sql_types::Text)]
        table: String,
    }

    let broken: Vec<Violation> =
        diesel::sql_query("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check").load(conn)?;
    match broken.iter().find(|violation| violation.table.starts_with("ai_engine_")) {
        Some(violation) => Err(Error::Migration(format!(
            "rows of {} would point nowhere; nothing was changed",
            violation.table
        ))),
        None => Ok(()),
    }
}

fn refuse_open_transaction<C: Connection>(conn: &mut C) -> Result<()> {
    match C::TransactionManager::transaction_manager_status_mut(conn).transaction_depth() {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Error::Migration(
            "the connection has an open transaction; run the migrations outside of it".to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}

fn run_pending<DB, C>(conn: &mut C, source: &EmbeddedMigrations) -> Result<usize>
where
    DB: diesel::backend::Backend,
    C: BoxableConnection<DB> + RunVersions,
{
    let failed =
        |error: Box<dyn std::error::Error + Send + Sync>| Error::Migration(error.to_string());
    conn.create_table()?;
    let applied = conn.versions()?;
    let migrations: Vec<Box<dyn Migration<DB>>> = source.migrations().map_err(failed)?;
    let known: Vec<String> =
        migrations.iter().map(|migration| migration.name().version().to_string()).collect();
    if let Some(newer) = applied.iter().find(|version| !known.contains(version)) {
        let reason = format!(
            "the database has migration {newer}, which this ai-engine does not know; update ai-engine"
        );
        return Err(Error::Migration(reason));
    }
    let mut count = 0;
    for (migration, version) in migrations.iter().zip(known) {
        if !applied.contains(&version) {
            migration.run(conn).map_err(failed)?;
            conn.record(&version)?;
            count += 1;
        }
    }
    Ok(count)
}

/// The three statements about our own migrations table.
trait RunVersions {
    fn create_table(&mut self) -> QueryResult<()>;
    fn versions(&mut self) -> QueryResult<Vec<String>>;
    fn record(&mut self, version: &str) -> QueryResult<()>;
}

macro_rules! run_versions {
    ($connection:ty) => {
        impl RunVersions for $connection {
            fn create_table(&mut self) -> QueryResult<()> {
                self.batch_execute(
                    "CREATE TABLE IF NOT EXISTS ai_engine_schema_migrations \
                     (version TEXT NOT NULL PRIMARY KEY, run_on TIMESTAMP NOT NULL)",
                )
            }

            fn versions(&mut self) -> QueryResult<Vec<String>> {
                ai_engine_schema_migrations::table
                    .select(ai_engine_schema_migrations::version)
                    .load(self)
            }

            fn record(&mut self, version: &str) -> QueryResult<()> {
                let row = (
                    ai_engine_schema_migrations::version.eq(version),
                    ai_engine_schema_migrations::run_on.eq(crate::model::utc_now()),
                );
                diesel::insert_into(ai_engine_schema_migrations::table)
                    .values(row)
                    .execute(self)
                    .map(|_| ())
            }
        }
    };
}
#[cfg(feature = "sqlite")]
run_versions!(SqliteConnection);
#[cfg(feature = "postgres")]
run_versions!(PgConnection);
