//! Remote deletions: worked off after the local ones, until the provider has none of it.

use crate::crash;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::store::deletions::{self, RemoteKind};

/// One pass over the open deletions at the engine's own endpoint; those of another endpoint wait for an engine that
/// speaks to it. A deletion that fails stays, with its error.
pub(crate) async fn delete_remotely(engine: &AiEngine) -> Result<()> {
    let Some(remote) = engine.remote() else {
        return Ok(());
    };
    let _alone = engine.outbox().lock().await;
    let mut after = 0;
    loop {
        let endpoint = remote.protocol.endpoint().to_owned();
        let open =
            engine.store().read(move |session| deletions::open(session, &endpoint, after)).await?;
        let Some(last) = open.last() else {
            return Ok(());
        };
        after = last.id;
        for deletion in open {
            let deleted = match deletion.kind {
                RemoteKind::Response => remote.protocol.delete_response(&deletion.remote_id).await,
                RemoteKind::Conversation => {
                    remote.protocol.delete_conversation(&deletion.remote_id).await
                }
            };
            let id = deletion.id;
            match deleted {
                Ok(()) => {
                    crash::point!("deletion.carried_out");
                    let noted = engine.store().write(move |session| {
                        deletions::done(session, id)?;
                        crash::point!("deletion.committing");
                        Ok(())
                    });
                    noted.await?;
                    crash::point!("deletion.committed");
                }
                Err(error) => {
                    tracing::warn!(kind = %deletion.kind, id = deletion.remote_id, %error, "a remote deletion failed; it stays open");
                    let error = error.to_string();
                    engine
                        .store()
                        .write(move |session| {
                            deletions::failed(session, id, &error)?;
                            crash::point!("deletion_failure.committing");
                            Ok(())
                        })
                        .await?;
                    crash::point!("deletion_failure.committed");
                }
            }
        }
    }
}
