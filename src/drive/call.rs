//! Calling the model: what is sent, the stream of the answer, and when to try again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;

use super::conversation;
use super::flight::{Applied, CallRow, Flight, Stop};
use super::input::{self, Entry, Source, Whole};
use super::outcome::{Broken, Outcome, refused};
use super::persist::STORE_RETRY;
use crate::engine::core::{Core, Remote};
use crate::error::{Result, with_causes};
use crate::failpoint::{self, Write};
use crate::model::{AssistantDefinition, Item, Messageable, Reason, RemoteState, RunStatus};
use crate::provider::{Call, CallError, Ended};
use crate::store::responses::{self, Reached};
use crate::store::runs::{self, Claim, Fence};
use crate::store::session::Session;
use crate::store::{items, messages};

/// How the next call is made.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    /// In a new conversation, which is told everything.
    anew: bool,
    /// With so many times half of the history, by our own: the whole is too long for the model.
    halved: u32,
}

/// How often the history is halved at most: what is left then is the newest question, as a rule.
const MOST_HALVED: u32 = 6;

/// Calls the model until it answers, or until trying again is of no use. Never again once there was output: a second
/// answer is another one, and it is paid for.
pub(crate) async fn call(
    core: &Core,
    remote: &Remote,
    flight: &Flight,
    definition: &AssistantDefinition,
) -> Outcome {
    let (mut attempt, mut retold, mut halved) = (0, false, 0);
    let mut anew = false;
    loop {
        let manner = Manner { anew: std::mem::take(&mut anew), halved };
        let mut failed = None;
        let broken = match once(core, remote, flight, definition, manner).await {
            // A response that failed and says nothing is as good as an error in the stream.
            Ok(ended)
                if let Some(failure) = ended.failure.clone()
                    && !flight.has_output() =>
            {
                failed = Some(ended);
                Broken::Stream(failure)
            }
            Ok(ended) => {
                let kept = is_kept(core, remote, flight, &ended).await;
                let outcome = Outcome::of(ended, definition.max_output_tokens);
                return if kept {
                    outcome
                } else {
                    Outcome { sent: RemoteState::Absent, ..outcome }
                };
            }
            Err(broken) => broken,
        };
        let has_output = flight.has_output();
        // When it is not tried again: with all that a response that failed tells.
        let refused = |error: &CallError| match failed {
            Some(ended) => Outcome::of(ended, definition.max_output_tokens),
            None => refused(error, has_output),
        };
        match broken {
            // An error in the stream is as good as one before it, as long as nothing was said.
            Broken::Refused(error) | Broken::Stream(error)
                if !has_output && error.reason() == Reason::ContextLengthExceeded =>
            {
                if !shorten(flight, &mut halved) {
                    return too_long(refused(&error), flight);
                }
                flight.begin_again();
            }
            Broken::Refused(error) | Broken::Stream(error)
                if !retold
                    && !has_output
                    && conversation_is_to_be_retold(remote, flight, &error).await =>
            {
                tracing::warn!(
                    run = flight.id(),
                    error = %error.brief(),
                    "the provider lost the conversation or does not go on with it; a new one is told"
                );
                flight.note("conversation_retold");
                flight.begin_again();
                (retold, anew) = (true, true);
            }
            Broken::Stream(error) if !has_output && attempt < core.options().stream_retries => {
                match error.wait(attempt) {
                    Some(wait) => {
                        tracing::warn!(run = flight.id(), error = %error.brief(), ?wait, "the stream broke before any output; trying again");
                        flight.begin_again();
                        tokio::time::sleep(wait).await;
                        attempt += 1;
                    }
                    None => return refused(&error),
                }
            }
            Broken::Refused(error) | Broken::Stream(error) => return refused(&error),
            Broken::TooLong(error) => {
                let reason = Reason::MessageTooLong;
                return Outcome::broken(reason, error, has_output, RemoteState::Unknown);
            }
            Broken::Store(error) => {
                let sent = if flight.log(|log| log.call.is_some()) {
                    RemoteState::Unknown
                } else {
                    RemoteState::Absent
                };
                return Outcome::broken(Reason::Database, with_causes(&error), has_output, sent);
            }
        }
    }
}

/// Whether there is less to send than what was too long for the model.
fn shorten(flight: &Flight, halved: &mut u32) -> bool {
    let newest_only = flight.log(|log| log.call.as_ref().is_none_or(|call| call.newest_only));
    if *halved >= MOST_HALVED || newest_only {
        return false;
    }
    *halved += 1;
    flight.note("history_windowed");
    true
}

/// The end of a run whose newest question is too long by itself.
fn too_long(outcome: Outcome, flight: &Flight) -> Outcome {
    if flight.log(|log| log.call.as_ref().is_some_and(|call| call.newest_only)) {
        let error = outcome.error.unwrap_or_default();
        let error = Some(format!("the newest question alone is too long for the model: {error}"));
        return Outcome { error, ..outcome };
    }
    outcome
}

