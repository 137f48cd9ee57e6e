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
    let mut taken = Vec::new();
    loop {
        let (of, at, but) = (of.clone(), remote.service.clone(), taken.clone());
        let due = core.store().read(move |session| rows::due(session, &at, &of, &but)).await?;
        let Some(id) = due else { break };
        // What failed is noted, and due later.
        if assistants::try_once(core, remote, id, false).await?.is_none() {
            taken.push(id);
        }
    }
    let at = remote.service.clone();
    let next = core.store().read(move |session| rows::next_due(session, &at, &of)).await?;
    let next = next.map(|ms| Duration::from_millis(ms.unsigned_abs()));
    Ok(next.map(|next| if taken.is_empty() { next } else { next.max(TAKEN) }))
}

/// What somebody else has is looked at again after so long.
const TAKEN: Duration = Duration::from_secs(1);
