//! The provider's conversation of a thread: made once, asked what it holds when we cannot know, told anew when it cannot be
//! gone on with. The local database is the truth.

use std::collections::HashSet;
use std::time::Duration;

use super::input::{self, Entry, Source, as_stored};
use super::open_calls;
use super::output::new_item;
use crate::engine::core::{Core, Remote};
use crate::error::{Error, Result};
use crate::failpoint::{self, Write};
use crate::model::{Item, ItemKind, Messageable, RemoteState};
use crate::provider::{CallError, Ended};
use crate::store::items::{self, NewItem};
use crate::store::session::Session;
use crate::store::{messages, outbox, runs_of, threads};

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

/// Creates the conversation of a thread and returns the one to use: the thread may have got another meanwhile. `None`:
/// it was deleted.
pub(crate) async fn create_conversation(
    core: &Core,
    remote: &Remote,
    thread: i64,
) -> Result<Option<String>, NotReady> {
    let remote_id = remote.provider.create_conversation().await?;
    failpoint::point!("conversation.created");
    let (endpoint, protocol) = (remote.provider.endpoint().to_owned(), remote.provider.name());
    let noted = core.store().write(Write::Conversation, move |session| {
        threads::set_remote_conversation(session, thread, &remote_id, &endpoint, protocol)
    });
    Ok(noted.await?)
}

/// What is known of a conversation before it is gone on with.
struct Known {
    conversation: Option<String>,
    /// All entries, when it is in doubt whether it holds some of them.
    doubtful: Option<Vec<Entry>>,
}

