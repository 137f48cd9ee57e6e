//! What can be wrong with a database for a while, and a pool of the host's that counts how often it was felt.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, HandleError, Pool, event};
use tokio::sync::watch;

use super::{HostConnection, Raw, Sqlite, TestDatabase};

/// How often a statement failed, or no connection could be had.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<watch::Sender<usize>>);

impl Refusals {
    fn count(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Waits for so many more.
    pub async fn more(&self, count: usize) {
        let goal = *self.0.borrow() + count;
        self.0.subscribe().wait_for(|count| *count >= goal).await.unwrap();
    }
}

impl Instrumentation for Refusals {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        // Diesel tells of no error that comes with a row.
        if let InstrumentationEvent::FinishQuery { error: Some(_), .. }
        | InstrumentationEvent::RollbackTransaction { .. } = event
        {
            self.count();
        }
    }
}

impl<E> HandleError<E> for Refusals {
    fn handle_error(&self, _: E) {
        self.count();
    }
}

impl event::HandleEvent for Refusals {
    fn handle_timeout(&self, _: event::TimeoutEvent) {
        self.count();
    }
}

#[derive(Debug)]
struct Impatient(&'static str, Refusals);

impl<C: diesel::Connection> CustomizeConnection<C, diesel::r2d2::Error> for Impatient {
    fn on_acquire(&self, conn: &mut C) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(self.0)?;
        conn.set_instrumentation(self.1.clone());
        Ok(())
    }
}

pub type HostPool<D> = Pool<ConnectionManager<<D as Raw>::Conn>>;

/// Ends a fault.
pub type End = Box<dyn FnOnce() + Send>;

/// One thing that is wrong with the database.
pub struct Fault<D: Raw> {
    /// What its error says.
    pub says: &'static [&'static str],
    /// Whether it is felt when a run is claimed: reads work, small writes do not.
    pub at_claim: bool,
    /// Begins it.
    pub begin: fn(&D, &HostPool<D>) -> End,
}

/// A database that things can be wrong with.
pub trait Faulty: Raw {
    /// Makes a connection one that gives up soon on others' locks.
    const IMPATIENT: &'static str;

    /// Takes a table away, as a restored backup or a wrong file would.
    const RENAME: &'static str;
    const RENAME_BACK: &'static str;

    /// All that passes by itself.
    fn faults() -> Vec<Fault<Self>>;

    /// A pool of the host's that gives up soon, and counts.
    fn impatient_pool(&self, size: u32) -> (HostPool<Self>, Refusals) {
        let refusals = Refusals::default();
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_millis(200))
            .connection_customizer(Box::new(Impatient(Self::IMPATIENT, refusals.clone())))
            .error_handler(Box::new(refusals.clone()))
            .event_handler(Box::new(refusals.clone()))
            .build(ConnectionManager::new(self.url()))
            .unwrap();
        (pool, refusals)
    }
}

/// Whatever it is used for now, all of it.
fn all_of<D: Raw>(pool: &HostPool<D>) -> Vec<impl DerefConn<D>> {
    let patience = Duration::from_secs(20);
    (0..pool.max_size()).map(|_| pool.get_timeout(patience).unwrap()).collect()
}

/// A pooled connection.
pub trait DerefConn<D: Raw>: std::ops::DerefMut<Target = D::Conn> + Send + 'static {}
impl<D: Raw, T: std::ops::DerefMut<Target = D::Conn> + Send + 'static> DerefConn<D> for T {}

fn on_all<D: Raw>(pool: &HostPool<D>, sql: &str) {
    for mut conn in all_of::<D>(pool) {
        conn.execute(sql);
    }
}

/// The host itself uses all of its connections.
fn out_of_connections<D: Raw>() -> Fault<D> {
    Fault {
        says: &["timed out", "in use", "make the pool larger"],
        at_claim: false,
        begin: |_, pool| {
            let held = all_of::<D>(pool);
            Box::new(move || drop(held))
        },
    }
}

/// A trigger of the host's that refuses rows.
pub fn refuse<D: TestDatabase>(db: &D, table: &str, on: &str, when: &str) {
    let name = format!("refuse_{table}_{}", on.replace(' ', "_"));
    if db.url().starts_with("postgres") {
        db.execute(&format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the host does not take this'; END $$; \
             CREATE TRIGGER {name} BEFORE {on} ON ai_engine_{table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()"
        ));
    } else {
        db.execute(&format!(
            "CREATE TRIGGER {name} BEFORE {on} ON ai_engine_{table} WHEN {when} \
             BEGIN SELECT RAISE(ABORT, 'the host does not take this'); END"
        ));
    }
}

