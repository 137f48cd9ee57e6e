//! One attempt of a call: noted, sent, its stream taken in.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::Span;

use super::assistants;
use super::begin::{Manner, begin, look_before_sending};
use super::content;
use super::conversation;
use super::flight::{Applied, Flight};
use super::outcome::Broken;
use super::own;
use super::parts;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::failpoint;
use crate::model::{AssistantDefinition, Usage};
use crate::provider::{Call, CallError, Ended, Progress, ProgressStream};
use crate::tool;

/// Calls the model once.
pub(crate) async fn once(
    core: &Core,
    remote: &Remote,
    flight: &Flight,
    definition: &AssistantDefinition,
    manner: Manner,
) -> Result<Ended, Broken> {
    let seq = flight.transcript.seq;
    let ready = match flight.transcript.of.thread_id() {
        _ if manner.halved > 0 => Ok(None),
        Some(thread) if manner.anew => conversation::recreate(core, remote, thread).await,
        _ => conversation::ready(core, remote, flight.transcript.of, seq).await,
    };
    let conversation = ready?;
    let assistant = assistants::ready(core, remote, flight, definition).await;
    let assistant = assistant.map_err(Broken::Store)?;
    let is_all_there = assistant.is_some() && conversation.is_some();
    let own =
        if is_all_there { None } else { own::begin(core, remote).await.map_err(Broken::Store)? };
    let (input, instructions) =
        begin(core, remote, flight, definition, conversation.clone(), manner).await?;
    let input = parts::filled(core, remote, input).await?;
    look_before_sending(core, flight).await?;
    let mut definition = definition.clone();
    definition.instructions = instructions;
    if flight.has_earlier_steps() {
        tool::choose_freely(&mut definition);
    }
    definition.tools = tool::told(&definition.tools, remote.is_strict);
    let form = tool::shape(&mut definition, remote.provider.protocol(), remote.is_strict);
    let tries = Arc::default();
    let end_user = flight.end_user(core, remote);
    let counted = Arc::clone(&tries);
    let call =
        Call { definition, form, input, conversation, assistant, end_user, own, tries: counted };
    let careful = call.conversation.is_some();
    let most = core.options().trace_content;
    if most > 0 {
        Span::current().record("gen_ai.input.messages", content::input(&call.input, most));
    }
    flight.note_of_call(|row| {
        row.has_assistant = call.assistant.is_some();
        row.sent_at = Some(Instant::now());
    });
    let called = remote.provider.call(&call).await;
    // The first was counted before it was sent.
    let further = i64::from(tries.load(Ordering::Relaxed)).saturating_sub(1).max(0);
    flight.log(|log| log.further_attempts += further);
    let mut stream = called.map_err(|error| {
        if error.did_nothing() {
            flight.note_of_call(|call| call.cost = Some(Usage::default()));
        }
        // With a conversation the client has not repeated what may have been done; we can look.
        if careful && !error.may_be_repeated_as_it_is() {
            Broken::Stream(error)
        } else {
            Broken::Refused(error)
        }
    })?;
    failpoint::point!("call.answered");
    if call.assistant.is_some()
        && assistants::has_moved(core, flight, &call.definition).await.map_err(Broken::Store)?
    {
        let moved = CallError::disconnected("the assistant was changed while the call began");
        return Err(Broken::Stream(moved));
    }
    drop(call);
    while let Some(progress) = next(&mut stream, flight).await {
        match flight.apply(progress.map_err(Broken::Stream)?) {
            Applied::Silently => {}
            Applied::Text { first, bytes, messages } => {
                failpoint::point!("output.arrived");
                if first {
                    flight.spoke();
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

/// The next thing that the stream says. Who listens to the run is woken when nothing more is there, and not for each word of
/// those that arrived together.
async fn next(stream: &mut ProgressStream, flight: &Flight) -> Option<Result<Progress, CallError>> {
    poll_fn(|cx| {
        let next = stream.poll_next_unpin(cx);
        if next.is_pending() {
            flight.transcript.notify();
        }
        next
    })
    .await
}

/// More messages than any answer has; each costs a row and hooks.
const MOST_MESSAGES: usize = 10_000;

/// Stops an endless answer; waits for the database when it falls behind.
async fn respect_limits(
    core: &Core,
    flight: &Flight,
    bytes: usize,
    messages: usize,
) -> Result<(), Broken> {
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
        flight.transcript.notify();
        flight.room(most).await;
    }
    Ok(())
}
