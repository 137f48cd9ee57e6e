//! Calling the model: what is sent, the stream of the answer, and when to try again.

use super::assistants;
use super::attempt::once;
use super::begin::Manner;
use super::conversation;
use super::flight::{Flight, Stop};
use super::outcome::{Broken, Outcome, refused};
use super::parts;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::{Error, with_causes};
use crate::model::{AssistantDefinition, Reason, RemoteState, RunStatus};
use crate::provider::{CallError, Ended};

/// How often the history is halved at most: what is left then is the newest question, as a rule.
const MOST_HALVED: u32 = 6;

/// Calls the model until it answers, or until trying again is of no use. Never again once there was output: a second
/// answer is another one, and it is paid for.
pub(crate) async fn call(
    core: &Core,
    remote: &Remote,
    flight: &Flight,
    definition: &AssistantDefinition,
) -> Result<Outcome, Stop> {
    let (mut attempt, mut retold, mut halved) = (0, false, 0);
    let (mut anew, mut renewed) = (false, false);
    loop {
        let manner = Manner { anew: std::mem::take(&mut anew), halved };
        let mut failed = None;
        let broken = match once(core, remote, flight, definition, manner).await {
            // A response that failed and says nothing is as good as an error in the stream.
            Ok(ended)
                if let Some(failure) = ended.failure.clone()
                    && !flight.has_output_of_call() =>
            {
                flight.note_of_call(|call| call.cost = ended.usage);
                failed = Some(ended);
                Broken::Stream(failure)
            }
            Ok(ended) => {
                let kept = is_kept(core, remote, flight, &ended).await;
                let outcome = Outcome::of(ended, definition.max_output_tokens);
                return Ok(if kept {
                    outcome
                } else {
                    Outcome { sent: RemoteState::Absent, ..outcome }
                });
            }
            Err(broken) => broken,
        };
        let has_output = flight.has_output_of_call();
        let any = flight.has_output();
        // When it is not tried again: with all that a response that failed tells.
        let refused = |error: &CallError| match failed {
            Some(ended) => Outcome::of(ended, definition.max_output_tokens),
            None => refused(error, any),
        };
        match broken {
            // An error in the stream is as good as one before it, as long as nothing was said.
            Broken::Refused(error) | Broken::Stream(error)
                if !has_output && error.reason() == Reason::ContextLengthExceeded =>
            {
                if !shorten(flight, &mut halved) {
                    return Ok(too_long(refused(&error), flight));
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
                    "the provider lost the conversation or does not go on with it; a new one gets the whole history"
                );
                flight.note("conversation_retold");
                flight.begin_again();
                (retold, anew) = (true, true);
            }
            Broken::Refused(error) | Broken::Stream(error)
                if !renewed
                    && !has_output
                    && error.is_not_found()
                    && error.reason() != Reason::ModelNotFound
                    && assistants::is_there_again(core, remote, flight).await =>
            {
                tracing::warn!(
                    run = flight.id(),
                    error = %error.brief(),
                    "the provider may have lost the assistant; it is as ours is again"
                );
                flight.begin_again();
                renewed = true;
            }
            Broken::Stream(error) if !has_output && attempt < core.options().stream_retries => {
                match error.wait(attempt, remote.provider.retry_delay()) {
                    Some(wait) => {
                        tracing::warn!(run = flight.id(), error = %error.brief(), ?wait, "the stream broke before any output; trying again");
                        flight.begin_again();
                        tokio::time::sleep(wait).await;
                        attempt += 1;
                    }
                    None => return Ok(refused(&error)),
                }
            }
            Broken::Refused(error) | Broken::Stream(error) => return Ok(refused(&error)),
            Broken::Stopped(stop) => return Err(stop),
            Broken::TooLong(error) => {
                let reason = Reason::MessageTooLong;
                return Ok(Outcome::broken(reason, error, any, RemoteState::Unknown));
            }
            Broken::Elsewhere(error) => {
                let (reason, sent) = (Reason::FileElsewhere, RemoteState::Absent);
                return Ok(Outcome::broken(reason, error, any, sent));
            }
            Broken::Store(error) => return Ok(not_stored(flight, &error, any)),
        }
    }
}

/// The end of a run whose call our database stopped.
fn not_stored(flight: &Flight, error: &Error, has_output: bool) -> Outcome {
    let was_noted = flight.log(|log| log.call.is_some());
    let sent = if was_noted { RemoteState::Unknown } else { RemoteState::Absent };
    Outcome::broken(Reason::Database, with_causes(error), has_output, sent)
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
        asked.map(|asked| parts::message("user", &asked.content, &asked.parts))
    });
    let (Some(conversation), Some(thread)) = (conversation, flight.transcript.of.thread_id())
    else {
        return true;
    };
    if remote.is_verified() || ended.status != RunStatus::Completed {
        return true;
    }
    match conversation::holds(remote, &conversation, question.as_ref(), ended).await {
        Some(true) => remote.verify(),
        Some(false) => {
            match conversation::give_up(core, remote, thread, conversation).await {
                Ok(true) => {}
                // The end of the run finds out that the thread is gone.
                Ok(false) => return true,
                Err(error) => tracing::warn!(
                    run = flight.id(),
                    error = with_causes(&error),
                    "could not note that the conversation is not kept"
                ),
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
