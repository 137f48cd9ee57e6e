//! A call is noted before it is made, in one transaction with what is sent.

use std::sync::Arc;

use tokio::time::Instant;

use super::entries::{self, Entry, Source};
use super::estimate;
use super::flight::{CallRow, Flight, Halt};
use super::input::{self, Whole};
use super::persist::{STORE_RETRY, persist};
use super::window;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::{AssistantDefinition, Item, Messageable, RemoteState, Service, Usage};
use crate::store::responses::{self, Reached};
use crate::store::runs::{self, Claim, Fence};
use crate::store::session::Session;
use crate::store::{held, items, messages, workers};

/// How the next call is made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// In a new conversation, which gets the whole history.
    pub(crate) anew: bool,
    /// With so many times half of the history, by our own: the whole is too long for the model.
    pub(crate) halved: u32,
}

/// Notes the call before it is made: its row, the attempt, and that what is sent may now be held remotely. Returns what
/// to send: the items, and the instructions.
pub(crate) async fn begin(
    core: &Core,
    remote: &Remote,
    flight: &Flight,
    definition: &AssistantDefinition,
    conversation: Option<String>,
    manner: Manner,
) -> std::result::Result<(Vec<Item>, Option<String>), Halt> {
    let claim = flight.claim()?;
    let previous = flight.log(|log| {
        let previous = log.call.as_ref();
        previous.map(|call| Reached {
            id: call.id,
            remote_id: call.remote_id.clone(),
            position: None,
            cost: call.cost,
        })
    });
    let beginning = Arc::new(Beginning {
        claim,
        parent: flight.transcript.of,
        seq: flight.transcript.seq,
        provider: remote.name.clone(),
        model: definition.model.clone(),
        service: remote.service.clone(),
        apart: !remote.provider.takes_system_texts_in_place(),
        conversation,
        tells_system_texts: !remote.provider.keeps_system_texts(),
        budget: definition.max_prompt_tokens,
        beside: estimate::beside(definition),
        halved: manner.halved,
        again: previous.is_some() || flight.transcript.look(|seen| seen.run.attempts > 0),
        previous,
    });
    loop {
        let noted = Arc::clone(&beginning);
        match persist(core, Write::Call, move |session| note_call(session, &noted)).await? {
            Ok((call, whole, last)) => {
                // Behind what was settled of the run, and what was found of it at the provider.
                flight.begin_step(last.unwrap_or_default().max(flight.first_slot()));
                flight.log(|log| log.call = Some(call));
                let own = definition.instructions.clone();
                let texts: Vec<String> = own.into_iter().chain(whole.system).collect();
                return Ok((whole.items, (!texts.is_empty()).then(|| texts.join("\n\n"))));
            }
            // Not waiting with a connection in hand, for whoever of the host's has the row.
            Err(Fence::Locked) => tokio::time::sleep(STORE_RETRY).await,
            Err(fence) => return Err(fence.into()),
        }
    }
}

/// Looks whether the run is still ours, right before it is sent: a process that slept (a laptop, a stopped container) may
/// have lost it, and another one may be asking the same.
pub(crate) async fn look_before_sending(
    core: &Core,
    flight: &Flight,
) -> std::result::Result<(), Halt> {
    if core.lease().is_fresh(core.options().lease) {
        return Ok(());
    }
    let claim = flight.claim()?;
    loop {
        let (worker, lease, asked) =
            (core.worker().to_owned(), core.options().lease, Instant::now());
        let held = persist(core, Write::LeaseCheck, move |session| {
            let held = runs::fence(session, &[claim])?.first().copied();
            if matches!(held, Some(Fence::Held { .. })) {
                workers::beat(session, &worker, lease)?;
            }
            Ok(held.unwrap_or(Fence::Gone))
        });
        match held.await? {
            Fence::Held { cancel: false } => {
                core.lease().extended(asked);
                return Ok(());
            }
            Fence::Locked => tokio::time::sleep(STORE_RETRY).await,
            fence => return Err(fence.into()),
        }
    }
}

