//! The provider's conversation of a thread: made once, and asked what it holds when we cannot know.

use crate::crash;
use crate::engine::{AiEngine, Remote};
use crate::error::Result;
use crate::model::{Messageable, RemoteState};
use crate::openai::Item;
use crate::run::history::{self, Entry, Source};
use crate::store::{items, messages, threads};

/// Creates the conversation of a thread and returns the one to use: the thread may have got another meanwhile. `None`:
/// it was deleted.
pub(crate) async fn create_conversation(
    engine: &AiEngine,
    remote: &Remote,
    thread: i64,
) -> Result<Option<String>> {
    let remote_id = remote.protocol.create_conversation().await?;
    crash::point!("conversation.created");
    let (endpoint, protocol) = (remote.protocol.endpoint().to_owned(), remote.protocol.name());
    let noted = engine.store().write(move |session| {
        let used =
            threads::set_remote_conversation(session, thread, &remote_id, &endpoint, protocol)?;
        crash::point!("conversation.committing");
        Ok(used)
    });
    let used = noted.await?;
    crash::point!("conversation.committed");
    Ok(used)
}

/// The conversation a run continues: the thread's own at this endpoint, or a new one. Before it is used again, what
/// it may or may not hold is found out. `None` in local history.
pub(super) async fn ready(
    engine: &AiEngine,
    remote: &Remote,
    parent: Messageable,
    seq: i64,
) -> Result<Option<String>> {
    let Messageable::AssistantThread(thread) = parent else {
        return Ok(None);
    };
    if !remote.keeps_conversations() {
        return Ok(None);
    }
    let endpoint = remote.protocol.endpoint().to_owned();
    let (known, unknown, held) = engine
        .store()
        .read(move |session| {
            let known = threads::remote_conversation(session, thread, &endpoint)?;
            let said = messages::not_held_up_to(session, parent, seq, &endpoint)?;
            let entries = history::entries(said, items::up_to(session, parent, seq)?, &endpoint);
            let unknown: Vec<Entry> = entries
                .into_iter()
                .filter(|entry| entry.remote_state == RemoteState::Unknown)
                .collect();
            let held = if unknown.is_empty() {
                Vec::new()
            } else {
                messages::held(session, thread, &endpoint)?
            };
            Ok((known, unknown, held))
        })
        .await?;
    let Some(conversation) = known else {
        return create_conversation(engine, remote, thread).await;
    };
    if unknown.is_empty() {
        return Ok(Some(conversation));
    }
    let known = |id: &str| held.iter().any(|held| held == id);
    match remote.protocol.conversation_tail(&conversation, &known).await {
        Ok(tail) => {
            reconcile(engine, remote, thread, unknown, &tail).await.map(|()| Some(conversation))
        }
        Err(error) if error.is_not_found() => recreate(engine, remote, thread).await,
        Err(error) => Err(error.into()),
    }
}

/// The provider lost the conversation; ours is the truth, so it is told all of it again.
pub(super) async fn recreate(
    engine: &AiEngine,
    remote: &Remote,
    thread: i64,
) -> Result<Option<String>> {
    engine
        .store()
        .write(move |session| {
            threads::forget_remote_conversation(session, thread)?;
            crash::point!("lost_conversation.committing");
            Ok(())
        })
        .await?;
    crash::point!("lost_conversation.committed");
    create_conversation(engine, remote, thread).await
}

/// Marks each doubtful entry as held if the conversation's newest items have it, in order, and as absent if not.
async fn reconcile(
    engine: &AiEngine,
    remote: &Remote,
    thread: i64,
    unknown: Vec<Entry>,
    tail: &[Item],
) -> Result<()> {
    let mut rest = tail.iter();
    let mut found: Vec<(i64, String)> = Vec::new();
    let mut held_items = Vec::new();
    let mut absent = (Vec::new(), Vec::new());
    for entry in unknown {
        let mut ahead = rest.clone();
        let item = ahead.find(|item| same(item, &entry));
        if item.is_some() {
            rest = ahead;
        }
        match (entry.source, item) {
            (Source::Message(id), Some(item)) => {
                found.push((id, item.id().unwrap_or_default().to_owned()));
            }
            (Source::Item(id), Some(_)) => held_items.push(id),
            (Source::Message(id), None) => absent.0.push(id),
            (Source::Item(id), None) => absent.1.push(id),
        }
    }
    tracing::info!(
        thread,
        held = found.len() + held_items.len(),
        absent = absent.0.len() + absent.1.len(),
        "reconciled with the provider"
    );
    let (endpoint, protocol) = (remote.protocol.endpoint().to_owned(), remote.protocol.name());
    engine
        .store()
        .write(move |session| {
            for (id, remote_id) in &found {
                messages::found_remotely(session, *id, remote_id)?;
            }
            items::set_remote_state(session, &held_items, RemoteState::Held, &endpoint, protocol)?;
            messages::set_remote_state(
                session,
                &absent.0,
                RemoteState::Absent,
                &endpoint,
                protocol,
            )?;
            items::set_remote_state(session, &absent.1, RemoteState::Absent, &endpoint, protocol)?;
            crash::point!("reconcile.committing");
            Ok(())
        })
        .await?;
    crash::point!("reconcile.committed");
    Ok(())
}

/// Whether the provider's item is ours: by its id, if we know it. What we sent got an id that we never saw, so it goes by
/// what it says.
fn same(theirs: &Item, ours: &Entry) -> bool {
    if ours.remote_id.is_some() && ours.remote_id.as_deref() == theirs.id() {
        return true;
    }
    theirs.kind() == ours.item.kind()
        && match theirs.kind() {
            "message" => theirs.role() == ours.item.role() && theirs.text() == ours.item.text(),
            _ => theirs.call_id().is_some() && theirs.call_id() == ours.item.call_id(),
        }
}
