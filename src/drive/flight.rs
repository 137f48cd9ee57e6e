//! What the driver of a run knows beside what is seen of it: its claim, the call that is being made, what of the texts is
//! stored, and whether it is to stop.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};
use tokio::time::Instant;

use super::hearing::Owed;
use super::patience::Patience;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::{Error, Result};
use crate::follow::transcript::{Seen, Transcript};
use crate::host::record::Owner;
use crate::model::Run;
use crate::provider::{Billed, EndUser, Ended, News, Progress};
use crate::store::runs::{Claim, Fence};

pub(crate) use super::call_row::CallRow;

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

/// What is to be done with a run when a fence says this of it.
impl From<Fence> for Stop {
    fn from(fence: Fence) -> Self {
        match fence {
            Fence::Held { .. } => Self::Cancelled,
            Fence::Lost | Fence::Locked => Self::Lost,
            Fence::Gone => Self::Gone,
        }
    }
}

/// Why a step of a run goes no further.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The run is not ours any more, or not to be driven on.
    Stopped(Stop),
    /// Our own database.
    Store(Error),
}

impl From<Fence> for Halt {
    fn from(fence: Fence) -> Self {
        Self::Stopped(fence.into())
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// A run that this process drives.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) transcript: Arc<Transcript>,
    /// The type and id of the host's record that it belongs to; not set when that was not found out.
    owner: OnceLock<(String, String)>,
    log: Mutex<Log>,
    /// Bytes of all texts that are committed.
    committed: AtomicUsize,
    /// The place in the turn of the first output of the call that is being made. We count the places, since each call
    /// counts its own from 0.
    first_slot: AtomicI64,
    /// For the provider's own assistant, where another process has it.
    pub(super) patience: Patience,
    /// Held while something is stored and shown that a stop does not undo.
    storing: Arc<AsyncMutex<()>>,
    stop: watch::Sender<Option<Stop>>,
    released: watch::Sender<bool>,
}

/// What the driver knows of its run.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Set once the run is claimed.
    pub(crate) claim: Option<Claim>,
    pub(crate) claimed_at: Option<Instant>,
    /// What its hooks have not heard of what was stored before.
    pub(super) owed: Owed,
    /// When the first text of the run arrived, and how long after its request went out.
    pub(crate) first_word: Option<(Instant, Duration)>,
    /// The call that is being made.
    pub(crate) call: Option<CallRow>,
    /// Steps that were stored here.
    pub(crate) steps: u32,
    /// The provider's containers that earlier steps worked in, here or elsewhere: each is charged for once.
    pub(super) containers: HashSet<String>,
    /// The writer must leave the run alone: its end is being written.
    pub(crate) settling: bool,
    /// Words for what was out of the ordinary.
    pub(crate) notes: Vec<&'static str>,
    /// Requests beyond those that were counted when they were noted.
    pub(crate) further_attempts: i64,
    /// Why the database refused the run's own text last, and how often in a row it did.
    pub(crate) refusal: Option<String>,
    pub(crate) refusals: u32,
    /// All text that had arrived by then is stored.
    pub(crate) stored_up_to: Option<Instant>,
    /// Until when the writer leaves the run alone: somebody has it locked.
    left_alone: Option<Instant>,
    /// Bytes of each message's text that are committed, by its slot.
    stored: BTreeMap<i64, usize>,
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

impl Flight {
    pub(crate) fn new(run: Run) -> Self {
        Self {
            transcript: Arc::new(Transcript::new(run)),
            owner: OnceLock::new(),
            log: Mutex::default(),
            committed: AtomicUsize::new(0),
            first_slot: AtomicI64::new(0),
            patience: Patience::default(),
            storing: Arc::default(),
            stop: watch::Sender::new(None),
            released: watch::Sender::new(false),
        }
    }

    /// Whether other steps of the run came before, also in another process.
    pub(crate) fn has_earlier_steps(&self) -> bool {
        self.log(|log| log.steps > 0) || self.transcript.look(|seen| seen.resumed)
    }

    pub(crate) fn id(&self) -> i64 {
        self.transcript.id
    }

    /// Notes whom it belongs to, before it is driven.
    pub(crate) fn belongs_to(&self, owner: (String, String)) {
        let _ = self.owner.set(owner);
    }

    /// For whom its calls are, where the provider is told.
    pub(crate) fn end_user(&self, core: &Core, remote: &Remote) -> Option<EndUser> {
        let owner = self.owner.get().filter(|_| remote.identifies)?;
        Some(EndUser::of(&core.options().identify_salt, owner, self.transcript.of))
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes what the driver knows. Never awaits; what is seen may be looked at inside.
    pub(crate) fn log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.lock())
    }

    pub(crate) fn claim(&self) -> Result<Claim> {
        self.log(|log| log.claim).ok_or_else(|| Error::RunGone(self.id()))
    }

    /// Where the output of the next call begins: behind all that there is of the run.
    pub(crate) fn begin_step(&self, slot: i64) {
        self.first_slot.store(slot, Ordering::SeqCst);
    }

    /// Where the output of the call begins.
    pub(crate) fn first_slot(&self) -> i64 {
        self.first_slot.load(Ordering::SeqCst)
    }

    /// Notes once what was out of the ordinary.
    pub(crate) fn note(&self, word: &'static str) {
        self.log(|log| {
            if !log.notes.contains(&word) {
                log.notes.push(word);
            }
        });
    }

    /// The provider's conversation that the call goes on with.
    pub(crate) fn conversation(&self) -> Option<String> {
        self.log(|log| log.call.as_ref().and_then(|call| call.conversation.clone()))
    }

