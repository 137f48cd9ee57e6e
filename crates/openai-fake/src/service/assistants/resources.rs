//! The endpoints of what is kept: assistants, threads, messages, and the past of runs.

use serde_json::{Value, json};

use crate::{
    Request,
    service::{error::ApiError, items, state::State},
};

use super::{
    check, known, objects,
    store::{Thread, unknown},
};

type Result<T> = std::result::Result<T, ApiError>;

/// `None` where there is no such endpoint.
pub(super) fn answer(state: &mut State, request: &Request, path: &[&str]) -> Option<Result<Value>> {
    Some(match (request.method.as_str(), path) {
        ("POST", ["assistants"]) => create_assistant(state, request),
        ("GET", ["assistants"]) => {
            let assistants: Vec<_> = state.assistants.assistants.values().collect();
            items::page(&assistants, request)
        }
        ("GET", ["assistants", id]) => state.assistants.assistant(id).cloned(),
        ("POST", ["assistants", id]) => update_assistant(state, id, request),
        ("DELETE", ["assistants", id]) => {
            let gone = state.assistants.assistants.remove(*id);
            deleted(gone.is_some(), "assistant", id)
        }

        ("POST", ["threads"]) => create_thread(state, request),
        ("GET", ["threads", id]) => state.assistants.thread(id).map(|thread| thread.object.clone()),
        ("POST", ["threads", id]) => update_thread(state, id, request),
        ("DELETE", ["threads", id]) => delete_thread(state, id),

        ("POST", ["threads", id, "messages"]) => create_message(state, id, request),
        ("GET", ["threads", id, "messages"]) => list_messages(state, id, request),
        ("GET", ["threads", id, "messages", message]) => {
            state.assistants.thread_mut(id).and_then(|thread| thread.message_mut(message).cloned())
        }
        ("POST", ["threads", id, "messages", message]) => {
            update_message(state, id, message, request)
        }
        ("DELETE", ["threads", id, "messages", message]) => delete_message(state, id, message),
        _ => return None,
    })
}

fn deleted(was_there: bool, what: &str, id: &str) -> Result<Value> {
    let kind = what.rsplit(' ').next().unwrap_or(what);
    let kind = if kind == "message" { "thread.message" } else { kind };
    let gone = json!({"id": id, "object": format!("{kind}.deleted"), "deleted": true});
    was_there.then_some(gone).ok_or_else(|| unknown(what, id))
}

fn create_assistant(state: &mut State, request: &Request) -> Result<Value> {
    let body = check::body(request, known::ASSISTANT)?;
    state.models.of(body)?;
    check::settings(body)?;
    let id = state.mint("asst");
    let assistant = objects::assistant(&id, body);
    state.assistants.assistants.insert(id, assistant.clone());
    Ok(assistant)
}

fn update_assistant(state: &mut State, id: &str, request: &Request) -> Result<Value> {
    state.assistants.assistant(id)?;
    let body = check::body(request, known::ASSISTANT)?;
    if !body["model"].is_null() {
        state.models.of(body)?;
    }
    check::settings(body)?;
    let found = state.assistants.assistants.get_mut(id);
    let assistant = found.ok_or_else(|| unknown("assistant", id))?;
    objects::update(assistant, body);
    Ok(assistant.clone())
}

fn create_thread(state: &mut State, request: &Request) -> Result<Value> {
    let body = check::body(request, known::NEW_THREAD)?;
    let id = new_thread(state, body, "messages")?;
    Ok(state.assistants.thread(&id)?.object.clone())
}

/// A thread with its first messages; its id. `path` is where the request has those.
pub(super) fn new_thread(state: &mut State, body: &Value, path: &str) -> Result<String> {
    let messages = check::messages(&body["messages"], path)?;
    let id = state.mint("thread");
    let mut thread = Thread::new(objects::thread(&id, body));
    for message in messages {
        thread.messages.push(objects::message(&state.mint("msg"), &id, message));
    }
    state.assistants.threads.insert(id.clone(), thread);
    Ok(id)
}

fn update_thread(state: &mut State, id: &str, request: &Request) -> Result<Value> {
    let thread = state.assistants.thread_mut(id)?;
    objects::update(&mut thread.object, check::body(request, known::THREAD)?);
    Ok(thread.object.clone())
}

/// What runs on it has nowhere to go.
fn delete_thread(state: &mut State, id: &str) -> Result<Value> {
    let gone = state.assistants.threads.remove(id);
    let runs = gone.iter().flat_map(|thread| thread.runs.values());
    for tape in runs.filter_map(|run| run.tape.as_ref()) {
        tape.end();
    }
    deleted(gone.is_some(), "thread", id)
}

fn create_message(state: &mut State, thread: &str, request: &Request) -> Result<Value> {
    check_idle(state.assistants.thread(thread)?)?;
    let body = check::body(request, known::MESSAGE)?;
    check::message(body, "")?;
    let message = objects::message(&state.mint("msg"), thread, body);
    state.assistants.thread_mut(thread)?.messages.push(message.clone());
    Ok(message)
}

/// While a run is active, nothing is added to its thread.
fn check_idle(thread: &Thread) -> Result<()> {
    let Some(run) = thread.active() else { return Ok(()) };
    let id = thread.id();
    Err(ApiError::bad_request(format!("Can't add messages to {id} while a run {run} is active.")))
}

fn list_messages(state: &State, thread: &str, request: &Request) -> Result<Value> {
    let messages = state.assistants.thread(thread)?.messages.iter();
    let run = request.query_value("run_id");
    let wanted = messages.filter(|message| run.is_none_or(|run| message["run_id"] == run));
    items::page(&wanted.collect::<Vec<_>>(), request)
}

fn update_message(
    state: &mut State,
    thread: &str,
    message: &str,
    request: &Request,
) -> Result<Value> {
    let message = state.assistants.thread_mut(thread)?.message_mut(message)?;
    objects::update(message, check::body(request, known::METADATA)?);
    Ok(message.clone())
}

fn delete_message(state: &mut State, thread: &str, message: &str) -> Result<Value> {
    let thread = state.assistants.thread_mut(thread)?;
    let place = thread.messages.iter().position(|found| found["id"] == message);
    if let Some(place) = place {
        thread.messages.remove(place);
        thread.read -= usize::from(place < thread.read);
    }
    deleted(place.is_some(), "message", message)
}

pub(super) fn update_run(
    state: &mut State,
    thread: &str,
    run: &str,
    request: &Request,
) -> Result<Value> {
    let run = state.assistants.thread_mut(thread)?.run_mut(run)?;
    objects::update(&mut run.object, check::body(request, known::METADATA)?);
    Ok(run.object.clone())
}

pub(super) fn step(state: &State, thread: &str, run: &str, step: &str) -> Result<Value> {
    let mut steps = state.assistants.thread(thread)?.run(run)?.steps.iter();
    let found = steps.find(|found| found["id"] == step);
    found.cloned().ok_or_else(|| unknown("run step", step))
}
