//! Settling: the end of a run in one transaction. Final texts, usage, statuses, what the provider holds.

use super::call::{Outcome, claim_of};
use super::drive::persist;
use super::live::{CallRow, LiveRun, Stop};
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::{
    Message, MessageStatus, Messageable, RemoteState, Role, Run, RunStatus, Usage, utc_now,
};
use crate::openai::Item;
use crate::protocol::Ended;
use crate::store::items::{self, NewItem};
use crate::store::messages::{self, NewMessage, SettledMessage};
use crate::store::responses::{self, EndedCall};
use crate::store::runs::{self, Claim, End, Fence};
use crate::store::session::Session;
use crate::store::{deltas, threads};

/// All that the end of a run writes.
#[derive(Debug)]
struct Settlement {
    claim: Claim,
    parent: Messageable,
    seq: i64,
    end: End,
    call: Option<CallRow>,
    ended_call: Option<EndedCall>,
    sent: RemoteState,
    endpoint: String,
    protocol: &'static str,
    messages: Vec<Final>,
    items: Vec<NewItem>,
}

/// The final form of one of the model's messages.
#[derive(Debug)]
struct Final {
    slot: i64,
    row: Option<i64>,
    remote_id: Option<String>,
    content: String,
    /// What readers saw is not the beginning of it.
    replaced: bool,
}

/// Ends the run. The writer leaves it alone from here on. `Ok(Err(stop))`: it is not ours to end any more.
pub(super) async fn settle(
    engine: &AiEngine,
    live: &LiveRun,
    outcome: Outcome,
) -> Result<std::result::Result<(), Stop>> {
    engine.writer().release(live).await;
    let settlement = plan(engine, live, outcome)?;
    let slots: Vec<(i64, bool)> = settlement
        .messages
        .iter()
        .map(|message| (message.slot, message.replaced))
        .collect();
    let written = persist(engine, move |session| write(session, &settlement)).await?;
    match written {
        Ok((run, rows)) => {
            live.update(|state| {
                state.run = run;
                // In the order of `slots`, which is that of `rows`.
                state
                    .messages
                    .retain(|message| slots.iter().any(|(slot, _)| *slot == message.slot));
                for ((slot, replaced), row) in slots.iter().zip(rows) {
                    if !state.messages.iter().any(|message| message.slot == *slot) {
                        state.messages.push(super::live::LiveMessage::new(*slot));
                    }
                    for message in state
                        .messages
                        .iter_mut()
                        .filter(|message| message.slot == *slot)
                    {
                        message.text.clone_from(&row.content);
                        message.stored = row.content.len();
                        message.replaced = *replaced;
                        message.settled = true;
                        message.row = Some(row.clone());
                    }
                }
                state.messages.sort_by_key(|message| message.slot);
                state.ended = true;
            });
        }
        Err(Fence::Gone) => return Ok(Err(Stop::Gone)),
        Err(_) => return Ok(Err(Stop::Lost)),
    }
    Ok(Ok(()))
}

fn plan(engine: &AiEngine, live: &LiveRun, outcome: Outcome) -> Result<Settlement> {
    let claim = claim_of(live)?;
    let remote = engine.require_remote()?;
    let state = live.state();
    let keeps = state
        .call
        .as_ref()
        .is_some_and(|call| call.conversation.is_some());
    let output_state = match outcome.sent {
        _ if !keeps => RemoteState::Absent,
        state => state,
    };
    let output = outcome
        .ended
        .as_ref()
        .map_or(&[][..], |ended| &ended.output);
    let messages = final_messages(&state.messages, output);
    let mut items = other_items(output, output_state);
    let mut end = End {
        status: outcome.status,
        reason: outcome.reason,
        error: outcome.error,
    };
    if close_calls(&mut items, output.len()) && end.status == RunStatus::Completed {
        end.status = RunStatus::Incomplete;
        end.reason = Some("tool_calls".to_owned());
    }
    if end.status == RunStatus::Failed && !messages.is_empty() {
        end.status = RunStatus::Incomplete;
    }
    let ended_call = state.call.as_ref().map(|call| {
        ended_call(
            call,
            state.sequence_number,
            end.status,
            outcome.ended.as_ref(),
        )
    });
    Ok(Settlement {
        claim,
        parent: live.parent,
        seq: state.run.seq,
        end,
        call: state.call.clone(),
        ended_call,
        sent: outcome.sent,
        endpoint: remote.protocol.endpoint().to_owned(),
        protocol: remote.protocol.name(),
        messages,
        items,
    })
}

