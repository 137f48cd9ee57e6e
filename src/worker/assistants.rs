//! Brings the provider's own assistants in step, those that are due, one after the other.

use std::time::Duration;

use crate::drive::assistants;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::Result;
use crate::store::remote_assistants as rows;

/// Does what is due at one service. Returns when there may be more to do, if anything is noted.
pub(super) async fn pass(core: &Core, remote: &Remote) -> Result<Option<Duration>> {
    if !remote.provider.keeps_assistants() {
        return Ok(None);
    }
    let of = core.remotes().at(&remote.service);
    loop {
        let of = of.clone();
        let at = remote.service.clone();
        let look = core.store().read(move |session| {
            Ok(match rows::due(session, &at, &of)? {
                Some(id) => Ok(id),
                None => Err(rows::next_due(session, &at, &of)?),
            })
        });
        match look.await? {
            // What failed is noted, and due later.
            Ok(id) => drop(assistants::try_once(core, remote, id, false).await?),
            Err(next) => return Ok(next.map(|ms| Duration::from_millis(ms.unsigned_abs()))),
        }
    }
}
