//! The provider's conversation of a thread: made once, asked what it holds when we cannot know, replaced when it cannot be
//! continued. The local database is the truth.

use std::collections::HashSet;
use std::time::Duration;

use super::entries::{self, Entry};
use super::parts;
use super::reconcile::{compare, holds_none_of, note};
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::{Error, Result};
use crate::failpoint::{self, Write};
use crate::model::{Item, Messageable, RemoteState, Service};
use crate::provider::{CallError, Ended};
use crate::store::conversations::{self, Other};
use crate::store::session::Session;
use crate::store::{items, messages, outbox};

/// Why a thread has no conversation to go on with.
#[derive(Debug)]
pub(crate) enum NotReady {
    Provider(CallError),
    /// Our own database.
    Store(Error),
}

impl From<CallError> for NotReady {
    fn from(error: CallError) -> Self {
        Self::Provider(error)
    }
}

impl From<Error> for NotReady {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<NotReady> for Error {
    fn from(error: NotReady) -> Self {
        match error {
            NotReady::Provider(error) => error.into(),
            NotReady::Store(error) => error,
        }
    }
}

/// Creates the conversation of a thread and returns the one to use here: the thread may have got another meanwhile. `None`:
/// it was deleted, or stays with the one that it has elsewhere.
pub(crate) async fn create_conversation(
    core: &Core,
    remote: &Remote,
    thread: i64,
    other: Other,
) -> Result<Option<String>, NotReady> {
    let remote_id = remote.provider.create_conversation().await?;
    failpoint::point!("conversation.created");
    let at = remote.service.clone();
    let noted = core.store().write(Write::Conversation, move |session| {
        conversations::set(session, thread, &remote_id, &at, other)
    });
    let noted = noted.await?;
    // One that is not used is deleted.
    core.work_outbox();
    Ok(noted)
}

/// What is known of a conversation before it is gone on with.
struct Known {
    conversation: Option<String>,
    /// All entries, when it is in doubt whether it holds some of them.
    doubtful: Option<Vec<Entry>>,
}

/// The conversation a run continues: the thread's own at this service, or a new one. Before it is used again, what
/// it may or may not hold is found out. `None` in local history.
pub(crate) async fn ready(
    core: &Core,
    remote: &Remote,
    parent: Messageable,
    seq: i64,
) -> Result<Option<String>, NotReady> {
    let Messageable::AssistantThread(thread) = parent else {
        return Ok(None);
    };
    if !remote.keeps_conversations() {
        return Ok(None);
    }
    let at = remote.service.clone();
    let known = core.store().read(move |session| known(session, thread, seq, &at)).await?;
    let Some(conversation) = known.conversation else {
        return create_conversation(core, remote, thread, Other::GoesToTheOutbox).await;
    };
    let Some(entries) = known.doubtful else {
        return Ok(Some(conversation));
    };
    let held: HashSet<&str> = entries
        .iter()
        .filter(|entry| entry.remote_state == RemoteState::Held)
        .filter_map(|entry| entry.remote_id.as_deref())
        .collect();
    let tail = remote.provider.conversation_tail(&conversation, &|id| held.contains(id)).await;
    let (tail, anchor) = match tail {
        Ok((tail, None)) if holds_none_of(&tail, &entries) => {
            tracing::warn!(
                thread,
                "the conversation lost what it held; a new one gets the whole history"
            );
            return recreate(core, remote, thread).await;
        }
        Ok(tail) => tail,
        Err(error) if error.is_not_found() => {
            if !remote.provider.conversation_exists(&conversation).await? {
                return recreate(core, remote, thread).await;
            }
            // It lives, and does not list its items: what may not be there is sent again.
            (Vec::new(), None)
        }
        // Its items cannot be told, or the server does not tell them.
        Err(error) if error.is_malformed() || error.refuses_to_list() => {
            tracing::warn!(thread, error = %error.brief(), "what the conversation holds cannot be found out; a new one gets the whole history");
            return recreate(core, remote, thread).await;
        }
        Err(error) => return Err(error.into()),
    };
    let found = compare(&entries, &tail, anchor.as_deref());
    if found.is_stuck {
        tracing::warn!(
            thread,
            "the conversation ends in a call that cannot be closed; a new one gets the whole history"
        );
        return recreate(core, remote, thread).await;
    }
    tracing::info!(
        thread,
        held = found.messages.len() + found.items.len(),
        absent = found.absent.0.len() + found.absent.1.len(),
        left_behind = found.left_behind.len(),
        "reconciled with the provider"
    );
    let at = remote.service.clone();
    core.store().write(Write::Reconcile, move |session| note(session, parent, &found, &at)).await?;
    Ok(Some(conversation))
}

fn known(session: &mut dyn Session, thread: i64, seq: i64, at: &Service) -> Result<Known> {
    let parent = Messageable::AssistantThread(thread);
    let conversation = conversations::at(session, thread, at)?;
    let is_doubtful = |entry: &Entry| entry.remote_state == RemoteState::Unknown;
    let said = messages::not_held_up_to(session, parent, seq, at)?;
    let done = items::not_held_up_to(session, parent, seq, at)?;
    if !entries::entries(said, done, at).iter().any(is_doubtful) {
        return Ok(Known { conversation, doubtful: None });
    }
    // Also what it surely holds: an earlier message that says the same must not be taken for a later one.
    let said = messages::on_path(session, parent, 0..=seq)?;
    let done = items::on_path(session, parent, 0..=seq)?;
    let doubtful = Some(entries::entries(said, done, at));
    Ok(Known { conversation, doubtful })
}

/// Gives the conversation up, which goes to the outbox, and makes a new one, which gets the whole history.
pub(crate) async fn recreate(
    core: &Core,
    remote: &Remote,
    thread: i64,
) -> Result<Option<String>, NotReady> {
    core.store()
        .write(Write::ConversationLost, move |session| {
            outbox::note_conversation_of(session, thread)?;
            conversations::forget(session, thread)
        })
        .await?;
    create_conversation(core, remote, thread, Other::GoesToTheOutbox).await
}

/// Longest time to look whether a conversation is kept.
const LOOK: Duration = Duration::from_secs(10);

/// Whether a conversation holds what a call has just added to it. `None`: it could not be found out.
pub(crate) async fn holds(
    remote: &Remote,
    conversation: &str,
    question: Option<&Item>,
    ended: &Ended,
) -> Option<bool> {
    let look = remote.provider.conversation_newest(conversation);
    match tokio::time::timeout(LOOK, look).await.ok()? {
        Ok(newest) => Some(newest.iter().any(|item| {
            let is_answer =
                ended.output.iter().any(|ours| ours.id().is_some() && ours.id() == item.id());
            let says_the_same =
                |question: &Item| item.text() == question.text() && parts::same(item, question);
            is_answer || item.role() == Some("user") && question.is_some_and(says_the_same)
        })),
        Err(error) => error.is_not_offered().then_some(false),
    }
}

/// A server took a conversation and does not keep it: from now on the history is ours alone. `false`: the thread does not name
/// that conversation any more, so that it is no wonder, since whoever destroyed the thread deletes it.
pub(crate) async fn give_up(
    core: &Core,
    remote: &Remote,
    thread: i64,
    conversation: String,
) -> Result<bool> {
    let at = remote.service.clone();
    let given_up = core.store().write_as(Write::ConversationIgnored, move |session| {
        let named = conversations::at(session, thread, &at)?;
        if named.as_ref() != Some(&conversation) {
            return Ok((None, false));
        }
        outbox::note_conversation_of(session, thread)?;
        conversations::forget(session, thread)?;
        Ok((Some(Write::ConversationIgnored), true))
    });
    let given_up = given_up.await;
    if matches!(given_up, Ok(false)) {
        return Ok(false);
    }
    remote.ignore_conversations();
    tracing::warn!(
        endpoint = remote.provider.endpoint(),
        "the server takes conversations and does not keep them; the history is sent with each call from now on: use History::Local"
    );
    core.work_outbox();
    given_up
}