    /// Notes when the first word came; it may be told of more than one.
    pub(crate) fn spoke(&self) {
        self.log(|log| {
            let sent_at = log.call.as_ref().and_then(|call| call.sent_at);
            log.first_word.get_or_insert_with(|| {
                let now = Instant::now();
                (now, sent_at.map_or(Duration::ZERO, |sent| now - sent))
            });
        });
    }

    /// Changes what is known of the call that is being made.
    pub(crate) fn note_of_call(&self, change: impl FnOnce(&mut CallRow)) {
        self.log(|log| log.call.as_mut().map(change));
    }

    /// Forgets what a broken call left that said nothing, so that the next one begins clean.
    pub(crate) fn begin_again(&self) {
        self.transcript.update(Seen::begin_again);
    }

    /// Whether the model said anything in this run.
    pub(crate) fn has_output(&self) -> bool {
        self.transcript.look(|seen| seen.has_output_from(0))
    }

    /// Whether it said anything in the call that is being made.
    pub(crate) fn has_output_of_call(&self) -> bool {
        let first = self.first_slot();
        self.transcript.look(|seen| seen.has_output_from(first))
    }

    /// Nothing else of the run is stored like this until the guard is dropped.
    pub(super) async fn begin_storing(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.storing).lock_owned().await
    }

    /// A step is stored, and more are to come: the next call begins behind it.
    pub(crate) fn step_ended(&self, last: i64) {
        self.begin_step(last.max(self.first_slot()));
        self.log(|log| {
            log.containers.extend(log.call.take().into_iter().flat_map(|call| call.containers));
            log.settling = false;
            log.steps += 1;
        });
    }

    /// What is charged for of a call that no step before it was charged for.
    pub(super) fn billed(&self, mut billed: Billed) -> Billed {
        self.log(|log| billed.containers.retain(|id| !log.containers.contains(id)));
        billed
    }

    /// Whose thread or chat it is.
    pub(crate) fn owner(&self) -> Owner {
        let (kind, id) = self.owner.get().cloned().unwrap_or_default();
        Owner { kind, id }
    }

    /// Takes in what the stream said. The end is the caller's to settle.
    pub(crate) fn apply(&self, progress: Progress) -> Applied {
        let Progress { sequence_number, news } = progress;
        match news {
            News::Text { slot, remote_id, delta } if !delta.is_empty() => {
                let slot = self.first_slot().saturating_add(slot);
                let grown = self.transcript.append(sequence_number, slot, remote_id, &delta);
                return Applied::Text {
                    first: grown.first,
                    bytes: grown.bytes,
                    messages: grown.messages,
                };
            }
            News::Started { response_id } => {
                self.log(|log| {
                    if let Some(call) = &mut log.call {
                        call.remote_id = Some(response_id);
                    }
                });
                self.transcript.advance(sequence_number);
                self.transcript.wake();
            }
            News::Text { .. } | News::Alive => self.transcript.advance(sequence_number),
            News::Ended(ended) => {
                self.transcript.advance(sequence_number);
                return Applied::Ended(ended);
            }
        }
        Applied::Silently
    }

    /// Whether more than so many of these bytes that arrived are not committed; found out without a look at each message,
    /// unless it may be so.
    pub(crate) fn has_unflushed(&self, arrived: usize, most: usize) -> bool {
        arrived.saturating_sub(self.committed.load(Ordering::SeqCst)) > most
            && self.log(|log| self.transcript.look(|seen| log.unflushed(seen) > most))
    }

    /// Waits until at most so many bytes that arrived are not committed.
    pub(crate) async fn room(&self, most: usize) {
        self.wait(|log, seen| (log.unflushed(seen) <= most).then_some(())).await;
    }

    /// Waits until `ready` finds what it looks for. Whoever changes the log wakes those who wait.
    pub(crate) async fn wait<T>(&self, mut ready: impl FnMut(&Log, &Seen) -> Option<T>) -> T {
        let mut changes = self.transcript.updates();
        loop {
            changes.mark_unchanged();
            // In this order, here and everywhere: the log, then what is seen.
            if let Some(value) = self.log(|log| self.transcript.look(|seen| ready(log, seen))) {
                return value;
            }
            if changes.changed().await.is_err() {
                // The sender lives in the transcript, which we hold.
                std::future::pending::<()>().await;
            }
        }
    }

    /// So much of a message's text is committed.
    pub(crate) fn stored(&self, slot: i64, bytes: usize) {
        self.log(|log| {
            let before = log.stored.insert(slot, bytes).unwrap_or_default();
            self.committed.fetch_add(bytes, Ordering::SeqCst);
            self.committed.fetch_sub(before, Ordering::SeqCst);
        });
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

impl Log {
    /// How much of a message's text is committed.
    pub(crate) fn stored(&self, slot: i64) -> usize {
        self.stored.get(&slot).copied().unwrap_or_default()
    }

    /// Bytes that arrived and are not committed. Blanks before the first word do not count: they cannot be committed,
    /// since no blank row is, and are bounded by the limit of a message.
    pub(crate) fn unflushed(&self, seen: &Seen) -> usize {
        let waiting = seen
            .messages
            .iter()
            .filter(|message| !message.settled && (message.row.is_some() || !message.is_blank()));
        waiting.map(|message| message.text.len() - self.stored(message.slot)).sum()
    }

    /// Has the writer leave the run alone for so long.
    pub(crate) fn leave_alone(&mut self, time: Duration) {
        self.left_alone = Some(Instant::now() + time);
    }

    pub(crate) fn is_left_alone(&self) -> bool {
        self.left_alone.is_some_and(|until| Instant::now() < until)
    }
}
