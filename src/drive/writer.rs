//! Group commit of streamed text: one writer per engine, one transaction per tick for all runs.
//!
//! One transaction per run would write each touched page once per run and tick; this writes it once per tick. A run
//! that is over before the tick writes no delta at all. A failed flush loses nothing: the text stays in memory, counted
//! against its limit, and goes with the next tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::MissedTickBehavior;

use super::flight::{Flight, Log, Stop};
use crate::engine::TICK;
use crate::engine::core::Core;
use crate::error::{Error, Result, with_causes};
use crate::failpoint::Write;
use crate::follow::transcript::{Seen, SeenMessage};
use crate::model::{Message, MessageStatus, RemoteState, Role};
use crate::store::deltas::{self, NewDelta};
use crate::store::messages::{self, NewMessage};
use crate::store::responses::{self, Reached};
use crate::store::runs::{self, Claim, Fence};
use crate::store::session::Session;
use crate::store::verdict::{Verdict, verdict};
use crate::task::Running;

#[derive(Debug, Default)]
pub(crate) struct Writer {
    running: AtomicBool,
    /// A flush is under way, or the last one failed, perhaps after it was committed.
    doubtful: AtomicBool,
    /// A first output waits for its row, or a reader for room.
    early: Notify,
    /// Held while text is gathered and written.
    flushing: Mutex<()>,
}

/// What one run gained since the last flush.
#[derive(Debug)]
struct Gain {
    claim: Claim,
    /// The place in the stream that this goes up to.
    position: Option<i64>,
    /// What the row of the call is to hold from now on, if anything.
    call: Option<Reached>,
    messages: Vec<MessageGain>,
}

#[derive(Debug)]
struct MessageGain {
    slot: i64,
    offset: usize,
    text: String,
    /// The row to create, or the one that is there.
    row: Row,
}

#[derive(Debug)]
enum Row {
    New(Box<NewMessage>),
    Stored(i64),
}

impl Writer {
    /// Runs the writer while there are live runs.
    pub(crate) fn start(&self, core: &Core) {
        if self.running.swap(true, Ordering::SeqCst) {
            return;
        }
        tokio::spawn(write(core.clone()));
    }

    /// Ends the writer, unless a run entered in between and found it running.
    fn retire(&self, core: &Core) -> bool {
        self.running.store(false, Ordering::SeqCst);
        core.registry().is_empty() || self.running.swap(true, Ordering::SeqCst)
    }

    /// Flushes without waiting for the tick: a first output wants its row at once, so that hooks need not wait.
    pub(crate) fn hurry(&self) {
        self.early.notify_one();
    }

    /// Waits for a flush under way and keeps the run out of later ones. An error says that it is not known what of the
    /// run is stored, without which it cannot be settled.
    pub(crate) async fn release(&self, core: &Core, flight: &Flight) -> Result<()> {
        let _flushing = self.flushing.lock().await;
        flight.log(|log| log.settling = true);
        if self.doubtful.load(Ordering::SeqCst) {
            look_again(core, flight).await?;
        }
        Ok(())
    }

    /// Writes what has arrived; with `all` false only what cannot wait for the tick.
    pub(crate) async fn flush(&self, core: &Core, all: bool) -> Result<()> {
        let flushing = self.flushing.lock().await;
        let most = core.options().max_unflushed_bytes;
        let runs: Vec<Arc<Flight>> = core.registry().all();
        if self.doubtful.load(Ordering::SeqCst) {
            for run in &runs {
                look_again(core, run).await?;
            }
            self.doubtful.store(false, Ordering::SeqCst);
        }
        let (runs, gains): (Vec<_>, Vec<_>) = runs
            .into_iter()
            .filter_map(|run| gain(&run, all, most).map(|gain| (run, gain)))
            .unzip();
        if gains.is_empty() {
            return Ok(());
        }
        match self.store(core, &runs, gains).await {
            Ok(()) => {}
            Err((gains, error)) => {
                if !error.is_lock_timeout()
                    && (verdict(&error) == Verdict::Passing || !takes_writes(core).await)
                {
                    return Err(error);
                }
                // One row must not keep the texts of all others from being stored.
                self.store_each(core, &runs, gains).await?;
            }
        }
        drop(flushing);
        Ok(())
    }
}

