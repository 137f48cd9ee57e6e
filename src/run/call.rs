//! Calling the model: what is sent, the stream of the answer, and when to try again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;

use super::live::{Applied, CallRow, LiveRun, Stop};
use super::outcome::{Broken, Outcome, refused};
use super::{conversation, history};
use crate::crash;
use crate::engine::{AiEngine, Remote};
use crate::error::{Error, Result, with_causes};
use crate::model::{AssistantDefinition, Reason, RemoteState};
use crate::openai::{self, Item};
use crate::protocol::{Call, Ended};
use crate::run::history::Source;
use crate::store::runs::{self, Claim, Fence, Locked};
use crate::store::{items, messages, responses};

/// Calls the model until it answers, or until trying again is of no use. Never again once there was output: a second
/// answer is another one, and it is paid for.
pub(super) async fn call(
    engine: &AiEngine,
    remote: &Remote,
    live: &LiveRun,
    definition: &AssistantDefinition,
) -> Outcome {
    let mut attempt = 0;
    let mut recreated = false;
    loop {
        let broken = match once(engine, remote, live, definition, recreated).await {
            Ok(ended) => return Outcome::of(ended, definition.max_output_tokens),
            Err(broken) => broken,
        };
        let has_output = live.state().has_output();
        match broken {
            // An error in the stream is as good as one before it, as long as nothing was said.
            Broken::Refused(error) | Broken::Stream(error)
                if !recreated
                    && !has_output
                    && conversation_is_lost(remote, live, &error).await =>
            {
                tracing::warn!(
                    run = live.id,
                    "the provider lost the conversation; it is told again"
                );
                recreated = true;
            }
            Broken::Stream(error) if !has_output && attempt < engine.options().stream_retries => {
                match openai::retry::backoff(attempt, &error) {
                    Some(wait) => {
                        tracing::warn!(run = live.id, error = %error.brief(), ?wait, "the stream broke before any output; trying again");
                        live.state().begin_again();
                        tokio::time::sleep(wait).await;
                        attempt += 1;
                    }
                    None => return refused(&error, has_output),
                }
            }
            Broken::Refused(error) | Broken::Stream(error) => return refused(&error, has_output),
            Broken::TooLong(limit) => {
                let error = format!("the answer is longer than max_message_bytes ({limit} bytes)");
                return Outcome::broken(
                    Reason::MessageTooLong,
                    error,
                    has_output,
                    RemoteState::Unknown,
                );
            }
            Broken::Store(error) => {
                let sent = if live.state().call.is_some() {
                    RemoteState::Unknown
                } else {
                    RemoteState::Absent
                };
                return Outcome::broken(Reason::Database, with_causes(&error), has_output, sent);
            }
        }
    }
}

/// Whether a 404 means the conversation: an unknown model is one too, and says nothing about it.
async fn conversation_is_lost(remote: &Remote, live: &LiveRun, error: &openai::Error) -> bool {
    let conversation = live.state().call.as_ref().and_then(|call| call.conversation.clone());
    match conversation.filter(|_| error.is_not_found()) {
        Some(id) => matches!(remote.protocol.conversation_exists(&id).await, Ok(false)),
        None => false,
    }
}

async fn once(
    engine: &AiEngine,
    remote: &Remote,
    live: &LiveRun,
    definition: &AssistantDefinition,
    recreate: bool,
) -> std::result::Result<Ended, Broken> {
    let seq = live.state().run.seq;
    let ready = match (recreate, live.parent.thread_id()) {
        (true, Some(thread)) => conversation::recreate(engine, remote, thread).await,
        _ => conversation::ready(engine, remote, live.parent, seq).await,
    };
    let conversation = ready.map_err(|error| match error {
        Error::OpenAi(error) => Broken::Refused(error),
        other => Broken::Store(other),
    })?;
    let input = begin(engine, remote, live, definition, conversation.clone())
        .await
        .map_err(Broken::Store)?;
    super::drive::look_before_sending(engine, live).await.map_err(Broken::Store)?;
    let tries = Arc::default();
    let call =
        Call { definition: definition.clone(), input, conversation, tries: Arc::clone(&tries) };
    let careful = call.conversation.is_some();
    let called = remote.protocol.call(&call).await;
    // The first was counted before it was sent.
    let further = i64::from(tries.load(Ordering::Relaxed)).saturating_sub(1).max(0);
    live.state().further_attempts += further;
    let mut stream = called.map_err(|error| {
        // With a conversation the client has not repeated what may have been done; we can look.
        if careful && !error.may_be_repeated_as_it_is() {
            Broken::Stream(error)
        } else {
            Broken::Refused(error)
        }
    })?;
    crash::point!("call.answered");
    drop(call);
    while let Some(progress) = stream.next().await {
        match live.apply(progress.map_err(Broken::Stream)?) {
            Applied::Silently => {}
            Applied::Text { first, bytes } => {
                crash::point!("output.arrived");
                if first {
                    engine.writer().hurry();
                }
                respect_limits(engine, live, bytes).await?;
            }
            Applied::Ended(ended) => {
                crash::point!("end.arrived");
                return Ok(*ended);
            }
        }
    }
    // The client ends a stream with its end event or an error.
    Err(Broken::Stream(openai::Error::Disconnected {
        message: "the stream ended before its end event".to_owned(),
        source: None,
    }))
}

