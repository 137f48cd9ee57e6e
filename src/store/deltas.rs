//! Streamed text until its message settles: appended, never changed.

use diesel::prelude::*;

use super::any_of::any_of;
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

/// Text that a message gained.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) message_id: i64,
    pub(crate) offset: usize,
    pub(crate) text: String,
}

/// Messages asked about in one statement: SQLite limits the depth of a condition to 1,000.
const ASKED: usize = 100;

/// What messages gained beyond the bytes known of each; of one message in order.
pub(crate) fn after(session: &mut dyn Session, known: &[(i64, usize)]) -> Result<Vec<Appended>> {
    let mut gained = Vec::new();
    for chunk in known.chunks(ASKED) {
        let rows: Vec<(i64, i64, String)> = on!(session, |conn| {
            let mut query = deltas::ai_engine_message_deltas
                .order(deltas::id)
                .select((deltas::message_id, deltas::byte_offset, deltas::text))
                .into_boxed();
            for (message, bytes) in chunk {
                let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                query = query
                    .or_filter(deltas::message_id.eq(message).and(deltas::byte_offset.ge(bytes)));
            }
            query.load(conn)
        })?;
        gained.extend(rows.into_iter().map(|(message_id, offset, text)| Appended {
            message_id,
            offset: usize::try_from(offset).unwrap_or_default(),
            text,
        }));
    }
    Ok(gained)
}

/// Removes the deltas of settled messages, whose content now holds the text.
pub(crate) fn fold(session: &mut dyn Session, messages: &[i64]) -> Result<()> {
    on!(session, |conn| diesel::delete(
        deltas::ai_engine_message_deltas.filter(any_of(deltas::message_id, messages))
    )
    .execute(conn))?;
    Ok(())
}
