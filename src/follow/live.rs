//! The one accumulator of a running run. The stream fills it; the writer, the hooks and the subscribers each pull
//! from it at their own pace, so that nobody queues per token.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::{Message, Messageable, Run};
use crate::provider::{Ended, News, Progress};
use crate::store::runs::Claim;

/// Why a run is to stop before the provider ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// The lease went to another process: nothing may be written any more.
    Lost,
    /// The run was deleted.
    Gone,
    /// The process shuts down: another one may go on.
    Released,
    /// The database refuses its text for good.
    Unstorable,
}

/// A run that this process drives, or the replica of one that another does.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) id: i64,
    pub(crate) parent: Messageable,
    pub(crate) seq: i64,
    /// It follows what another process stores.
    pub(crate) replica: bool,
    state: Mutex<State>,
    /// Told of every change.
    changed: watch::Sender<()>,
    /// Told of every change but of text that arrived, which comes by the thousand.
    updated: watch::Sender<()>,
    stop: watch::Sender<Option<Stop>>,
    released: watch::Sender<bool>,
}

/// What is known of the run now.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct State {
    /// The row as last committed.
    pub(crate) run: Run,
    /// Set once the run is claimed.
    pub(crate) claim: Option<Claim>,
    pub(crate) user_message: Option<Message>,
    /// The model's messages in the order of their positions.
    pub(crate) messages: Vec<LiveMessage>,
    /// Where each message changed last, by the number of the change: a reader looks at what it has not seen.
    changes: BTreeMap<u64, i64>,
    /// Bytes of all texts, and of those what is committed.
    arrived: usize,
    committed: usize,
    /// Changes that the stream brought, of which nobody was told yet.
    untold: u32,
    /// How far the stream was applied.
    pub(crate) sequence_number: i64,
    /// The call that is being made.
    pub(crate) call: Option<CallRow>,
    /// The writer must leave the run alone: its end is being written.
    pub(crate) settling: bool,
    /// Words for what was out of the ordinary.
    pub(crate) notes: Vec<&'static str>,
    /// Requests beyond those that were counted when they were noted.
    pub(crate) further_attempts: i64,
    /// Until when the writer leaves the run alone: somebody has it locked.
    left_alone: Option<Instant>,
    /// Why the database refused the run's own text last, and how often in a row it did.
    pub(crate) refusal: Option<String>,
    pub(crate) refusals: u32,
    /// The end is committed.
    pub(crate) ended: bool,
    /// Which accumulator this is: readers compare what another one delivered to them.
    pub(crate) source: u64,
    /// Why this process gave the run up.
    pub(crate) failure: Option<String>,
    /// All hooks were delivered, or there is nobody left to drive the run.
    pub(crate) finished: bool,
}

/// A message as far as it has arrived.
#[derive(Debug)]
pub(crate) struct LiveMessage {
    pub(crate) slot: i64,
    pub(crate) remote_id: Option<String>,
    pub(crate) text: String,
    /// The row, once it is committed.
    pub(crate) row: Option<Message>,
    /// Bytes of `text` that are committed.
    pub(crate) stored: usize,
    /// The final text was another than the streamed one.
    pub(crate) replaced: bool,
    pub(crate) settled: bool,
    /// The number of its last change.
    version: u64,
}

/// What became of something the stream said.
#[derive(Debug)]
pub(crate) enum Applied {
    /// There is nothing to write or to show.
    Silently,
    /// There is more text.
    Text {
        /// Of its message there is no row yet.
        first: bool,
        /// How much text of the run arrived, in bytes, and of how many messages.
        bytes: usize,
        messages: usize,
    },
    /// The call ended.
    Ended(Box<Ended>),
}

/// The row of a call, and what it was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallRow {
    pub(crate) id: i64,
    pub(crate) remote_id: Option<String>,
    /// Whether the row holds `remote_id`.
    pub(crate) identified: bool,
    pub(crate) conversation: Option<String>,
    pub(crate) endpoint: String,
    pub(crate) protocol: &'static str,
    /// Nothing but the newest turn was sent.
    pub(crate) newest_only: bool,
    pub(crate) sent_messages: Vec<i64>,
    pub(crate) sent_items: Vec<i64>,
}

