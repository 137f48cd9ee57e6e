//! A call is noted before it is made, in one transaction with what is sent.

use tokio::time::Instant;

use super::entries::{self, Entry, Source};
use super::estimate;
use super::fenced::{Cancel, fenced};
use super::flight::{CallRow, Flight, Halt};
use super::input::{self, Whole};
use super::tariff::Tariff;
use super::window;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::{AssistantDefinition, Item, Messageable, RemoteState, Service, Usage};
use crate::provider::Keeps;
use crate::store::responses::{self, Reached};
use crate::store::runs;
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
    let previous = flight.log(|log| {
        let previous = log.call.as_ref();
        previous.map(|call| Reached {
            id: call.id,
            remote_id: call.remote_id.clone(),
            position: None,
            cost: call.cost.map(|usage| call.spent(None, usage, None)),
        })
    });
    let beginning = Beginning {
        run: flight.id(),
        parent: flight.transcript.of,
        seq: flight.transcript.seq,
        provider: remote.name.clone(),
        model: definition.model.clone(),
        tariff: Tariff::of(core, &remote.name, definition),
        service: remote.service.clone(),
        apart: !remote.provider.takes_system_texts_in_place(),
        conversation,
        keeps: remote.provider.keeps(),
        budget: definition.max_prompt_tokens,
        beside: estimate::beside(definition),
        halved: manner.halved,
        again: previous.is_some()
            || flight.log(|log| log.steps > 0)
            || flight.transcript.look(|seen| seen.run.attempts > 0),
        previous,
    };
    let (call, whole, last) = fenced(core, flight, Write::Call, Cancel::Stops, move |session| {
        note_call(session, &beginning)
    })
    .await?;
    // Behind what was settled of the run, and what was found of it at the provider.
    flight.begin_step(last.unwrap_or_default().max(flight.first_slot()));
    flight.log(|log| log.call = Some(call));
    let own = definition.instructions.clone();
    let texts: Vec<String> = own.into_iter().chain(whole.system).collect();
    Ok((whole.items, (!texts.is_empty()).then(|| texts.join("\n\n"))))
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
    let (worker, lease, asked) = (core.worker().to_owned(), core.options().lease, Instant::now());
    fenced(core, flight, Write::LeaseCheck, Cancel::Stops, move |session| {
        workers::beat(session, &worker, lease)
    })
    .await?;
    core.lease().extended(asked);
    Ok(())
}

/// A call that is to be noted.
#[derive(Debug)]
struct Beginning {
    run: i64,
    parent: Messageable,
    seq: i64,
    provider: String,
    model: String,
    tariff: Tariff,
    service: Service,
    apart: bool,
    conversation: Option<String>,
    keeps: Keeps,
    budget: Option<i64>,
    /// Tokens that are sent whatever the history is.
    beside: i64,
    halved: u32,
    /// The call before, so that its response can be deleted.
    previous: Option<Reached>,
    /// It is not the first of its run.
    again: bool,
}

/// Returns the call, what it sends, and the last place that is taken.
fn note_call(
    session: &mut dyn Session,
    beginning: &Beginning,
) -> Result<(CallRow, Whole, Option<i64>)> {
    let Beginning { run, parent, seq, provider, model, service, .. } = beginning;
    let mut call = CallRow {
        conversation: beginning.conversation.clone(),
        keeps: beginning.keeps,
        provider: provider.clone(),
        asked_model: model.clone(),
        tariff: beginning.tariff.clone(),
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
        if !beginning.keeps.system_texts {
            items.retain(|item| item.role() != Some("system"));
            system = messages::system_texts(session, *parent, *seq)?;
        }
        Whole { items, system, ..Whole::default() }
    } else {
        local(session, beginning)?
    };
    call.newest_only = whole.newest_only;
    runs::count_attempt(session, *run, provider, model)?;
    if let Some(previous) = &beginning.previous {
        responses::reached(session, previous)?;
    }
    call.input_tokens =
        beginning.beside.saturating_add(estimate::sent(&whole.items, &whole.system));
    let sent = call.spent(None, Usage::estimate(call.input_tokens, 0), None);
    call.id = responses::begin(session, *run, model, service, stored, sent)?;
    let last = if beginning.again { items::last_position(session, *run)? } else { None };
    Ok((call, whole, last))
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
