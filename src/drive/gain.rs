//! What a run gained since the last flush, and how that is stored: the first words of a message are its row, later ones deltas.

use tokio::time::Instant;

use super::flight::{Flight, Log};
use crate::error::Result;
use crate::failpoint::Write;
use crate::follow::transcript::{Seen, SeenMessage};
use crate::model::{Message, MessageStatus, Messageable, RemoteState, Role};
use crate::store::deltas::{self, NewDelta};
use crate::store::messages::{self, NewMessage};
use crate::store::news::{self, News};
use crate::store::responses::{self, Reached};
use crate::store::runs::{self, Claim, Fence};
use crate::store::session::Session;

/// What one run gained since the last flush.
#[derive(Debug)]
pub(super) struct Gain {
    pub(super) claim: Claim,
    /// Where the run is.
    of: Messageable,
    /// The place in the stream that this goes up to.
    pub(super) position: Option<i64>,
    /// What the row of the call is to hold from now on, if anything.
    pub(super) call: Option<Reached>,
    pub(super) messages: Vec<MessageGain>,
    /// When it was gathered, if it is all that had arrived by then.
    pub(super) up_to: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct MessageGain {
    pub(super) slot: i64,
    pub(super) offset: usize,
    pub(super) text: String,
    /// The row to create, or the one that is there.
    pub(super) row: Row,
}

#[derive(Debug)]
pub(super) enum Row {
    New(Box<NewMessage>),
    Stored(i64),
}

/// What a run gained, if it is worth a write.
pub(super) fn gain(run: &Flight, all: bool, most: usize) -> Option<Gain> {
    let now = Instant::now();
    run.log(|log| {
        let (gain, lacks) = run
            .transcript
            .look(|seen| (gained(log, seen, all, most, now), log.unflushed(seen) > 0));
        if !lacks {
            log.stored_up_to = Some(now);
        }
        gain
    })
}

fn gained(log: &Log, seen: &Seen, all: bool, most: usize, now: Instant) -> Option<Gain> {
    let claim = log.claim.filter(|_| !log.settling && !log.is_left_alone())?;
    let everything = all || log.unflushed(seen) > most;
    let mut messages = Vec::new();
    // What is settled, as the texts of earlier steps, is stored whole: a delta would have it twice.
    for message in seen.messages.iter().filter(|message| !message.settled) {
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
        of: seen.run.messageable,
        position: seen.position,
        call: call.map(|call| Reached {
            id: call.id,
            remote_id: call.remote_id.clone(),
            position: seen.position,
            cost: None,
        }),
        messages,
        up_to: everything.then_some(now),
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
        new.body.endpoint = Some(call.service.endpoint.to_string());
        new.body.protocol = Some(call.service.protocol.to_string());
    }
    new.body.model = log.call.as_ref().map(|call| call.asked_model.clone());
    new
}

/// What became of one run's gain.
#[derive(Debug)]
pub(super) enum Stored {
    /// Written; the new rows in the order of the gain's messages.
    Done {
        cancel: bool,
        rows: Vec<Option<Message>>,
    },
    Lost(Fence),
    /// Somebody else holds the run: with the next tick.
    Later,
}

pub(super) fn append(session: &mut dyn Session, gains: &[Gain]) -> Result<Vec<Stored>> {
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
    let told = gains.iter().zip(&stored).filter(|(gain, stored)| {
        matches!(stored, Stored::Done { .. }) && !gain.messages.is_empty()
    });
    let told: Vec<News> = told.map(|(gain, _)| News::Run(gain.of, gain.claim.run_id)).collect();
    news::tell(session, &told)?;
    Ok(stored)
}

/// Which write it was, if any.
pub(super) fn named(stored: &[Stored]) -> Option<Write> {
    let rows = stored.iter().filter_map(|stored| match stored {
        Stored::Done { rows, .. } => Some(rows),
        Stored::Lost(_) | Stored::Later => None,
    });
    let first = rows.flatten().map(Option::is_some).reduce(|one, other| one || other)?;
    Some(if first { Write::FirstWords } else { Write::Words })
}
