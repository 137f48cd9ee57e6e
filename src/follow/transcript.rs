//! What is seen of one run: its row, its messages, how far the stream was read. The stream fills it; the writer, the hooks and
//! the subscribers each pull from it at their own pace, so that nobody queues per token.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::{Message, Messageable, Run, ToolCall};

/// A run as it is seen: one that this process drives, or the replica of one that another does.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) id: i64,
    pub(crate) of: Messageable,
    pub(crate) seq: i64,
    /// It follows what another process stores.
    pub(crate) is_replica: bool,
    seen: Mutex<Seen>,
    /// Notified of every change.
    changed: watch::Sender<()>,
    /// Notified of every change but of text that arrived, which comes by the thousand.
    updated: watch::Sender<()>,
}

/// What is seen of a run now.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Seen {
    /// The row as last committed.
    pub(crate) run: Run,
    /// Some process claimed it.
    pub(crate) begun: bool,
    pub(crate) user_message: Option<Message>,
    /// The model's messages in the order of their positions.
    pub(crate) messages: Vec<SeenMessage>,
    /// Calls of tools in the order of their positions.
    pub(crate) calls: Vec<ToolCall>,
    /// It goes on with what an earlier process, or an earlier part of this one's time, stored.
    pub(crate) resumed: bool,
    /// How far the stream was read: the number of the last event whose text is in `messages`.
    pub(crate) position: Option<i64>,
    /// The end is committed.
    pub(crate) ended: bool,
    /// Why this process gave the run up.
    pub(crate) failure: Option<String>,
    /// All hooks were delivered, or there is nobody left to drive the run.
    pub(crate) finished: bool,
    /// Which transcript this is: readers compare what another one delivered to them.
    pub(crate) source: u64,
    /// Where each message changed last, by the number of the change: a reader looks at what it has not seen.
    changes: BTreeMap<u64, i64>,
    /// Bytes of all texts.
    bytes: usize,
    /// Pieces of text that arrived since those who wait were notified.
    unheard: u32,
}

/// A message of the model as far as it has arrived.
#[derive(Debug)]
pub(crate) struct SeenMessage {
    pub(crate) slot: i64,
    pub(crate) remote_id: Option<String>,
    pub(crate) text: String,
    /// The row, once it is committed.
    pub(crate) row: Option<Message>,
    /// The final text was another than the streamed one.
    pub(crate) replaced: bool,
    pub(crate) settled: bool,
    /// The number of its last change.
    version: u64,
}

/// What an append made of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grown {
    /// Of the message there is no row yet.
    pub(crate) first: bool,
    /// All text of the run, in bytes, and of how many messages.
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

/// After so many pieces those who wait are notified, also while there are more: a stream at full speed is heard as it comes.
const MOST_UNHEARD: u32 = 32;

/// Tells one transcript from another; 0 is none.
static SOURCES: AtomicU64 = AtomicU64::new(1);

impl Transcript {
    pub(crate) fn new(run: Run) -> Self {
        Self::of(run, false)
    }

    pub(super) fn of(run: Run, is_replica: bool) -> Self {
        Self {
            id: run.id,
            of: run.messageable,
            seq: run.seq,
            is_replica,
            seen: Mutex::new(Seen {
                run,
                begun: false,
                user_message: None,
                messages: Vec::new(),
                calls: Vec::new(),
                resumed: false,
                position: None,
                ended: false,
                failure: None,
                finished: false,
                source: SOURCES.fetch_add(1, Ordering::Relaxed),
                changes: BTreeMap::new(),
                bytes: 0,
                unheard: 0,
            }),
            changed: watch::Sender::new(()),
            updated: watch::Sender::new(()),
        }
    }

