//! What one call of a run came to, and how that is stored: its texts, its items, its cost, what the provider holds of it.

use std::collections::HashSet;

use super::estimate;
use super::flight::{CallRow, Flight};
use super::output::{Final, close_calls, final_messages, other_items};
use super::output_parts;
use super::tariff::Tariff;
use crate::error::Result;
use crate::model::{
    Message, MessageBody, MessageStatus, Messageable, RemoteState, Role, RunStatus, Spent, Usage,
};
use crate::provider::Ended;
use crate::store::items::{self, NewItem};
use crate::store::messages::{self, NewMessage};
use crate::store::responses::{self, EndedCall};
use crate::store::session::Session;
use crate::store::{deltas, held, parts};

/// All that the end of a call writes. A run that makes several writes one for each.
#[derive(Debug)]
pub(super) struct StepEnd {
    run: i64,
    parent: Messageable,
    seq: i64,
    /// Whether its messages are whole.
    pub(super) status: RunStatus,
    call: Option<CallRow>,
    model: Option<String>,
    remote_id: Option<String>,
    pub(super) spent: Spent,
    position: Option<i64>,
    sent: RemoteState,
    pub(super) messages: Vec<Final>,
    pub(super) items: Vec<NewItem>,
    /// Other steps came before it.
    is_later: bool,
    /// How many of them, the last ones, close calls.
    closing: usize,
    /// The model called what nobody carries out.
    pub(super) closes_calls: bool,
}

impl StepEnd {
    /// Of the call that was made last, by what the provider said at its end, and by what arrived.
    pub(super) fn of(flight: &Flight, ended: Option<&Ended>, sent: RemoteState) -> Result<Self> {
        let transcript = &flight.transcript;
        let call = flight.log(|log| log.call.clone());
        let keeps = call.as_ref().is_some_and(|call| call.conversation.is_some());
        let keeps_calls = keeps && call.as_ref().is_some_and(|call| call.keeps.calls);
        let output_state = if keeps_calls { sent } else { RemoteState::Absent };
        let first = flight.first_slot();
        let output = ended.map_or(&[][..], |ended| &ended.output);
        let (messages, position) =
            transcript.look(|seen| (final_messages(&seen.messages, output, first), seen.position));
        let (mut messages, mut items) = (messages, other_items(output, first, output_state));
        output_parts::attach(&mut messages, &mut items, output, first);
        let reported = ended.and_then(|ended| ended.usage);
        let usage = reported.unwrap_or_else(|| not_reported(call.as_ref(), &messages, &items));
        let said = items.len();
        let closes_calls = close_calls(&mut items, output, first);
        let closing = items.len() - said;
        let model = ended.and_then(|ended| ended.model.clone());
        let billed = ended.map(|ended| flight.billed(ended.billed.clone()));
        let took = call.as_ref().map_or(Spent { usage, ..Spent::NOTHING }, |call| {
            call.spent(model.as_deref(), usage, billed.as_ref())
        });
        let remote_id = ended
            .and_then(|ended| ended.response_id.clone())
            .or_else(|| call.as_ref().and_then(|call| call.remote_id.clone()));
        flight.note_of_call(|call| {
            call.model.clone_from(&model);
            call.remote_id.clone_from(&remote_id);
            call.containers.extend(billed.into_iter().flat_map(|billed| billed.containers));
        });
        Ok(Self {
            run: flight.claim()?.run_id,
            parent: transcript.of,
            seq: transcript.seq,
            status: RunStatus::Completed,
            model,
            remote_id,
            spent: took,
            position,
            call,
            sent,
            messages,
            items,
            is_later: flight.has_earlier_steps(),
            closing,
            closes_calls,
        })
    }

    /// Of a step whose calls are carried out: nothing closes them but their outputs.
    pub(super) fn with_open_calls(mut self) -> Self {
        self.items.truncate(self.items.len() - self.closing);
        self.closes_calls = false;
        self
    }

