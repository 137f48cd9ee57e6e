//! What a call makes at the provider for itself alone, where a protocol has no way without: noted before it is used, deleted behind
//! it, and by the outbox where the process did not come to that.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::keyed::{KEY, new_key};
use super::persist::persist;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::model::Service;
use crate::provider::{self, CallError, Own};
use crate::store::outbox::{self, MadeOwn, RemoteKind};

/// What is noted of one call.
#[derive(Debug)]
struct Noted {
    core: Core,
    service: Service,
    key: String,
    thread: Mutex<Option<String>>,
}

/// Notes that a call is about to make an assistant there; `None` where it makes nothing.
pub(super) async fn begin(core: &Core, remote: &Remote) -> Result<Option<Arc<dyn Own>>> {
    if !remote.provider.makes_its_own() {
        return Ok(None);
    }
    let noted = Noted {
        core: core.clone(),
        service: remote.service.clone(),
        key: new_key(),
        thread: Mutex::default(),
    };
    noted.note(Write::OwnAssistant, RemoteKind::AssistantsOfKey, &noted.key).await?;
    Ok(Some(Arc::new(noted)))
}

impl Noted {
    async fn note(&self, write: Write, kind: RemoteKind, id: &str) -> Result<()> {
        let (at, id) = (self.service.clone(), id.to_owned());
        let noted =
            persist(&self.core, write, move |session| outbox::note_own(session, kind, &id, &at));
        noted.await
    }
}

#[async_trait]
impl Own for Noted {
    fn mark(&self) -> (&'static str, &str) {
        (KEY, &self.key)
    }

    async fn note_thread(&self, id: &str) -> provider::Result<()> {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        let noted = self.note(Write::OwnThread, RemoteKind::Conversation, id).await;
        noted.map_err(|error| {
            tracing::warn!(
                error = with_causes(&error),
                "a thread could not be noted, and is not used"
            );
            CallError::disconnected("the database did not take the note of what the call made")
        })
    }

    async fn end(&self, deleted: bool) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let made = MadeOwn { thread, key: self.key.clone() };
        let at = self.service.clone();
        let ended = persist(&self.core, Write::OwnEnd, move |session| {
            outbox::end_own(session, &made, &at, deleted)
        });
        if let Err(error) = ended.await {
            // It is found when it must be of no use any more.
            tracing::debug!(error = with_causes(&error), "what a call made stays noted");
        } else if !deleted {
            self.core.work_outbox();
        }
    }
}