/// The conversation a run continues: the thread's own at this endpoint, or a new one. Before it is used again, what
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
    let endpoint = remote.provider.endpoint().to_owned();
    let known = core.store().read(move |session| known(session, thread, seq, &endpoint)).await?;
    let Some(conversation) = known.conversation else {
        return create_conversation(core, remote, thread).await;
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
            tracing::warn!(thread, "the conversation lost what it held; a new one is told");
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
            tracing::warn!(thread, error = %error.brief(), "what the conversation holds cannot be found out; a new one is told");
            return recreate(core, remote, thread).await;
        }
        Err(error) => return Err(error.into()),
    };
    let found = compare(&entries, &tail, anchor.as_deref());
    if found.is_stuck {
        tracing::warn!(
            thread,
            "the conversation ends in a call that cannot be closed; a new one is told"
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
    let (endpoint, protocol) = (remote.provider.endpoint().to_owned(), remote.provider.name());
    core.store()
        .write(Write::Reconcile, move |session| note(session, parent, &found, &endpoint, protocol))
        .await?;
    Ok(Some(conversation))
}

fn known(session: &mut dyn Session, thread: i64, seq: i64, endpoint: &str) -> Result<Known> {
    let parent = Messageable::AssistantThread(thread);
    let conversation = threads::remote_conversation(session, thread, endpoint)?;
    let is_doubtful = |entry: &Entry| entry.remote_state == RemoteState::Unknown;
    let said = messages::not_held_up_to(session, parent, seq, endpoint)?;
    let done = items::not_held_up_to(session, parent, seq, endpoint)?;
    if !input::entries(said, done, endpoint).iter().any(is_doubtful) {
        return Ok(Known { conversation, doubtful: None });
    }
    // Also what it surely holds: an earlier message that says the same must not be taken for a later one.
    let said = messages::up_to(session, parent, seq)?;
    let done = items::up_to(session, parent, seq)?;
    let doubtful = Some(input::entries(said, done, endpoint));
    Ok(Known { conversation, doubtful })
}

/// Gives the conversation up, which goes to the outbox, and makes a new one, which is told all of ours.
pub(crate) async fn recreate(
    core: &Core,
    remote: &Remote,
    thread: i64,
) -> Result<Option<String>, NotReady> {
    core.store()
        .write(Write::ConversationLost, move |session| {
            outbox::note_conversation_of(session, thread)?;
            threads::forget_remote_conversation(session, thread)
        })
        .await?;
    core.work_outbox();
    create_conversation(core, remote, thread).await
}

/// What the conversation's newest items say of what we have.
#[derive(Debug, Default)]
struct Compared {
    /// Messages that are there, and their ids there.
    messages: Vec<(i64, String)>,
    /// Items that are there.
    items: Vec<i64>,
    /// Messages and items that are not.
    absent: (Vec<i64>, Vec<i64>),
    /// Calls that are there without an output, and that we never saw: each with the output that closes it.
    left_behind: Vec<(Item, Item)>,
    /// One of them cannot be closed.
    is_stuck: bool,
    /// Where what was left behind belongs.
    place: (i64, i64),
}

/// Goes through what we have, behind the item that both surely have, and through theirs, in order: each of theirs is used
/// up by the first of ours that says the same.
fn compare(entries: &[Entry], tail: &[Item], anchor: Option<&str>) -> Compared {
    let mut compared = Compared::default();
    let anchored = anchor.and_then(|anchor| {
        entries.iter().rposition(|entry| entry.remote_id.as_deref() == Some(anchor))
    });
    let ours: HashSet<ItemKind<'_>> = entries.iter().map(|entry| entry.item.kind()).collect();
    for call in open_calls::open(tail) {
        let ItemKind::ToolCall(id) = call.kind() else { continue };
        match open_calls::closing(call) {
            _ if ours.contains(&ItemKind::ToolOutput(id)) => {}
            Some(output) => compared.left_behind.push((call.clone(), output)),
            None => compared.is_stuck = true,
        }
    }
    let mut rest = tail.iter();
    for (at, entry) in entries.iter().enumerate() {
        let is_known = entry.remote_state == RemoteState::Held;
        if is_known && anchored.is_some_and(|anchored| at <= anchored) {
            compared.place = compared.place.max(entry.place);
            continue;
        }
        let doubtful = entry.remote_state == RemoteState::Unknown;
        if !is_known && !doubtful {
            continue;
        }
        let mut ahead = rest.clone();
        let item = ahead.find(|item| same(item, entry));
        if item.is_some() {
            rest = ahead;
            compared.place = compared.place.max(entry.place);
        }
        match (entry.source, item) {
            _ if is_known => {}
            (Source::Message(id), Some(item)) => {
                compared.messages.push((id, item.id().unwrap_or_default().to_owned()));
            }
            (Source::Item(id), Some(_)) => compared.items.push(id),
            (Source::Message(id), None) => compared.absent.0.push(id),
            (Source::Item(id), None) => compared.absent.1.push(id),
        }
    }
    // Behind everything of its turn.
    let of_turn = entries.iter().filter(|entry| entry.place.0 == compared.place.0);
    compared.place.1 = of_turn.map(|entry| entry.place.1).max().unwrap_or_default() + 1;
    compared
}

fn note(
    session: &mut dyn Session,
    parent: Messageable,
    found: &Compared,
    endpoint: &str,
    protocol: &str,
) -> Result<()> {
    for (id, remote_id) in &found.messages {
        messages::found_remotely(session, *id, remote_id)?;
    }
    let (held, absent) = (RemoteState::Held, RemoteState::Absent);
    items::set_remote_state(session, &found.items, held, endpoint, protocol)?;
    messages::set_remote_state(session, &found.absent.0, absent, endpoint, protocol)?;
    items::set_remote_state(session, &found.absent.1, absent, endpoint, protocol)?;
    let (seq, mut position) = found.place;
    let Some(run) = runs_of::last_up_to(session, parent, seq)? else { return Ok(()) };
    for (call, output) in &found.left_behind {
        for (item, state) in [(call, held), (output, absent)] {
            let item = NewItem { position, ..new_item(item.clone(), state) };
            items::insert(session, run, &item, endpoint, protocol)?;
            position += 1;
        }
    }
    Ok(())
}

/// Whether the provider's item is ours: by its id, if we know it. What we sent got an id that we never saw, so it goes by
/// what it says.
fn same(theirs: &Item, ours: &Entry) -> bool {
    if ours.remote_id.is_some() && ours.remote_id.as_deref() == theirs.id() {
        return true;
    }
    theirs.type_name() == ours.item.type_name()
        && match theirs.kind() {
            ItemKind::Message => {
                theirs.role() == ours.item.role()
                    && as_stored(&theirs.text()) == as_stored(&ours.item.text())
            }
            call @ (ItemKind::ToolCall(_) | ItemKind::ToolOutput(_)) => call == ours.item.kind(),
            ItemKind::Reasoning | ItemKind::Other => false,
        }
}

/// Whether nothing of what a conversation held is in the whole list of its items: a server that lost its memory may answer
/// to an unknown id as to a new conversation.
fn holds_none_of(all: &[Item], ours: &[Entry]) -> bool {
    let mut held = ours.iter().filter(|entry| entry.remote_state == RemoteState::Held).peekable();
    held.peek().is_some() && !held.any(|entry| all.iter().any(|item| same(item, entry)))
}

/// Longest time to look whether a conversation is kept.
const LOOK: Duration = Duration::from_secs(10);

/// Whether a conversation holds what a call has just added to it. `None`: it could not be found out.
pub(crate) async fn holds(
    remote: &Remote,
    conversation: &str,
    question: &str,
    ended: &Ended,
) -> Option<bool> {
    let look = remote.provider.conversation_newest(conversation);
    match tokio::time::timeout(LOOK, look).await.ok()? {
        Ok(newest) => Some(newest.iter().any(|item| {
            let is_answer =
                ended.output.iter().any(|ours| ours.id().is_some() && ours.id() == item.id());
            is_answer || item.role() == Some("user") && item.text() == question
        })),
        Err(error) => error.is_not_offered().then_some(false),
    }
}

/// A server took a conversation and does not keep it: from now on the history is ours alone.
pub(crate) async fn give_up(core: &Core, remote: &Remote, thread: i64) -> Result<()> {
    remote.ignore_conversations();
    tracing::warn!(
        endpoint = remote.provider.endpoint(),
        "the server takes conversations and does not keep them; the history is sent with each call from now on: use History::Local"
    );
    let given_up = core.store().write(Write::ConversationIgnored, move |session| {
        outbox::note_conversation_of(session, thread)?;
        threads::forget_remote_conversation(session, thread)
    });
    given_up.await?;
    core.work_outbox();
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours(seq: i64, role: &str, text: &str, state: RemoteState, id: Option<&str>) -> Entry {
        Entry {
            place: (seq, i64::from(role == "assistant")),
            source: Source::Message(seq * 10 + i64::from(role == "assistant")),
            item: Item::message(role, text),
            remote_state: state,
            remote_id: id.map(str::to_owned),
            asked: role == "user",
        }
    }

    fn theirs(id: &str, role: &str, text: &str) -> Item {
        Item::from(
            json!({"type": "message", "id": id, "role": role, "content": [{"type": "input_text", "text": text}]}),
        )
    }

    const HELD: RemoteState = RemoteState::Held;
    const UNKNOWN: RemoteState = RemoteState::Unknown;

    /// A model is told that an answer breaks off; the provider's own item of it does not say so.
    #[test]
    fn an_answer_that_breaks_off_is_known_with_its_mark_and_without() {
        let (bare, marked) = ("Once upon", "Once upon\n\n[This answer breaks off here.]");
        for text in [bare, marked] {
            let entries = [ours(1, "assistant", marked, UNKNOWN, None)];
            let tail = [theirs("m1", "assistant", text)];
            assert_eq!(compare(&entries, &tail, None).messages, [(11, "m1".to_owned())], "{text}");
        }
    }

    /// After a turn without a text the newest item that is known for sure may be far back.
    #[test]
    fn an_earlier_message_that_says_the_same_is_not_taken_for_a_later_one() {
        let entries = || {
            vec![
                ours(1, "user", "hello", HELD, None),
                ours(1, "assistant", "hi", HELD, Some("m1")),
                ours(2, "user", "yes", HELD, None),
                ours(3, "user", "yes", UNKNOWN, None),
            ]
        };
        let tail = [theirs("u2", "user", "yes")];
        assert_eq!(compare(&entries(), &tail, Some("m1")).absent.0, [30]);
        let tail = [theirs("u2", "user", "yes"), theirs("u3", "user", "yes")];
        assert_eq!(compare(&entries(), &tail, Some("m1")).messages, [(30, "u3".to_owned())]);
        // Without an anchor the whole list is gone through.
        let tail = [
            theirs("u1", "user", "hello"),
            theirs("m1", "assistant", "hi"),
            theirs("u2", "user", "yes"),
        ];
        assert_eq!(compare(&entries(), &tail, None).absent.0, [30]);
    }

    #[test]
    fn calls_that_were_left_behind_are_closed() {
        let call = Item::from(
            json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}),
        );
        let screen = Item::from(json!({"type": "computer_call", "id": "cc_1", "call_id": "c2"}));
        let entries = || vec![ours(1, "user", "look", UNKNOWN, None)];
        let compared = compare(&entries(), &[theirs("u1", "user", "look"), call.clone()], None);
        assert_eq!(
            (compared.left_behind.len(), compared.is_stuck, compared.place),
            (1, false, (1, 1))
        );
        assert_eq!(compared.left_behind[0].1.type_name(), "function_call_output");
        assert!(compare(&entries(), &[screen], None).is_stuck);
        // Those that we close already are ours to send.
        let mut entries = entries();
        let output =
            Item::from(json!({"type": "function_call_output", "call_id": "c1", "output": "1"}));
        entries.push(Entry {
            source: Source::Item(1),
            item: output,
            remote_state: RemoteState::Absent,
            place: (1, 3),
            remote_id: None,
            asked: false,
        });
        assert!(compare(&entries, &[call], None).left_behind.is_empty());
    }
}