    /// The places of messages whose final text is not the one that was streamed.
    pub(super) fn replaced(&self) -> HashSet<i64> {
        let replaced = self.messages.iter().filter(|message| message.replaced);
        replaced.map(|message| message.slot).collect()
    }

    /// What its call costs.
    pub(super) fn tariff(&self) -> Tariff {
        self.call.as_ref().map(|call| call.tariff.clone()).unwrap_or_default()
    }

    /// The end of the call alone, for when nothing else of it can be stored.
    pub(super) fn write_cost(&self, session: &mut dyn Session) -> Result<()> {
        let Some(call) = &self.call else { return Ok(()) };
        responses::end(
            session,
            &EndedCall {
                id: call.id,
                remote_id: self.remote_id.clone(),
                sequence_number: self.position,
                model: self.model.clone(),
                status: self.status,
                spent: self.spent,
            },
        )
    }

    /// Writes it; returns the messages.
    pub(super) fn write(&self, session: &mut dyn Session) -> Result<Vec<Message>> {
        let at = self.call.as_ref().map(|call| call.service.clone()).unwrap_or_default();
        let before = if self.is_later && !self.messages.is_empty() {
            uncounted(session, self.run)?
        } else {
            Spent::NOTHING
        };
        if let Some(call) = &self.call {
            let sent = (&*call.sent_messages, &*call.sent_items);
            held::note(session, sent, self.sent, &at)?;
            self.write_cost(session)?;
        }
        responses::end_open(session, self.run)?;
        let last = self.messages.len().saturating_sub(1);
        let mut rows = Vec::with_capacity(self.messages.len());
        for (index, message) in self.messages.iter().enumerate() {
            let spent = if index == last { self.spent + before } else { Spent::NOTHING };
            rows.push(self.write_message(session, message, spent)?);
        }
        deltas::fold(session, &rows.iter().map(|row| row.id).collect::<Vec<_>>())?;
        for item in &self.items {
            items::insert(session, self.run, item, &at)?;
        }
        // Some are of items.
        for (row, message) in rows.iter_mut().zip(&self.messages) {
            row.parts = parts::insert(session, row, &message.parts)?;
        }
        Ok(rows)
    }

    fn write_message(
        &self,
        session: &mut dyn Session,
        message: &Final,
        spent: Spent,
    ) -> Result<Message> {
        let kept = self.call.as_ref().filter(|call| call.conversation.is_some());
        let whole = self.status == RunStatus::Completed;
        let settled = MessageBody {
            status: if whole { MessageStatus::Completed } else { MessageStatus::Incomplete },
            content: message.content.clone(),
            model: self.model.clone(),
            // Counted once: at the last message.
            usage: spent.usage,
            costs: spent.costs,
            remote_id: message.remote_id.clone().filter(|_| kept.is_some()),
            remote_state: kept.map_or(RemoteState::Absent, |_| self.sent),
            endpoint: kept.map(|call| call.service.endpoint.to_string()),
            protocol: kept.map(|call| call.service.protocol.to_string()),
            part_count: parts::count(message.parts.len()),
        };
        if let Some(id) = message.row {
            return messages::settle(session, id, &settled);
        }
        let new = NewMessage::local(
            self.parent,
            Some(self.run),
            self.seq,
            1 + message.slot,
            Role::Assistant,
            String::new(),
        );
        messages::insert(session, &NewMessage { body: settled, ..new })
    }
}

/// What earlier steps cost that said nothing: it is counted at the next message.
pub(super) fn uncounted(session: &mut dyn Session, run: i64) -> Result<Spent> {
    let steps = responses::spent_on_steps_before(session, run)?;
    Ok(steps.without(messages::spent_on_run(session, run)?))
}

/// What a call cost of which the provider did not say it.
fn not_reported(call: Option<&CallRow>, messages: &[Final], items: &[NewItem]) -> Usage {
    match call {
        Some(CallRow { cost: Some(known), .. }) => *known,
        Some(call) if call.sent_at.is_some() => {
            Usage::estimate(call.input_tokens, estimate::answered(messages, items))
        }
        Some(_) | None => Usage::default(),
    }
}