/// Whether the provider's conversation holds what the call added to it: looked at once, at a server that is not known to
/// keep what it takes.
async fn is_kept(core: &Core, remote: &Remote, flight: &Flight, ended: &Ended) -> bool {
    let conversation = flight.conversation();
    let question = flight.transcript.look(|seen| {
        let asked = seen.user_message.as_ref();
        asked.map(|asked| asked.content.clone()).unwrap_or_default()
    });
    let (Some(conversation), Some(thread)) = (conversation, flight.transcript.of.thread_id())
    else {
        return true;
    };
    if remote.is_verified() || ended.status != RunStatus::Completed {
        return true;
    }
    match conversation::holds(remote, &conversation, &question, ended).await {
        Some(true) => remote.verify(),
        Some(false) => {
            if let Err(error) = conversation::give_up(core, remote, thread).await {
                let error = with_causes(&error);
                tracing::warn!(
                    run = flight.id(),
                    error,
                    "could not note that the conversation is not kept"
                );
            }
            flight.note("conversation_ignored");
            flight.log(|log| {
                if let Some(call) = &mut log.call {
                    call.conversation = None;
                }
            });
            return false;
        }
        // With the next turn.
        None => {}
    }
    true
}

/// Whether a new conversation may help: it is lost, or it does not go on in the state that it is in. An unknown model is a
/// 404 as well, and says nothing about it.
async fn conversation_is_to_be_retold(remote: &Remote, flight: &Flight, error: &CallError) -> bool {
    let conversation = flight.conversation();
    match conversation {
        Some(_) if error.refuses_the_state() => true,
        Some(id) if error.may_mean_a_lost_conversation() => {
            matches!(remote.provider.conversation_exists(&id).await, Ok(false))
        }
        None | Some(_) => false,
    }
}

async fn once(
    core: &Core,
    remote: &Remote,
    flight: &Flight,
    definition: &AssistantDefinition,
    manner: Manner,
) -> std::result::Result<Ended, Broken> {
    let seq = flight.transcript.seq;
    let ready = match flight.transcript.of.thread_id() {
        _ if manner.halved > 0 => Ok(None),
        Some(thread) if manner.anew => conversation::recreate(core, remote, thread).await,
        _ => conversation::ready(core, remote, flight.transcript.of, seq).await,
    };
    let conversation = ready?;
    let (input, instructions) =
        begin(core, remote, flight, definition, conversation.clone(), manner)
            .await
            .map_err(Broken::Store)?;
    super::steps::look_before_sending(core, flight).await.map_err(Broken::Store)?;
    let mut definition = definition.clone();
    definition.instructions = instructions;
    let tries = Arc::default();
    let call = Call { definition, input, conversation, tries: Arc::clone(&tries) };
    let careful = call.conversation.is_some();
    let called = remote.provider.call(&call).await;
    // The first was counted before it was sent.
    let further = i64::from(tries.load(Ordering::Relaxed)).saturating_sub(1).max(0);
    flight.log(|log| log.further_attempts += further);
    let mut stream = called.map_err(|error| {
        // With a conversation the client has not repeated what may have been done; we can look.
        if careful && !error.may_be_repeated_as_it_is() {
            Broken::Stream(error)
        } else {
            Broken::Refused(error)
        }
    })?;
    failpoint::point!("call.answered");
    drop(call);
    while let Some(progress) = stream.next().await {
        match flight.apply(progress.map_err(Broken::Stream)?) {
            Applied::Silently => {}
            Applied::Text { first, bytes, messages } => {
                failpoint::point!("output.arrived");
                if first {
                    core.writer().hurry();
                }
                respect_limits(core, flight, bytes, messages).await?;
            }
            Applied::Ended(ended) => {
                failpoint::point!("end.arrived");
                return Ok(*ended);
            }
        }
    }
    // The client ends a stream with its end event or an error.
    Err(Broken::Stream(CallError::disconnected("the stream ended before its end event")))
}

/// More messages than any answer has; each costs a row and hooks.
const MOST_MESSAGES: usize = 10_000;

/// Stops an endless answer; waits for the database when it falls behind.
async fn respect_limits(
    core: &Core,
    flight: &Flight,
    bytes: usize,
    messages: usize,
) -> std::result::Result<(), Broken> {
    let limit = core.options().max_message_bytes;
    if bytes > limit {
        let error = format!("the answer is longer than max_message_bytes ({limit} bytes)");
        return Err(Broken::TooLong(error));
    }
    if messages > MOST_MESSAGES {
        let error = format!("the answer has more than {MOST_MESSAGES} messages");
        return Err(Broken::TooLong(error));
    }
    let most = core.options().max_unflushed_bytes;
    if flight.has_unflushed(bytes, most) {
        core.writer().hurry();
        flight.room(most).await;
    }
    Ok(())
}