    /// A panic elsewhere leaves what is seen as consistent as it was.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A short, never awaiting look.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.lock())
    }

    /// Changes what is seen, and wakes everybody who waits for a change.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let value = change(&mut self.lock());
        self.wake();
        value
    }

    /// Wakes everybody, for the sake of something beside what is seen here.
    pub(crate) fn wake(&self) {
        self.wake_beside_text();
        self.changed.send_replace(());
    }

    /// Wakes those who do not wait for text: what is seen is as it was.
    pub(crate) fn wake_beside_text(&self) {
        self.updated.send_replace(());
    }

    /// Wakes everybody who waits for text, if any arrived since they were woken last.
    pub(crate) fn notify(&self) {
        if std::mem::take(&mut self.lock().unheard) > 0 {
            self.changed.send_replace(());
        }
    }

    /// Appends text that arrived, and notes the place in the stream that it stands for, both at once: no look sees the one
    /// without the other. Whoever knows that nothing more is there calls [`notify`](Self::notify).
    pub(crate) fn append(
        &self,
        position: Option<i64>,
        slot: i64,
        remote_id: Option<String>,
        text: &str,
    ) -> Grown {
        let mut seen = self.lock();
        seen.position = position.or(seen.position);
        let first = seen.change(slot, |message| {
            if message.remote_id.is_none() {
                message.remote_id = remote_id;
            }
            message.text.push_str(text);
            message.row.is_none()
        });
        seen.unheard += 1;
        let many = seen.unheard >= MOST_UNHEARD;
        let grown = Grown { first, bytes: seen.bytes, messages: seen.messages.len() };
        drop(seen);
        if many {
            self.notify();
        }
        grown
    }

    /// Notes a place in the stream that stands for no text.
    pub(crate) fn advance(&self, position: Option<i64>) {
        if position.is_some() {
            self.lock().position = position;
        }
    }

    /// Tells of all changes from now on but of text that arrives.
    pub(crate) fn updates(&self) -> watch::Receiver<()> {
        self.updated.subscribe()
    }

    /// Waits until `ready` finds what it looks for.
    pub(crate) async fn wait<T>(&self, ready: impl FnMut(&Seen) -> Option<T>) -> T {
        self.wait_for(self.changed.subscribe(), ready).await
    }

    /// Waits until `ready` finds what it looks for, which is not in text that arrives. Nobody is woken for each word this way.
    pub(crate) async fn wait_for_update<T>(&self, ready: impl FnMut(&Seen) -> Option<T>) -> T {
        self.wait_for(self.updates(), ready).await
    }

    async fn wait_for<T>(
        &self,
        mut changes: watch::Receiver<()>,
        mut ready: impl FnMut(&Seen) -> Option<T>,
    ) -> T {
        loop {
            changes.mark_unchanged();
            if let Some(value) = ready(&self.lock()) {
                return value;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`, which we borrow.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl SeenMessage {
    pub(crate) const fn new(slot: i64) -> Self {
        Self {
            slot,
            remote_id: None,
            text: String::new(),
            row: None,
            replaced: false,
            settled: false,
            version: 0,
        }
    }

    /// Whether not a word of it has arrived.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim_start().is_empty()
    }
}

impl Seen {
    /// Forgets what a broken call left that said nothing, so that the next one begins clean.
    pub(crate) fn begin_again(&mut self) {
        self.keep_messages(|message| message.row.is_some());
        self.position = None;
    }

    /// Changes the message in this place, which is made if there is none.
    pub(crate) fn change<T>(&mut self, slot: i64, change: impl FnOnce(&mut SeenMessage) -> T) -> T {
        let next = self.changes.last_key_value().map_or(1, |(version, _)| version + 1);
        let at = match self.messages.binary_search_by_key(&slot, |message| message.slot) {
            Ok(found) => found,
            Err(place) => {
                self.messages.insert(place, SeenMessage::new(slot));
                place
            }
        };
        let message = &mut self.messages[at];
        let before = message.text.len();
        let changed = change(message);
        self.bytes = self.bytes + message.text.len() - before;
        self.changes.remove(&std::mem::replace(&mut message.version, next));
        self.changes.insert(next, slot);
        changed
    }

    /// Leaves the other messages out.
    pub(crate) fn keep_messages(&mut self, mut keep: impl FnMut(&SeenMessage) -> bool) {
        let Self { messages, changes, bytes, .. } = self;
        messages.retain(|message| {
            let kept = keep(message);
            if !kept {
                changes.remove(&message.version);
                *bytes -= message.text.len();
            }
            kept
        });
    }

    /// The messages that changed after this change, in the order of their last ones.
    pub(crate) fn changed_since(&self, version: u64) -> impl Iterator<Item = (u64, &SeenMessage)> {
        let changes = self.changes.range(version.saturating_add(1)..);
        changes.filter_map(|(version, slot)| Some((*version, self.message(*slot)?)))
    }

    /// The message in this place.
    pub(crate) fn message(&self, slot: i64) -> Option<&SeenMessage> {
        let at = self.messages.binary_search_by_key(&slot, |message| message.slot).ok()?;
        self.messages.get(at)
    }

    /// The question of a run that has not begun.
    pub(crate) fn waits(&self) -> Option<&Message> {
        self.user_message.as_ref().filter(|_| !self.begun && !self.ended)
    }

    /// Whether nothing more comes from here although the run has not ended: somebody else drives it, or nobody.
    pub(crate) const fn is_left(&self) -> bool {
        self.finished && !self.ended
    }

    /// Whether the model said anything from this place on.
    pub(crate) fn has_output_from(&self, slot: i64) -> bool {
        self.messages.iter().any(|message| message.slot >= slot && !message.is_blank())
    }

    /// Calls of tools as they were committed.
    pub(crate) fn show_calls(&mut self, calls: impl IntoIterator<Item = ToolCall>) {
        for call in calls {
            match self.calls.binary_search_by_key(&call.position, |known| known.position) {
                Ok(at) if self.calls[at].version < call.version => self.calls[at] = call,
                Ok(_) => {}
                Err(at) => self.calls.insert(at, call),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::model::RunStatus;

    /// Whoever goes on from a position that he saw must have the text up to there: else a word is lost.
    #[test]
    fn no_look_sees_a_position_ahead_of_its_text() {
        const DELTAS: i64 = 2_000_000;
        let transcript = Arc::new(Transcript::new(Run::sample(RunStatus::InProgress)));
        let arrived = Arc::new(AtomicBool::new(false));
        let (seen, done) = (Arc::clone(&transcript), Arc::clone(&arrived));
        let looking = std::thread::spawn(move || {
            let mut looks = 0_u64;
            while !done.load(Ordering::SeqCst) {
                let (position, bytes) = seen.look(|seen| {
                    (seen.position, seen.message(0).map_or(0, |message| message.text.len()))
                });
                // Each event is one byte, and the first has the number 0.
                let expected = position.map_or(0, |position| position + 1);
                assert_eq!(i64::try_from(bytes), Ok(expected), "after {looks} looks");
                looks += 1;
            }
            looks
        });
        for number in 0..DELTAS {
            transcript.append(Some(number), 0, None, "x");
        }
        arrived.store(true, Ordering::SeqCst);
        assert!(looking.join().is_ok_and(|looks| looks > 0));
    }

    /// Those who wait for text are woken once for what arrived together, and at the latest after so many pieces; those who wait
    /// for something else are not woken for text at all.
    #[test]
    fn text_wakes_those_who_wait_for_it_together_and_nobody_else() {
        let transcript = Transcript::new(Run::sample(RunStatus::InProgress));
        let (mut text, mut others) = (transcript.changed.subscribe(), transcript.updates());
        let has_changed = |changes: &mut watch::Receiver<()>| {
            let changed = changes.has_changed();
            changes.mark_unchanged();
            changed.is_ok_and(|changed| changed)
        };
        let append = |number: u32| transcript.append(Some(number.into()), 0, None, "x");
        append(0);
        assert!(!has_changed(&mut text), "more may be there");
        transcript.notify();
        assert!(has_changed(&mut text));
        transcript.notify();
        assert!(!has_changed(&mut text), "nothing arrived since");
        for number in 1..=MOST_UNHEARD {
            assert!(!has_changed(&mut text), "{number}");
            append(number);
        }
        assert!(has_changed(&mut text) && !has_changed(&mut others));
        transcript.wake_beside_text();
        assert!(!has_changed(&mut text) && has_changed(&mut others));
        transcript.update(|seen| seen.ended = true);
        assert!(has_changed(&mut text) && has_changed(&mut others));
    }
}