impl Faulty for Sqlite {
    const IMPATIENT: &'static str =
        "PRAGMA busy_timeout = 20; PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL";
    const RENAME: &'static str = "PRAGMA legacy_alter_table = ON; PRAGMA foreign_keys = OFF; \
        ALTER TABLE ai_engine_runs RENAME TO away";
    const RENAME_BACK: &'static str = "PRAGMA legacy_alter_table = ON; PRAGMA foreign_keys = OFF; \
        ALTER TABLE away RENAME TO ai_engine_runs";

    fn faults() -> Vec<Fault<Self>> {
        vec![
            Fault {
                says: &["readonly database", "make it writable"],
                at_claim: true,
                begin: |_, pool| {
                    on_all::<Self>(pool, "PRAGMA query_only = ON");
                    let pool = pool.clone();
                    Box::new(move || on_all::<Self>(&pool, "PRAGMA query_only = OFF"))
                },
            },
            Fault {
                says: &["database is locked", "busy_timeout"],
                at_claim: true,
                begin: |db, _| {
                    let mut holder = db.connect();
                    holder.execute("BEGIN IMMEDIATE");
                    Box::new(move || holder.execute("ROLLBACK"))
                },
            },
            Fault {
                says: &["disk is full", "free some space"],
                at_claim: false,
                begin: |db, pool| {
                    db.execute("VACUUM");
                    // No less than it has now, as the connection last saw it.
                    let look = "SELECT count(*) FROM sqlite_master; PRAGMA max_page_count = 1";
                    on_all::<Self>(pool, look);
                    let pool = pool.clone();
                    Box::new(move || on_all::<Self>(&pool, "PRAGMA max_page_count = 1000000"))
                },
            },
            out_of_connections(),
        ]
    }
}

#[cfg(feature = "postgres")]
mod pg {
    use diesel::{Connection, PgConnection};

    use super::super::Postgres;
    use super::*;

    /// Ends all connections to the database but the one that asks.
    const END_CONNECTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE \
        CASE WHEN datname = '{}' AND pid <> pg_backend_pid() THEN pg_terminate_backend(pid, 5000) END";

    impl Postgres {
        pub fn name(&self) -> &str {
            self.url().rsplit_once('/').unwrap().1
        }

        pub fn end_connections(&self, conn: &mut PgConnection) {
            conn.number(&END_CONNECTIONS.replace("{}", self.name()));
        }

        /// A connection to another database of the same server.
        pub fn beside() -> PgConnection {
            PgConnection::establish(&std::env::var("AI_ENGINE_TEST_POSTGRES").unwrap()).unwrap()
        }
    }

    impl Faulty for Postgres {
        const IMPATIENT: &'static str = "SET lock_timeout = '20ms'";
        const RENAME: &'static str = "ALTER TABLE ai_engine_runs RENAME TO away";
        const RENAME_BACK: &'static str = "ALTER TABLE away RENAME TO ai_engine_runs";

        fn faults() -> Vec<Fault<Self>> {
            vec![
                Fault {
                    says: &["read-only transaction", "make it writable"],
                    at_claim: true,
                    begin: |db, _| {
                        let mut conn = db.connect();
                        let name = db.name().to_owned();
                        conn.execute(&format!(
                            "ALTER DATABASE {name} SET default_transaction_read_only = on"
                        ));
                        db.end_connections(&mut conn);
                        // Sessions that were told so stay so: whoever keeps them never writes again.
                        Box::new(move || {
                            conn.execute(&format!(
                                "ALTER DATABASE {name} RESET default_transaction_read_only"
                            ));
                        })
                    },
                },
                Fault {
                    says: &["lock timeout", "end that one"],
                    at_claim: true,
                    begin: |db, _| {
                        let mut holder = db.connect();
                        holder.execute(
                            "BEGIN; LOCK TABLE ai_engine_assistant_threads, ai_engine_runs, \
                             ai_engine_messages, ai_engine_message_deltas IN EXCLUSIVE MODE",
                        );
                        Box::new(move || holder.execute("ROLLBACK"))
                    },
                },
                Fault {
                    says: &["No space left", "free some space"],
                    at_claim: true,
                    begin: |db, _| {
                        let mut conn = db.connect();
                        conn.execute(
                            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                             RAISE EXCEPTION 'could not extend file: No space left on device' \
                             USING ERRCODE = '53100'; END $$",
                        );
                        for table in ["runs", "messages", "message_deltas"] {
                            conn.execute(&format!(
                                "CREATE TRIGGER no_space BEFORE INSERT OR UPDATE \
                                 ON ai_engine_{table} EXECUTE FUNCTION no_space()"
                            ));
                        }
                        Box::new(move || conn.execute("DROP FUNCTION no_space CASCADE"))
                    },
                },
                Fault {
                    says: &["not currently accepting connections"],
                    at_claim: false,
                    begin: |db, _| {
                        let (mut conn, name) = (Self::beside(), db.name().to_owned());
                        conn.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
                        db.end_connections(&mut conn);
                        Box::new(move || {
                            conn.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
                        })
                    },
                },
                out_of_connections(),
            ]
        }
    }
}
