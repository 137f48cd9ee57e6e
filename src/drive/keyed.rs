//! Assistants at a provider that carry a key of ours: one that was asked for and never answered has no id that we know, and is found by
//! it.

use std::hash::{BuildHasher, RandomState};

use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::with_causes;
use crate::provider;
use crate::store::remote_assistants as rows;

/// The name of the pair of metadata. It counts among the 16 that an assistant may have.
pub(super) const KEY: &str = "ai_engine_key";

/// Unlike any other: 128 random bits.
pub(super) fn new_key() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", random(), random())
}

/// Those that carry a key; none where they cannot be looked through.
pub(super) async fn find(remote: &Remote, key: &str) -> provider::Result<Vec<String>> {
    remote.provider.find_assistants(KEY, key).await
}

/// Deletes all that carry a key, but for the one that a row of ours uses. Says why it could not.
pub(crate) async fn delete(core: &Core, remote: &Remote, key: &str) -> Result<(), String> {
    let carrying = find(remote, key).await.map_err(|error| error.to_string())?;
    if carrying.is_empty() {
        return Ok(());
    }
    let key = key.to_owned();
    let used = core.store().read(move |session| rows::used_of_key(session, &key)).await;
    let used = used.map_err(|error| with_causes(&error))?;
    let used = used.map_err(|_| "a process is about to use one of them".to_owned())?;
    for id in carrying.iter().filter(|id| Some(*id) != used.as_ref()) {
        remote.provider.delete_assistant(id).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
