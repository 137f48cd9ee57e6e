//! Where the stream of an owner begins in each conversation.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDateTime;

use super::cursor::{Cursor, Part};
use super::delivered::Delivered;
use super::feeds::{MARGIN, OwnerKey};
use super::owner_cursor::OwnerCursor;
use crate::engine::core::Core;
use crate::error::Result;
use crate::model::{Messageable, utc_now};
use crate::store::changed;

/// The place behind all that is over, and before the first turn of each conversation that is not.
pub(super) async fn now(core: &Core, (kind, id): &OwnerKey) -> Result<OwnerCursor> {
    let at = utc_now();
    let (kind, id) = (kind.clone(), id.clone());
    let found = core.store().read(move |session| {
        let changed = changed::since(session, &kind, std::slice::from_ref(&id), at - MARGIN)?;
        // Afterwards, so that no run that began in between is taken for one that is over.
        let unended = changed::unended(session, &kind, &id)?;
        Ok((changed, unended))
    });
    let (changed, unended) = found.await?;
    let mut cursor = OwnerCursor::new(at);
    for (_, changed) in changed {
        cursor.put(behind(changed.of, changed.next - 1));
    }
    for (of, first) in unended {
        cursor.put(behind(of, first - 1));
    }
    Ok(cursor)
}

/// The number of the next turn of each conversation that a place names and that is this owner's.
pub(super) async fn heads(
    core: &Core,
    (kind, id): &OwnerKey,
    cursor: &OwnerCursor,
) -> Result<HashMap<Messageable, i64>> {
    let (kind, id) = (kind.clone(), id.clone());
    let of: Vec<Messageable> = cursor.places.values().map(|place| place.of).collect();
    core.store().read(move |session| changed::heads_of_owner(session, &kind, &id, &of)).await
}

/// Behind this turn.
fn behind(of: Messageable, seq: i64) -> Cursor {
    let mut cursor = Cursor::at(of, seq, Part::Own);
    cursor.delivered = Arc::new(Delivered::all());
    cursor
}

/// The place in a conversation on which nothing had happened for a while: behind its last turn from then.
pub(super) async fn place_of(core: &Core, of: Messageable, since: NaiveDateTime) -> Result<Cursor> {
    let last = core.store().read(move |session| changed::last_before(session, of, since));
    Ok(behind(of, last.await?))
}
