//! How a run begins, and goes on with the outputs of its tools.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Input, Request,
    fake::Shared,
    script::reply::{Kind, Reply},
    service::{
        chat, choice, error::ApiError, prompt::Prompt, run::Run, server::Answer, state::State,
        tape::Tape,
    },
    wire::frame::Event,
};

use super::{
    check,
    job::{ThreadJob, told_as},
    known, objects, resources,
    store::StoredRun,
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
    if !matches!(answer, Ok(Answer::Json(..) | Answer::Playback(..))) {
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
    let run_id = "";
    let mut run = objects::run(run_id, thread, assistant, body);
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

/// `POST …/submit_tool_outputs`.
pub(super) fn go_on(
    shared: &Arc<Shared>,
    thread: &str,
    run_id: &str,
    request: &Request,
) -> Result<Answer> {
    let mut state = shared.state();
    let held = state.assistants.thread(thread)?;
    let stored = held.run(run_id)?;
    let status = stored.object["status"].as_str().unwrap_or_default();
    if status != "requires_action" {
        let message = format!("Runs in status \"{status}\" do not accept tool outputs.");
        return Err(ApiError::bad_request(message));
    }
    let body = check::body(request, known::OUTPUTS)?;
    let outputs = outputs(body, stored)?;

    let mut context: Vec<Value> = held.messages.iter().map(item_of).collect();
    context.extend(stored.called.iter().cloned());
    let mut run = stored.object.clone();
    let input = asked(&run, &outputs);
    let prompt = Prompt { context, input: outputs };
    let reply = choose(shared, &mut state, request, &input, &prompt)?;
    if !matches!(reply.kind, Kind::Model) {
        return Ok(Answer::Scripted(reply));
    }

    let mut first = Vec::new();
    let stored = state.assistants.thread_mut(thread)?.run_mut(run_id)?;
    let begun = |step: &&Value| step["status"] == "in_progress";
    if let Some(step) = stored.steps.iter().find(begun) {
        let mut step = step.clone();
        objects::set_status(&mut step, "completed");
        for output in &prompt.input {
            let calls = step["step_details"]["tool_calls"].as_array_mut().into_iter().flatten();
            for call in calls.filter(|call| call["id"] == output["call_id"]) {
                call["function"]["output"] = output["output"].clone();
            }
        }
        first.push(told_as(&step));
    }
    stored.called.extend(prompt.input.iter().cloned());
    run["required_action"] = Value::Null;
    run["status"] = json!("queued");
    stored.object = run.clone();
    first.push(told_as(&run));
    let streamed = body["stream"] == json!(true);
    start(shared, &mut state, run, first, reply, prompt.tokens(&input), streamed)
}

/// An output for each call that waits for one, as items.
fn outputs(body: &Value, run: &StoredRun) -> Result<Vec<Value>> {
    let given = match &body["tool_outputs"] {
        Value::Null => return Err(ApiError::missing("tool_outputs")),
        Value::Array(outputs) => outputs,
        _ => return Err(ApiError::wrong_type("tool_outputs", "an array")),
    };
    let calls = &run.object["required_action"]["submit_tool_outputs"]["tool_calls"];
    let mut wanted: Vec<&str> =
        calls.as_array().into_iter().flatten().filter_map(|call| call["id"].as_str()).collect();
    let mut got: Vec<&str> =
        given.iter().map(|output| output["tool_call_id"].as_str().unwrap_or_default()).collect();
    let (in_order, of_given) = (wanted.clone(), got.clone());
    wanted.sort_unstable();
    got.sort_unstable();
    if wanted != got {
        return Err(ApiError::bad_request(format!(
            "Expected tool outputs for call_ids {in_order:?}, got {of_given:?}"
        )));
    }
    let item = |output: &Value| {
        json!({
            "type": "function_call_output", "call_id": output["tool_call_id"],
            "output": output["output"].as_str().unwrap_or_default(),
        })
    };
    Ok(given.iter().map(item).collect())
}

fn choose(
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

/// The run in the form of a request for a response.
fn asked(run: &Value, input: &[Value]) -> Value {
    let text = run["instructions"].as_str().filter(|text| !text.is_empty());
    json!({
        "model": run["model"],
        "instructions": text,
        "input": input,
        "tools": run["tools"].as_array().into_iter().flatten().map(chat::unwrapped).collect::<Vec<_>>(),
        "tool_choice": chat::unwrapped(&run["tool_choice"]),
    })
}

/// A message of a thread as an item.
fn item_of(message: &Value) -> Value {
    let kind = if message["role"] == "assistant" { "output_text" } else { "input_text" };
    let part = |part: &Value| match part["type"].as_str() {
        Some("text") => {
            let text = part["text"].get("value").unwrap_or(&part["text"]);
            json!({"type": kind, "text": text})
        }
        Some("image_url") => {
            let image = &part["image_url"];
            json!({"type": "input_image", "image_url": image["url"], "detail": image["detail"]})
        }
        Some("image_file") => {
            let image = &part["image_file"];
            json!({"type": "input_image", "file_id": image["file_id"], "detail": image["detail"]})
        }
        _ => part.clone(),
    };
    let content: Vec<Value> = match &message["content"] {
        Value::String(text) => vec![json!({"type": kind, "text": text})],
        parts => parts.as_array().into_iter().flatten().map(part).collect(),
    };
    json!({"type": "message", "role": message["role"], "content": content})
}

/// What a request alone says of what the model is sent, if it asks for a run. The service knows more: what was said before.
pub(crate) fn input_of(path: &str, body: &Value) -> Option<Input> {
    let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
    let messages = match segments.as_slice() {
        ["threads", "runs"] => &body["thread"]["messages"],
        ["threads", _, "runs"] => &body["additional_messages"],
        ["threads", _, "runs", _, "submit_tool_outputs"] => &body["tool_outputs"],
        _ => return None,
    };
    let item = |given: &Value| match &given["tool_call_id"] {
        Value::Null => item_of(given),
        id => {
            json!({"type": "function_call_output", "call_id": id, "output": given["output"]})
        }
    };
    let items: Vec<Value> = messages.as_array().into_iter().flatten().map(item).collect();
    Some(Input::of(&asked(body, &items)))
}

/// Runs it as a task of the server. Who streams listens; a run goes on without.
fn start(
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