fn ended_call(
    call: &CallRow,
    sequence_number: i64,
    status: RunStatus,
    ended: Option<&Ended>,
) -> EndedCall {
    EndedCall {
        id: call.id,
        remote_id: ended
            .and_then(|ended| ended.response_id.clone())
            .or_else(|| call.remote_id.clone()),
        sequence_number: (sequence_number >= 0).then_some(sequence_number),
        model: ended.and_then(|ended| ended.model.clone()),
        status,
        usage: ended.map_or_else(Usage::default, |ended| ended.usage),
    }
}

/// The provider's final texts over the streamed ones; a streamed message that it does not mention keeps its text.
fn final_messages(streamed: &[super::live::LiveMessage], output: &[Item]) -> Vec<Final> {
    let mut finals: Vec<Final> = streamed
        .iter()
        .map(|message| Final {
            slot: message.slot,
            row: message.row.as_ref().map(|row| row.id),
            remote_id: message.remote_id.clone(),
            content: message.text.clone(),
            replaced: false,
        })
        .collect();
    let mut matched = vec![false; finals.len()];
    for (index, item) in output
        .iter()
        .enumerate()
        .filter(|(_, item)| item.kind() == "message")
    {
        let text = item.text().replace('\0', "\u{fffd}");
        let by_id = finals
            .iter()
            .position(|known| item.id().is_some() && known.remote_id.as_deref() == item.id());
        // Servers without ids or indexes: the messages still come in order.
        let found = by_id.or_else(|| matched.iter().position(|matched| !matched));
        match found {
            Some(at) => {
                matched[at] = true;
                let known = &mut finals[at];
                known.remote_id = item
                    .id()
                    .map(str::to_owned)
                    .or_else(|| known.remote_id.take());
                if !text.trim().is_empty() {
                    known.replaced = known.row.is_some() && !text.starts_with(&known.content);
                    known.content = text;
                }
            }
            None => {
                let slot = i64::try_from(index).unwrap_or(i64::MAX - 1);
                let taken = finals.iter().map(|known| known.slot).max();
                let slot = taken.map_or(slot, |taken| slot.max(taken + 1));
                finals.push(Final {
                    slot,
                    row: None,
                    remote_id: item.id().map(str::to_owned),
                    content: text,
                    replaced: false,
                });
                matched.push(true);
            }
        }
    }
    // No blank rows: a message without a word is none.
    finals.retain(|message| message.row.is_some() || !message.content.trim().is_empty());
    finals
}

fn other_items(output: &[Item], remote_state: RemoteState) -> Vec<NewItem> {
    let others = output
        .iter()
        .enumerate()
        .filter(|(_, item)| item.kind() != "message");
    others
        .map(|(index, item)| NewItem {
            position: 1 + i64::try_from(index).unwrap_or(i64::MAX - 1),
            kind: item.kind().to_owned(),
            call_id: item.call_id().map(str::to_owned),
            phase: item
                .as_value()
                .get("phase")
                .and_then(|phase| phase.as_str())
                .map(str::to_owned),
            item: without_nul(item.as_value().clone()),
            remote_id: item.id().map(str::to_owned),
            remote_state,
        })
        .collect()
}

/// A call without an output makes the provider refuse the conversation's next turn. Nobody carries calls out yet, so
/// each gets an output that says so, which travels with the next turn. Returns whether there was any.
fn close_calls(items: &mut Vec<NewItem>, outputs: usize) -> bool {
    let calls: Vec<String> = items
        .iter()
        .filter(|item| item.kind == "function_call")
        .filter_map(|item| item.call_id.clone())
        .collect();
    for (index, call_id) in calls.iter().enumerate() {
        items.push(NewItem {
            position: 1 + i64::try_from(outputs + index).unwrap_or(i64::MAX - 1),
            kind: "function_call_output".to_owned(),
            call_id: Some(call_id.clone()),
            phase: None,
            item: Item::function_call_output(call_id, "This call was not carried out.")
                .into_value(),
            remote_id: None,
            remote_state: RemoteState::Absent,
        });
    }
    !calls.is_empty()
}

