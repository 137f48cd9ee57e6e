//! How many bytes a database has written.

use std::fs;

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;

/// A database's log: what it writes for sure before a commit returns.
pub trait Written {
    /// Bytes written so far.
    fn bytes(&mut self) -> u64;
    /// Begins a new checkpoint cycle, where that makes a difference to what is written.
    fn checkpoint(&mut self);
}

/// The size of the write-ahead log, which a reader of our own keeps from being begun anew.
pub struct SqliteLog {
    _reader: SqliteConnection,
    file: String,
}

impl SqliteLog {
    pub fn of(path: &str) -> Self {
        let mut reader = SqliteConnection::establish(path).unwrap();
        reader.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        reader
            .batch_execute(
                "PRAGMA busy_timeout = 5000; PRAGMA wal_checkpoint(TRUNCATE);
                 BEGIN; SELECT count(*) FROM ai_engine_runs;",
            )
            .unwrap();
        Self { _reader: reader, file: format!("{path}-wal") }
    }
}

impl Written for SqliteLog {
    fn bytes(&mut self) -> u64 {
        fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    // A page is written whole at each commit anyway.
    fn checkpoint(&mut self) {}
}

#[cfg(feature = "postgres")]
pub struct PgLog {
    conn: PgConnection,
}

#[cfg(feature = "postgres")]
impl PgLog {
    pub fn of(url: &str) -> Self {
        let mut conn = PgConnection::establish(url).unwrap();
        conn.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        Self { conn }
    }
}

#[cfg(feature = "postgres")]
impl Written for PgLog {
    fn bytes(&mut self) -> u64 {
        use diesel::dsl::sql;
        use diesel::sql_types::BigInt;

        let position = sql::<BigInt>("(pg_current_wal_insert_lsn() - '0/0')::bigint");
        let bytes: i64 = diesel::select(position).get_result(&mut self.conn).unwrap();
        u64::try_from(bytes).unwrap()
    }

    fn checkpoint(&mut self) {
        self.conn.batch_execute("CHECKPOINT").unwrap();
    }
}