/// Stops an endless answer; waits for the database when it falls behind.
async fn respect_limits(
    engine: &AiEngine,
    live: &LiveRun,
    bytes: usize,
) -> std::result::Result<(), Broken> {
    let limit = engine.options().max_message_bytes;
    if bytes > limit {
        return Err(Broken::TooLong(limit));
    }
    let most = engine.options().max_unflushed_bytes;
    if live.state().has_unflushed(most) {
        engine.writer().hurry();
        live.wait(|state| (!state.has_unflushed(most)).then_some(())).await;
    }
    Ok(())
}

/// Notes the call before it is made: its row, the attempt, and that what is sent may now be held remotely. Returns what
/// to send.
async fn begin(
    engine: &AiEngine,
    remote: &Remote,
    live: &LiveRun,
    definition: &AssistantDefinition,
    conversation: Option<String>,
) -> Result<Vec<Item>> {
    let claim = claim_of(live)?;
    let (parent, seq) = (live.parent, live.state().run.seq);
    let (endpoint, protocol) = (remote.protocol.endpoint().to_owned(), remote.protocol.name());
    let budget = definition.max_prompt_tokens;
    let previous = live.state().call.clone().and_then(|call| Some((call.id, call.remote_id?)));
    let begun = super::drive::persist(engine, move |session| {
        let held = runs::fence(session, &[claim], Locked::Wait)?;
        if held.first() != Some(&Fence::Held { cancel: false }) {
            return Ok(Err(held.first().copied().unwrap_or(Fence::Gone)));
        }
        let said = match &conversation {
            Some(_) => messages::not_held_up_to(session, parent, seq, &endpoint)?,
            None => messages::up_to(session, parent, seq)?,
        };
        let done = items::up_to(session, parent, seq)?;
        let entries = history::entries(said, done, &endpoint);
        let mut call = CallRow {
            conversation: conversation.clone(),
            endpoint: endpoint.clone(),
            protocol,
            ..CallRow::default()
        };
        let input = if conversation.is_some() {
            let absent = history::lacking(entries);
            for entry in &absent {
                match entry.source {
                    Source::Message(id) => call.sent_messages.push(id),
                    Source::Item(id) => call.sent_items.push(id),
                }
            }
            messages::set_remote_state(
                session,
                &call.sent_messages,
                RemoteState::Unknown,
                &endpoint,
                protocol,
            )?;
            items::set_remote_state(
                session,
                &call.sent_items,
                RemoteState::Unknown,
                &endpoint,
                protocol,
            )?;
            absent.into_iter().map(|entry| entry.item).collect()
        } else {
            history::whole(entries, budget)
        };
        runs::count_attempt(session, claim.run_id)?;
        if let Some((id, remote_id)) = &previous {
            responses::identify(session, *id, remote_id)?;
        }
        call.id =
            responses::begin(session, claim.run_id, &endpoint, protocol, conversation.is_some())?;
        crash::point!("call.committing");
        Ok(Ok((call, input)))
    })
    .await?;
    match begun {
        Ok((call, input)) => {
            crash::point!("call.committed");
            live.state().call = Some(call);
            Ok(input)
        }
        Err(fence) => {
            live.stop(match fence {
                Fence::Held { .. } => Stop::Cancelled,
                Fence::Lost | Fence::Locked => Stop::Lost,
                Fence::Gone => Stop::Gone,
            });
            // Whoever selects on the stop drops this future.
            std::future::pending().await
        }
    }
}

pub(super) fn claim_of(live: &LiveRun) -> Result<Claim> {
    live.state().claim.ok_or(Error::RunGone(live.id))
}