/// A call that is to be noted.
#[derive(Debug)]
struct Beginning {
    claim: Claim,
    parent: Messageable,
    seq: i64,
    provider: String,
    model: String,
    service: Service,
    apart: bool,
    conversation: Option<String>,
    /// System texts are told with each call, since the conversation keeps none.
    tells_system_texts: bool,
    budget: Option<i64>,
    /// Tokens that are sent whatever the history is.
    beside: i64,
    halved: u32,
    /// The call before, so that its response can be deleted.
    previous: Option<Reached>,
    /// It is not the first of its run.
    again: bool,
}

/// The call, what it sends, and the last place that is taken; or what keeps it from being made.
type Noted = std::result::Result<(CallRow, Whole, Option<i64>), Fence>;

fn note_call(session: &mut dyn Session, beginning: &Beginning) -> Result<Noted> {
    let Beginning { claim, parent, seq, provider, model, service, .. } = beginning;
    let held = runs::fence(session, &[*claim])?;
    if held.first() != Some(&Fence::Held { cancel: false }) {
        return Ok(Err(held.first().copied().unwrap_or(Fence::Gone)));
    }
    let mut call = CallRow {
        conversation: beginning.conversation.clone(),
        provider: provider.clone(),
        asked_model: model.clone(),
        service: service.clone(),
        ..CallRow::default()
    };
    let stored = beginning.conversation.is_some();
    let whole = if stored {
        let absent = absent(session, *parent, *seq, service)?;
        for entry in &absent {
            match entry.source {
                Source::Message(id) => call.sent_messages.push(id),
                Source::Item(id) => call.sent_items.push(id),
            }
        }
        let unknown = RemoteState::Unknown;
        let sent = (&*call.sent_messages, &*call.sent_items);
        held::note(session, sent, unknown, service)?;
        let mut items: Vec<Item> = absent.into_iter().map(|entry| entry.item).collect();
        let mut system = Vec::new();
        if beginning.tells_system_texts {
            items.retain(|item| item.role() != Some("system"));
            system = messages::system_texts(session, *parent, *seq)?;
        }
        Whole { items, system, ..Whole::default() }
    } else {
        local(session, beginning)?
    };
    call.newest_only = whole.newest_only;
    runs::count_attempt(session, claim.run_id, provider, model)?;
    if let Some(previous) = &beginning.previous {
        responses::reached(session, previous)?;
    }
    call.input_tokens =
        beginning.beside.saturating_add(estimate::sent(&whole.items, &whole.system));
    let sent = Usage::estimate(call.input_tokens, 0);
    call.id = responses::begin(session, claim.run_id, model, service, stored, sent)?;
    let last = if beginning.again { items::last_position(session, claim.run_id)? } else { None };
    Ok(Ok((call, whole, last)))
}
/// What the conversation lacks.
fn absent(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    at: &Service,
) -> Result<Vec<Entry>> {
    let said = messages::not_held_up_to(session, parent, seq, at)?;
    let earlier: Vec<i64> =
        said.iter().map(|said| said.row.place.seq).filter(|said| *said < seq).collect();
    // Nothing to ask for, as a rule.
    let mut answered = messages::answered(session, parent, &earlier)?;
    answered.extend(items::turns_with_any(session, parent, &earlier)?);
    let done = items::not_held_up_to(session, parent, seq, at)?;
    let entries = entries::entries(said, done, at);
    let left = entries::without_unanswered(entries, seq, |seq| answered.contains(&seq));
    Ok(input::lacking(left))
}

/// The history by our own, within what the definition allows and the model takes.
fn local(session: &mut dyn Session, beginning: &Beginning) -> Result<Whole> {
    let Beginning { parent, seq, service, halved, .. } = beginning;
    let mut history = window::read(session, *parent, *seq, service, beginning.budget)?;
    if *halved > 0 {
        history = input::within_budget(history, beginning.budget);
        let left = estimate::tokens_of(&history) >> halved;
        return Ok(input::whole(history, Some(left), beginning.apart));
    }
    Ok(input::whole(history, beginning.budget, beginning.apart))
}
