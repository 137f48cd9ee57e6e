//! How a run begins, and goes on with the outputs of its tools.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Input, Request,
    fake::Shared,
    script::reply::{Kind, Reply},
    service::{
        choice, error::ApiError, prompt::Prompt, run::Run, server::Answer, state::State, tape::Tape,
    },
    wire::frame::Event,
};

use super::{
    check,
    job::ThreadJob,
    known, objects, resources,
    store::StoredRun,
    translate::{asked, item_of},
};

type Result<T> = std::result::Result<T, ApiError>;

/// `POST /threads/runs`.
pub(super) fn with_thread(shared: &Arc<Shared>, request: &Request) -> Result<Answer> {
    let body = check::body(request, known::THREAD_AND_RUN)?;
    check::settings(body)?;
    let mut state = shared.state();
    check_assistant(&state, body)?;
    let thread = resources::new_thread(&mut state, &body["thread"], "thread.messages")?;
    let object = state.assistants.thread(&thread)?.object.clone();
    let first = vec![Event::Named("thread.created".to_owned(), object)];
    let answer = begin(shared, &mut state, &thread, request, body, first);
    // Without its run there is no thread either.
    if state.assistants.thread(&thread).is_ok_and(|held| held.runs.is_empty()) {
        state.assistants.threads.remove(&thread);
    }
    answer
}

/// `POST /threads/{id}/runs`.
pub(super) fn on_thread(shared: &Arc<Shared>, thread: &str, request: &Request) -> Result<Answer> {
    let mut state = shared.state();
    let held = state.assistants.thread(thread)?;
    if let Some(run) = held.active() {
        let message = format!("Thread {thread} already has an active run {run}.");
        return Err(ApiError::bad_request(message));
    }
    let body = check::body(request, known::RUN)?;
    check::settings(body)?;
    check_assistant(&state, body)?;
    begin(shared, &mut state, thread, request, body, Vec::new())
}

fn check_assistant(state: &State, body: &Value) -> Result<()> {
    let id = body["assistant_id"].as_str();
    let id = id.ok_or_else(|| ApiError::missing("assistant_id"))?;
    state.assistants.assistant(id).map(drop)
}

fn begin(
    shared: &Arc<Shared>,
    state: &mut State,
    thread: &str,
    request: &Request,
    body: &Value,
    mut first: Vec<Event>,
) -> Result<Answer> {
    let assistant =
        state.assistants.assistant(body["assistant_id"].as_str().unwrap_or_default())?;
    let mut run = objects::run(thread, assistant, body);
    state.models.of(&run)?;
    let added = check::messages(&body["additional_messages"], "additional_messages")?;
    let added: Vec<Value> =
        added.iter().map(|message| objects::message(&state.mint("msg"), thread, message)).collect();

    let held = state.assistants.thread(thread)?;
    let said = |messages: &[Value]| messages.iter().map(item_of).collect::<Vec<_>>();
    let unread = held.messages.get(held.read..).unwrap_or_default().iter();
    let unread: Vec<Value> =
        unread.filter(|message| message["run_id"].is_null()).cloned().collect();
    let prompt = Prompt { context: said(&held.messages), input: said(&added) };
    let mut input = asked(&run, &[said(&unread), said(&added)].concat());
    input["max_output_tokens"] = run["max_completion_tokens"].clone();
    let reply = choose(shared, state, request, &input, &prompt)?;
    if !matches!(reply.kind, Kind::Model) {
        return Ok(Answer::Scripted(reply));
    }

    let run_id = state.mint("run");
    run["id"] = json!(run_id);
    if let Some(model) = &reply.model {
        run["model"] = json!(model);
    }
    let held = state.assistants.thread_mut(thread)?;
    held.messages.extend(added);
    held.read = held.messages.len();
    let stored = StoredRun {
        object: run.clone(),
        steps: Vec::new(),
        called: Vec::new(),
        used: (0, 0),
        tape: None,
    };
    held.runs.insert(run_id, stored);
    let named = |kind: &str| Event::Named(format!("thread.run.{kind}"), run.clone());
    first.extend([named("created"), named("queued")]);
    let streamed = body["stream"] == json!(true);
    start(shared, state, run, first, reply, prompt.tokens(&input), streamed)
}

pub(super) fn choose(
    shared: &Arc<Shared>,
    state: &mut State,
    request: &Request,
    asked: &Value,
    prompt: &Prompt,
) -> Result<Reply> {
    let input = Input::of(asked);
    state.assistants.inputs.insert(request.request_id.clone(), input.clone());
    choice::reply(shared, asked, prompt, || input)
}

/// Runs it as a task of the server. Who streams listens; a run goes on without.
pub(super) fn start(
    shared: &Arc<Shared>,
    state: &mut State,
    run: Value,
    first: Vec<Event>,
    reply: Reply,
    input_tokens: u64,
    streamed: bool,
) -> Result<Answer> {
    let reply = choice::fill_in_items(reply, state);
    state.responses_created += 1;
    let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
    let (id, thread) = (text("id"), text("thread_id"));
    let streamed = streamed && !reply.shape.whole;
    let comment_every = reply.comment_every;
    let stored = state.assistants.thread_mut(&thread)?.run_mut(&id)?;
    let calls = reply.items.iter().filter(|item| item["type"] == "function_call");
    stored.called.extend(calls.cloned());
    let used = stored.used;
    let job = ThreadJob::new(state, run.clone(), first, &reply, input_tokens, used);
    let mut making = Run::new(Arc::clone(shared), Box::new(job), reply);
    let headers = making.take_headers();
    let tape = Tape::new(&mut making, comment_every, streamed);
    state.assistants.thread_mut(&thread)?.run_mut(&id)?.tape = Some(tape.clone());
    shared.run_in_background(tape.clone(), making);
    Ok(match streamed {
        true => Answer::Playback(headers, tape.play(0, shared, &id)),
        false if tape.loses_its_answer() => Answer::Scripted(Reply::hang_up()),
        false => Answer::Json(headers, run),
    })
}