impl Writer {
    /// Writes what these runs gained in one transaction. The gains come back with the error.
    async fn store(
        &self,
        core: &Core,
        runs: &[Arc<Flight>],
        gains: Vec<Gain>,
    ) -> std::result::Result<(), (Vec<Gain>, Error)> {
        let gains = Arc::new(gains);
        let written = Arc::clone(&gains);
        self.doubtful.store(true, Ordering::SeqCst);
        let stored = core
            .store()
            .write_as(Write::Words, move |session| {
                let stored = append(session, &written)?;
                Ok((named(&stored), stored))
            })
            .await;
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => return Err((Arc::into_inner(gains).unwrap_or_default(), error)),
        };
        self.doubtful.store(false, Ordering::SeqCst);
        for ((run, gain), stored) in runs.iter().zip(gains.iter()).zip(stored) {
            match stored {
                Stored::Later => {}
                Stored::Lost(Fence::Gone) => run.stop(Stop::Gone),
                Stored::Lost(_) => run.stop(Stop::Lost),
                Stored::Done { cancel, rows } => {
                    note(run, gain, rows);
                    if cancel {
                        run.stop(Stop::Cancelled);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what these runs gained one by one. A run whose own text is refused again and again is stopped.
    async fn store_each(&self, core: &Core, runs: &[Arc<Flight>], gains: Vec<Gain>) -> Result<()> {
        for (run, gain) in runs.iter().zip(gains) {
            let Err((_, error)) = self.store(core, std::slice::from_ref(run), vec![gain]).await
            else {
                continue;
            };
            let verdict = verdict(&error);
            if verdict == Verdict::Passing && !error.is_lock_timeout() {
                return Err(error);
            }
            // The database answered: nothing of it was stored.
            self.doubtful.store(false, Ordering::SeqCst);
            if error.is_lock_timeout() {
                run.log(|log| log.leave_alone(LOCKED));
                continue;
            }
            let refusals = run.log(|log| {
                log.refusals += 1;
                log.refusal = Some(with_causes(&error));
                log.refusals
            });
            if verdict == Verdict::OfTheRow || refusals >= REFUSALS {
                run.stop(Stop::Unstorable);
            }
        }
        Ok(())
    }
}

/// How long to leave a run out of the flushes whose thread or messages somebody has locked: each try holds up all others for
/// as long as a lock is waited for.
const LOCKED: Duration = Duration::from_secs(2);

/// How often the database may refuse the text of one run, for a reason that Diesel has no name for, while it takes other
/// writes.
const REFUSALS: u32 = 4;

/// Whether the database takes a write of ours that has nothing to do with any run.
async fn takes_writes(core: &Core) -> bool {
    core.lease().extend(core).await.is_ok()
}

/// What a run gained, if it is worth a write.
fn gain(run: &Flight, all: bool, most: usize) -> Option<Gain> {
    run.log(|log| run.transcript.look(|seen| gained(log, seen, all, most)))
}

fn gained(log: &Log, seen: &Seen, all: bool, most: usize) -> Option<Gain> {
    let claim = log.claim.filter(|_| !log.settling && !log.is_left_alone())?;
    let everything = all || log.unflushed(seen) > most;
    let mut messages = Vec::new();
    for message in &seen.messages {
        let stored = log.stored(message.slot);
        let row = match &message.row {
            Some(row) if everything && stored < message.text.len() => Row::Stored(row.id),
            // No blank row, whatever happens next.
            None if !message.is_blank() => Row::New(Box::new(first_words(log, seen, message))),
            _ => continue,
        };
        let text = message.text[stored..].to_owned();
        messages.push(MessageGain { slot: message.slot, offset: stored, text, row });
    }
    let identify = log.call.as_ref().filter(|call| !call.identified && call.remote_id.is_some());
    if messages.is_empty() && !(all && identify.is_some()) {
        return None;
    }
    // With the first words of a message there is no delta to hold the position.
    let begins = messages.iter().any(|message| matches!(message.row, Row::New(_)));
    let call = log.call.as_ref().filter(|call| begins || !call.identified);
    Some(Gain {
        claim,
        position: seen.position,
        call: call.map(|call| Reached {
            id: call.id,
            remote_id: call.remote_id.clone(),
            position: seen.position,
        }),
        messages,
    })
}

/// The row of a message with what has arrived of it.
fn first_words(log: &Log, seen: &Seen, message: &SeenMessage) -> NewMessage {
    let run = &seen.run;
    let mut new = NewMessage::local(
        run.messageable,
        Some(run.id),
        run.seq,
        1 + message.slot,
        Role::Assistant,
        message.text.clone(),
    );
    new.body.status = MessageStatus::Streaming;
    if let Some(call) = log.call.as_ref().filter(|call| call.conversation.is_some()) {
        // After a crash nobody knows whether the provider finished it.
        new.body.remote_state = RemoteState::Unknown;
        new.body.remote_id.clone_from(&message.remote_id);
        new.body.endpoint = Some(call.endpoint.clone());
        new.body.protocol = Some(call.protocol.to_owned());
    }
    new.body.model = Some(run.model.clone());
    new
}

/// What became of one run's gain.
#[derive(Debug)]
enum Stored {
    /// Written; the new rows in the order of the gain's messages.
    Done {
        cancel: bool,
        rows: Vec<Option<Message>>,
    },
    Lost(Fence),
    /// Somebody else holds the run: with the next tick.
    Later,
}

fn append(session: &mut dyn Session, gains: &[Gain]) -> Result<Vec<Stored>> {
    let claims: Vec<Claim> = gains.iter().map(|gain| gain.claim).collect();
    // Not waiting: a host that keeps one run locked must not hold up all others.
    let fences = runs::fence(session, &claims)?;
    let mut new = Vec::new();
    let mut stored = Vec::with_capacity(gains.len());
    for (gain, fence) in gains.iter().zip(fences) {
        let cancel = match fence {
            Fence::Held { cancel } => cancel,
            Fence::Locked => {
                stored.push(Stored::Later);
                continue;
            }
            Fence::Lost | Fence::Gone => {
                stored.push(Stored::Lost(fence));
                continue;
            }
        };
        if let Some(call) = &gain.call {
            responses::reached(session, call)?;
        }
        let mut rows = Vec::with_capacity(gain.messages.len());
        for message in &gain.messages {
            match &message.row {
                Row::New(row) => {
                    rows.push(Some(messages::insert(session, row)?));
                }
                Row::Stored(id) => {
                    rows.push(None);
                    new.push(NewDelta {
                        message_id: *id,
                        byte_offset: i64::try_from(message.offset).unwrap_or(i64::MAX),
                        sequence_number: gain.position.unwrap_or(-1),
                        text: message.text.clone(),
                    });
                }
            }
        }
        stored.push(Stored::Done { cancel, rows });
    }
    deltas::append(session, &new)?;
    Ok(stored)
}

/// Which write it was, if any.
fn named(stored: &[Stored]) -> Option<Write> {
    let rows = stored.iter().filter_map(|stored| match stored {
        Stored::Done { rows, .. } => Some(rows),
        Stored::Lost(_) | Stored::Later => None,
    });
    let first = rows.flatten().map(Option::is_some).reduce(|one, other| one || other)?;
    Some(if first { Write::FirstWords } else { Write::Words })
}

/// Notes what is committed.
fn note(run: &Flight, gain: &Gain, rows: Vec<Option<Message>>) {
    run.log(|log| {
        log.refusals = 0;
        if let (Some(call), Some(reached)) = (&mut log.call, &gain.call) {
            call.identified |= reached.remote_id.is_some();
        }
    });
    for gained in &gain.messages {
        run.stored(gained.slot, gained.offset + gained.text.len());
    }
    run.transcript.update(|seen| {
        for (gained, row) in gain.messages.iter().zip(rows) {
            if row.is_some() && seen.message(gained.slot).is_some() {
                seen.change(gained.slot, |message| message.row = row);
            }
        }
    });
}

/// Finds out what of a run is stored, after a flush of which nobody knows whether it was committed.
async fn look_again(core: &Core, run: &Flight) -> Result<()> {
    let id = run.id();
    let rows = core.store().read(move |session| messages::of_run(session, id)).await?;
    let mut stored = Vec::new();
    run.transcript.update(|seen| {
        for row in rows.into_iter().filter(Message::is_assistant) {
            let slot = row.position - 1;
            if seen.message(slot).is_some_and(|message| message.text.starts_with(&row.content)) {
                stored.push((slot, row.content.len()));
                seen.change(slot, |message| {
                    message.row.get_or_insert(row);
                });
            }
        }
    });
    for (slot, bytes) in stored {
        run.stored(slot, bytes);
    }
    Ok(())
}

async fn write(core: Core) {
    let running = Running::new(&core, |core| &core.writer().running);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        let all = tokio::select! {
            _ = ticks.tick() => true,
            () = core.writer().early.notified() => false,
        };
        if let Err(error) = core.writer().flush(&core, all).await {
            let error = with_causes(&error);
            tracing::warn!(
                error,
                "streamed text could not be stored; it stays in memory until the next try"
            );
            // Early wakes must not turn a database that is away into a busy loop.
            ticks.tick().await;
        }
        if core.registry().is_empty() && core.writer().retire(&core) {
            return running.retire();
        }
    }
}
