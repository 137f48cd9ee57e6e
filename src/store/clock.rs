//! The database's clock, in milliseconds since 1970: what leases go by, the same for every process.

use diesel::{RunQueryDsl, sql_types::BigInt};

use super::constant::constant;
use super::session::{Conn, Session};
use crate::error::Result;

pub(crate) fn now_ms(session: &mut dyn Session) -> Result<i64> {
    Ok(match session.conn() {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(conn) => diesel::select(constant::<BigInt>(
            "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
        ))
        .get_result(conn)?,
        #[cfg(feature = "postgres")]
        Conn::Pg(conn) => diesel::select(constant::<BigInt>(
            "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        ))
        .get_result(conn)?,
    })
}
