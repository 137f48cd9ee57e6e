//! Streamed text until its message settles: appended, never changed.

use diesel::prelude::*;

use super::session::{Session, on};
use crate::error::Result;
use crate::schema::ai_engine_message_deltas::{self, dsl as deltas};

/// Text that one message gained since the last flush.
// Without optional values, Diesel inserts many rows in one statement on SQLite too.
#[derive(Debug, Insertable)]
#[diesel(table_name = ai_engine_message_deltas, treat_none_as_default_value = false)]
pub(crate) struct NewDelta {
    pub(crate) message_id: i64,
    pub(crate) byte_offset: i64,
    pub(crate) sequence_number: i64,
    pub(crate) text: String,
}

/// Rows of one INSERT: well below SQLite's 32,766 and PostgreSQL's 65,535 variables.
const ROWS: usize = 1000;

pub(crate) fn append(session: &mut dyn Session, new: &[NewDelta]) -> Result<()> {
    for chunk in new.chunks(ROWS) {
        on!(session, |conn| diesel::insert_into(deltas::ai_engine_message_deltas)
            .values(chunk)
            .execute(conn))?;
    }
    Ok(())
}

/// Removes the deltas of settled messages, whose content now holds the text.
pub(crate) fn fold(session: &mut dyn Session, messages: &[i64]) -> Result<()> {
    on!(session, |conn| diesel::delete(
        deltas::ai_engine_message_deltas.filter(deltas::message_id.eq_any(messages))
    )
    .execute(conn))?;
    Ok(())
}