/// Notes the call before it is made: its row, the attempt, and that what is sent may now be held remotely. Returns what
/// to send: the items, and the instructions.
async fn begin(
    core: &Core,
    remote: &Remote,
    flight: &Flight,
    definition: &AssistantDefinition,
    conversation: Option<String>,
    manner: Manner,
) -> Result<(Vec<Item>, Option<String>)> {
    let claim = flight.claim()?;
    let previous = flight.log(|log| {
        let previous = log.call.as_ref();
        previous.map(|call| Reached {
            id: call.id,
            remote_id: call.remote_id.clone(),
            position: None,
        })
    });
    let beginning = Arc::new(Beginning {
        claim,
        parent: flight.transcript.of,
        seq: flight.transcript.seq,
        endpoint: remote.provider.endpoint().to_owned(),
        protocol: remote.provider.name(),
        // OpenAI takes system texts in their places; of other servers not every template does.
        apart: !remote.provider.surely_keeps_conversations(),
        conversation,
        budget: definition.max_prompt_tokens,
        halved: manner.halved,
        previous,
    });
    let fence = loop {
        let noted = Arc::clone(&beginning);
        match super::steps::persist(core, Write::Call, move |session| note_call(session, &noted))
            .await?
        {
            Ok((call, whole)) => {
                flight.log(|log| log.call = Some(call));
                let own = definition.instructions.clone();
                let texts: Vec<String> = own.into_iter().chain(whole.system).collect();
                return Ok((whole.items, (!texts.is_empty()).then(|| texts.join("\n\n"))));
            }
            // Not waiting with a connection in hand, for whoever of the host's has the row.
            Err(Fence::Locked) => tokio::time::sleep(STORE_RETRY).await,
            Err(fence) => break fence,
        }
    };
    flight.stop(match fence {
        Fence::Held { .. } => Stop::Cancelled,
        Fence::Lost | Fence::Locked => Stop::Lost,
        Fence::Gone => Stop::Gone,
    });
    // Whoever selects on the stop drops this future.
    std::future::pending().await
}

/// A call that is to be noted.
#[derive(Debug)]
struct Beginning {
    claim: Claim,
    parent: Messageable,
    seq: i64,
    endpoint: String,
    protocol: &'static str,
    apart: bool,
    conversation: Option<String>,
    budget: Option<i64>,
    halved: u32,
    /// The call before, so that its response can be deleted.
    previous: Option<Reached>,
}

fn note_call(
    session: &mut dyn Session,
    beginning: &Beginning,
) -> Result<std::result::Result<(CallRow, Whole), Fence>> {
    let Beginning { claim, parent, seq, endpoint, protocol, .. } = beginning;
    let held = runs::fence(session, &[*claim])?;
    if held.first() != Some(&Fence::Held { cancel: false }) {
        return Ok(Err(held.first().copied().unwrap_or(Fence::Gone)));
    }
    let mut call = CallRow {
        conversation: beginning.conversation.clone(),
        endpoint: endpoint.clone(),
        protocol,
        ..CallRow::default()
    };
    let stored = beginning.conversation.is_some();
    let whole = if stored {
        let absent = absent(session, *parent, *seq, endpoint)?;
        for entry in &absent {
            match entry.source {
                Source::Message(id) => call.sent_messages.push(id),
                Source::Item(id) => call.sent_items.push(id),
            }
        }
        let unknown = RemoteState::Unknown;
        messages::set_remote_state(session, &call.sent_messages, unknown, endpoint, protocol)?;
        items::set_remote_state(session, &call.sent_items, unknown, endpoint, protocol)?;
        let items = absent.into_iter().map(|entry| entry.item).collect();
        Whole { items, ..Whole::default() }
    } else {
        local(session, beginning)?
    };
    call.newest_only = whole.newest_only;
    runs::count_attempt(session, claim.run_id)?;
    if let Some(previous) = &beginning.previous {
        responses::reached(session, previous)?;
    }
    call.id = responses::begin(session, claim.run_id, endpoint, protocol, stored)?;
    Ok(Ok((call, whole)))
}

/// What the conversation lacks.
fn absent(
    session: &mut dyn Session,
    parent: Messageable,
    seq: i64,
    endpoint: &str,
) -> Result<Vec<Entry>> {
    let said = messages::not_held_up_to(session, parent, seq, endpoint)?;
    let earlier: Vec<i64> =
        said.iter().map(|said| said.place.seq).filter(|said| *said < seq).collect();
    // Nothing to ask for, as a rule.
    let mut answered = messages::answered(session, parent, &earlier)?;
    answered.extend(items::turns_with_any(session, parent, &earlier)?);
    let done = items::not_held_up_to(session, parent, seq, endpoint)?;
    let entries = input::entries(said, done, endpoint);
    let left = input::without_unanswered(entries, seq, |seq| answered.contains(&seq));
    Ok(input::lacking(left))
}

/// The history by our own, within what the definition allows and the model takes.
fn local(session: &mut dyn Session, beginning: &Beginning) -> Result<Whole> {
    let Beginning { parent, seq, endpoint, .. } = beginning;
    let said = messages::up_to(session, *parent, *seq)?;
    let entries = input::entries(said, items::up_to(session, *parent, *seq)?, endpoint);
    let answered = input::answered(&entries);
    let entries = input::without_unanswered(entries, *seq, |seq| answered.contains(&seq));
    let budget = match beginning.halved {
        0 => beginning.budget,
        halved => {
            let left = input::tokens_of(&entries) >> halved;
            Some(beginning.budget.map_or(left, |budget| budget.min(left)))
        }
    };
    Ok(input::whole(entries, budget, beginning.apart))
}
