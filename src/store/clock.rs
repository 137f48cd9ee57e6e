//! The database's clock, in milliseconds since 1970: what leases go by, the same for every process.

use diesel::{RunQueryDsl, sql_types::BigInt};

use super::constant::constant;
use super::session::{Conn, Session};
use crate::error::Result;

#[cfg(feature = "sqlite")]
constant! { NowSqlite: BigInt = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)" }
#[cfg(feature = "postgres")]
constant! { NowPg: BigInt = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint" }

pub(crate) fn now_ms(session: &mut dyn Session) -> Result<i64> {
    Ok(match session.conn() {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => diesel::select(NowSqlite).get_result(conn)?,
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => diesel::select(NowPg).get_result(conn)?,
    })
}