/// PostgreSQL stores JSON text as it is, but no NUL in what is read out of it.
fn without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => Value::Array(values.into_iter().map(without_nul).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, without_nul(value)))
                .collect(),
        ),
        other => other,
    }
}

type Written = std::result::Result<(Run, Vec<Message>), Fence>;

fn write(session: &mut dyn Session, plan: &Settlement) -> Result<Written> {
    if plan.messages.iter().any(|message| message.replaced) {
        // The thread before the run: the order of locks of whoever deletes a thread.
        threads::bump_revision(session, plan.parent)?;
    }
    match runs::fence(session, &[plan.claim])?.first() {
        Some(Fence::Held { .. }) => {}
        Some(fence) => return Ok(Err(*fence)),
        None => return Ok(Err(Fence::Gone)),
    }
    if let Some(call) = &plan.call {
        messages::set_remote_state(
            session,
            &call.sent_messages,
            plan.sent,
            &plan.endpoint,
            plan.protocol,
        )?;
        items::set_remote_state(
            session,
            &call.sent_items,
            plan.sent,
            &plan.endpoint,
            plan.protocol,
        )?;
    }
    if let Some(call) = &plan.ended_call {
        responses::end(session, call)?;
    }
    responses::end_open(session, plan.claim.run_id)?;
    let last = plan.messages.len().saturating_sub(1);
    let mut rows = Vec::with_capacity(plan.messages.len());
    for (index, message) in plan.messages.iter().enumerate() {
        rows.push(write_message(session, plan, message, index == last)?);
    }
    deltas::fold(session, &rows.iter().map(|row| row.id).collect::<Vec<_>>())?;
    for item in &plan.items {
        items::insert(
            session,
            plan.claim.run_id,
            item,
            &plan.endpoint,
            plan.protocol,
        )?;
    }
    let usage = responses::usage_of_run(session, plan.claim.run_id)?;
    Ok(runs::end(session, plan.claim.run_id, &plan.end, usage)?
        .map(|run| (run, rows))
        .ok_or(Fence::Lost))
}

fn write_message(
    session: &mut dyn Session,
    plan: &Settlement,
    message: &Final,
    last: bool,
) -> Result<Message> {
    let conversation = plan
        .call
        .as_ref()
        .is_some_and(|call| call.conversation.is_some());
    let status = if plan.end.status == RunStatus::Completed {
        MessageStatus::Completed
    } else {
        MessageStatus::Incomplete
    };
    let call = plan.ended_call.as_ref();
    let settled = SettledMessage {
        status,
        content: message.content.clone(),
        model: call.and_then(|call| call.model.clone()),
        // Counted once: at the last message.
        usage: call
            .filter(|_| last)
            .map_or_else(Usage::default, |call| call.usage),
        remote_id: message.remote_id.clone().filter(|_| conversation),
        remote_state: if conversation {
            plan.sent
        } else {
            RemoteState::Absent
        },
        endpoint: conversation.then(|| plan.endpoint.clone()),
        protocol: conversation.then(|| plan.protocol.to_owned()),
        updated_at: utc_now(),
    };
    if let Some(id) = message.row {
        return messages::settle(session, id, &settled);
    }
    let mut new = NewMessage::local(
        plan.parent,
        Some(plan.claim.run_id),
        plan.seq,
        1 + message.slot,
        Role::Assistant,
        settled.content,
    );
    new.status = settled.status;
    new.model = settled.model;
    new.usage = settled.usage;
    new.remote_id = settled.remote_id;
    new.remote_state = settled.remote_state;
    new.endpoint = settled.endpoint;
    new.protocol = settled.protocol;
    messages::insert(session, &new)
}
