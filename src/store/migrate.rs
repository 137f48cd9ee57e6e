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
//!
//! # Writing a migration
//!
//! A migration that was released is never changed; a new one goes into new folders of the same name for both
//! databases. It must keep what is stored: the tests upgrade a database that the first version filled.
//!
//! PostgreSQL's `ALTER TABLE` can change everything. What SQLite's cannot (a constraint, a column's type) takes a
//! rebuild, by the steps of <https://sqlite.org/lang_altertable.html>. The steps about `foreign_keys` and the transaction
//! are done here; the migration has these:
//!
//! ```sql
//! CREATE TABLE new_ai_engine_runs (…);         -- the new form; a reference to itself by the old name
//! INSERT INTO new_ai_engine_runs (id, …) SELECT id, … FROM ai_engine_runs;
//! DELETE FROM sqlite_sequence WHERE name = 'new_ai_engine_runs';
//! INSERT INTO sqlite_sequence (name, seq)      -- or ids of deleted rows would come again
//!     SELECT 'new_ai_engine_runs', seq FROM sqlite_sequence WHERE name = 'ai_engine_runs';
//! DROP TABLE ai_engine_runs;                   -- takes its indexes and triggers along
//! ALTER TABLE new_ai_engine_runs RENAME TO ai_engine_runs;
//! CREATE INDEX …;                              -- all of them again
//! ```
//!
//! In this order: renaming the old table away first is what can take the references of other tables with it.
//! `legacy_alter_table` is on meanwhile, so that a rename leaves everything else as it is, and a view or trigger of the
//! host's that names the table does not stop it; no migration may count on a rename being followed by views and triggers.
//! Indexes and triggers that the host added to the table itself go with it; the changelog has to say so.

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
/// [`Error::Migration`] inside an open transaction, on a database that a newer ai-engine migrated, on a PostgreSQL database
/// whose encoding is not UTF8, or when a statement fails (then nothing was changed).
pub fn migrate(session: &mut dyn Session) -> Result<usize> {
    match session.conn() {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => migrate_sqlite(conn, &SQLITE),
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => migrate_postgres(conn, &POSTGRES),
    }
}

#[cfg(feature = "postgres")]
fn migrate_postgres(
    conn: &mut PgConnection,
    source: &impl MigrationSource<diesel::pg::Pg>,
) -> Result<usize> {
    refuse_open_transaction(conn)?;
    refuse_other_encodings(conn)?;
    // The host's isolation level might be one that looks at the tables as they were before the lock.
    conn.build_transaction().read_committed().run(|conn| {
        diesel::sql_query(format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
            .execute(conn)?;
        run_pending(conn, source)
    })
}

/// What people and models write does not fit into other encodings, and would be refused in the middle of a run.
#[cfg(feature = "postgres")]
fn refuse_other_encodings(conn: &mut PgConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Encoding {
        #[diesel(sql_type = diesel::sql_types::Text)]
        encoding: String,
    }

    let select = "SELECT pg_encoding_to_char(encoding)::text AS encoding FROM pg_database \
        WHERE datname = current_database()";
    let Encoding { encoding } = diesel::sql_query(select).get_result(conn)?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::Migration(format!(
        "the database's encoding is {encoding}, which cannot hold what people and models write; \
         create it with `ENCODING 'UTF8' TEMPLATE template0`. Nothing was changed"
    )))
}

/// What the host set on its connection, and gets back.
#[cfg(feature = "sqlite")]
#[derive(QueryableByName)]
struct Pragmas {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    timeout: i32,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    foreign_keys: i32,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    legacy_alter_table: i32,
}

#[cfg(feature = "sqlite")]
impl Pragmas {
    const SELECT: &str = "SELECT timeout, foreign_keys, legacy_alter_table \
        FROM pragma_busy_timeout, pragma_foreign_keys, pragma_legacy_alter_table";

    fn set(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let Self { timeout, foreign_keys, legacy_alter_table } = self;
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {timeout}; PRAGMA foreign_keys = {foreign_keys}; \
             PRAGMA legacy_alter_table = {legacy_alter_table}"
        ))
    }
}

#[cfg(feature = "sqlite")]
fn migrate_sqlite(
    conn: &mut SqliteConnection,
    source: &impl MigrationSource<diesel::sqlite::Sqlite>,
) -> Result<usize> {
    refuse_open_transaction(conn)?;
    // These statements need no lock yet.
    let hosts: Pragmas = diesel::sql_query(Pragmas::SELECT).get_result(conn)?;
    let ours = Pragmas {
        // A connection that does not wait would fail beside another start.
        timeout: hosts.timeout.max(BUSY_TIMEOUT_MS),
        foreign_keys: 0,
        legacy_alter_table: 1,
    };
    ours.set(conn)?;
    let result = conn.immediate_transaction(|conn| {
        let count = run_pending(conn, source)?;
        if count > 0 {
            check_foreign_keys(conn)?;
        }
        Ok(count)
    });
    hosts.set(conn)?;
    result
}

/// Fails when a row of ours points nowhere. The host's own tables are the host's business.
#[cfg(feature = "sqlite")]
fn check_foreign_keys(conn: &mut SqliteConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Violation {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }

    let broken: Option<Violation> = diesel::sql_query(
        "SELECT ours.name AS name FROM sqlite_master AS ours, pragma_foreign_key_check(ours.name) \
         WHERE ours.type = 'table' AND ours.name LIKE 'ai\\_engine\\_%' ESCAPE '\\' LIMIT 1",
    )
    .get_result(conn)
    .optional()?;
    match broken {
        Some(Violation { name }) => Err(Error::Migration(format!(
            "rows of {name} would point nowhere; nothing was changed"
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

fn run_pending<DB, C>(conn: &mut C, source: &impl MigrationSource<DB>) -> Result<usize>
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

#[cfg(test)]
#[path = "migrate_tests.rs"]
mod tests;