/// So many changes are told of, also while there are more: a stream at full speed is heard as it comes.
const MOST_UNTOLD: u32 = 32;

/// Tells one accumulator from another; 0 is none.
static SOURCES: AtomicU64 = AtomicU64::new(1);

impl LiveRun {
    pub(crate) fn new(run: Run) -> Self {
        Self {
            id: run.id,
            parent: run.messageable,
            seq: run.seq,
            replica: false,
            state: Mutex::new(State {
                run,
                claim: None,
                user_message: None,
                messages: Vec::new(),
                changes: BTreeMap::new(),
                arrived: 0,
                committed: 0,
                untold: 0,
                sequence_number: -1,
                call: None,
                settling: false,
                notes: Vec::new(),
                further_attempts: 0,
                left_alone: None,
                refusal: None,
                refusals: 0,
                ended: false,
                source: SOURCES.fetch_add(1, Ordering::Relaxed),
                failure: None,
                finished: false,
            }),
            changed: watch::Sender::new(()),
            updated: watch::Sender::new(()),
            stop: watch::Sender::new(None),
            released: watch::Sender::new(false),
        }
    }

    /// A short, never awaiting look. A panic elsewhere leaves the state as consistent as it was.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everybody who waits for a change.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state());
        self.updated.send_replace(());
        self.changed.send_replace(());
        value
    }

    /// Waits until `ready` finds what it looks for.
    pub(crate) async fn wait<T>(&self, ready: impl FnMut(&State) -> Option<T>) -> T {
        self.wait_for(self.changed.subscribe(), ready).await
    }

    /// Waits until `ready` finds what it looks for, which is not in text that arrives. Nobody is woken for each word this way.
    pub(crate) async fn wait_for_update<T>(&self, ready: impl FnMut(&State) -> Option<T>) -> T {
        self.wait_for(self.updated.subscribe(), ready).await
    }

    async fn wait_for<T>(
        &self,
        mut changes: watch::Receiver<()>,
        mut ready: impl FnMut(&State) -> Option<T>,
    ) -> T {
        loop {
            changes.mark_unchanged();
            if let Some(value) = ready(&self.state()) {
                return value;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`, which we borrow.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Asks the run to stop. The first reason stands.
    pub(crate) fn stop(&self, reason: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(reason);
            first
        });
    }

    /// Waits until the run is to stop.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        let found = stop.wait_for(Option::is_some).await.map(|stop| *stop);
        match found {
            Ok(Some(stop)) => stop,
            _ => std::future::pending().await,
        }
    }

    /// Takes in what the stream said. The end is the caller's to settle, and so is [`tell`](Self::tell) when nothing more
    /// is there.
    pub(crate) fn apply(&self, progress: Progress) -> Applied {
        let Progress { sequence_number, news } = progress;
        let is_text = matches!(&news, News::Text { delta, .. } if !delta.is_empty());
        // The place in the stream and the text it stands for change together.
        let (mut state, mut identified) = (self.state(), false);
        if let Some(number) = sequence_number {
            state.sequence_number = number;
        }
        let applied = match news {
            News::Started { response_id } => {
                if let Some(call) = &mut state.call {
                    call.remote_id = Some(response_id);
                    identified = true;
                }
                Applied::Silently
            }
            News::Text { slot, remote_id, delta } if is_text => {
                state.append(slot, remote_id, &delta)
            }
            News::Text { .. } | News::Alive => Applied::Silently,
            News::Ended(ended) => Applied::Ended(ended),
        };
        state.untold += u32::from(is_text || identified);
        let many = state.untold >= MOST_UNTOLD;
        drop(state);
        if many {
            self.tell();
        }
        applied
    }

    /// Wakes everybody who waits for a change, if the stream brought any since.
    pub(crate) fn tell(&self) {
        if std::mem::take(&mut self.state().untold) > 0 {
            self.changed.send_replace(());
        }
    }

    /// Waits until this process gives up what it drives, whatever the run was asked before.
    pub(crate) async fn released(&self) {
        let mut released = self.released.subscribe();
        if released.wait_for(|released| *released).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Gives the run up: its last hooks too.
    pub(crate) fn release(&self) {
        self.stop(Stop::Released);
        self.released.send_replace(true);
    }
}

impl LiveMessage {
    pub(crate) const fn new(slot: i64) -> Self {
        Self {
            slot,
            remote_id: None,
            text: String::new(),
            row: None,
            stored: 0,
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

impl State {
    /// Forgets what a broken call left that said nothing, so that the next one begins clean.
    pub(crate) fn begin_again(&mut self) {
        self.keep_messages(|message| message.row.is_some());
        self.sequence_number = -1;
    }

    /// Appends text that arrived; creates its message if it is the first of its slot.
    fn append(&mut self, slot: i64, remote_id: Option<String>, delta: &str) -> Applied {
        let first = self.change(slot, |message| {
            if message.remote_id.is_none() {
                message.remote_id = remote_id;
            }
            message.text.push_str(delta);
            message.row.is_none()
        });
        Applied::Text { first, bytes: self.arrived, messages: self.messages.len() }
    }

    /// Changes the message in this place, which is made if there is none.
    pub(crate) fn change<T>(&mut self, slot: i64, change: impl FnOnce(&mut LiveMessage) -> T) -> T {
        let next = self.changes.last_key_value().map_or(1, |(version, _)| version + 1);
        let at = match self.messages.binary_search_by_key(&slot, |message| message.slot) {
            Ok(found) => found,
            Err(place) => {
                self.messages.insert(place, LiveMessage::new(slot));
                place
            }
        };
        let message = &mut self.messages[at];
        let before = (message.text.len(), message.stored);
        let changed = change(message);
        self.arrived = self.arrived + message.text.len() - before.0;
        self.committed = self.committed + message.stored - before.1;
        self.changes.remove(&std::mem::replace(&mut message.version, next));
        self.changes.insert(next, slot);
        changed
    }

    /// Leaves the other messages out.
    pub(crate) fn keep_messages(&mut self, mut keep: impl FnMut(&LiveMessage) -> bool) {
        let Self { messages, changes, arrived, committed, .. } = self;
        messages.retain(|message| {
            let kept = keep(message);
            if !kept {
                changes.remove(&message.version);
                *arrived -= message.text.len();
                *committed -= message.stored;
            }
            kept
        });
    }

    /// The messages that changed after this change, in the order of their last ones.
    pub(crate) fn changed_since(&self, version: u64) -> impl Iterator<Item = (u64, &LiveMessage)> {
        let changes = self.changes.range(version.saturating_add(1)..);
        changes.filter_map(|(version, slot)| Some((*version, self.message(*slot)?)))
    }

    /// The message in this place.
    pub(crate) fn message(&self, slot: i64) -> Option<&LiveMessage> {
        let at = self.messages.binary_search_by_key(&slot, |message| message.slot).ok()?;
        self.messages.get(at)
    }

    /// Whether more than so many bytes arrived and are not committed; found out without a look at each message, unless it
    /// may be so.
    pub(crate) fn has_unflushed(&self, most: usize) -> bool {
        self.arrived - self.committed > most && self.unflushed() > most
    }

    /// Bytes that arrived and are not committed. Blanks before the first word do not count: they cannot be committed,
    /// since no blank row is, and are bounded by the limit of a message.
    fn unflushed(&self) -> usize {
        let waiting =
            self.messages.iter().filter(|message| message.row.is_some() || !message.is_blank());
        waiting.map(|message| message.text.len() - message.stored).sum()
    }

    /// Whether nothing more comes from here although the run has not ended: somebody else drives it, or nobody.
    pub(crate) const fn is_left(&self) -> bool {
        self.finished && !self.ended
    }

    /// Has the writer leave the run alone for so long.
    pub(crate) fn leave_alone(&mut self, time: Duration) {
        self.left_alone = Some(Instant::now() + time);
    }

    pub(crate) fn is_left_alone(&self) -> bool {
        self.left_alone.is_some_and(|until| Instant::now() < until)
    }

    /// Notes once what was out of the ordinary.
    pub(crate) fn note(&mut self, word: &'static str) {
        if !self.notes.contains(&word) {
            self.notes.push(word);
        }
    }

    /// Whether the model said anything.
    pub(crate) fn has_output(&self) -> bool {
        self.messages.iter().any(|message| !message.is_blank())
    }
}
