//! The Assistants API (v2): assistants, threads and their messages, and runs.

mod begin;
mod check;
mod job;
mod known;
mod objects;
mod outputs;
mod resources;
mod stop;
mod store;
mod translate;

use std::sync::Arc;

use crate::{
    Request,
    fake::Shared,
    service::{error::ApiError, items, server::Answer},
};

pub(crate) use store::Store;
pub(crate) use translate::input_of;

/// The answer to this path below `/v1`, if it is one of this API.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    request: &Request,
    path: &[&str],
) -> Option<Result<Answer, ApiError>> {
    if !matches!(path.first(), Some(&("assistants" | "threads"))) {
        return None;
    }
    if let Err(error) = check::beta(request) {
        return Some(Err(error));
    }
    let state = || shared.state();
    let value = match (request.method.as_str(), path) {
        ("POST", ["threads", "runs"]) => return Some(begin::with_thread(shared, request)),
        ("POST", ["threads", id, "runs"]) => return Some(begin::on_thread(shared, id, request)),
        ("POST", ["threads", thread, "runs", id, "submit_tool_outputs"]) => {
            return Some(outputs::go_on(shared, thread, id, request));
        }
        ("POST", ["threads", thread, "runs", id, "cancel"]) => {
            stop::cancel(&mut state().assistants, thread, id)
        }

        ("GET", ["threads", thread, "runs"]) => {
            state().assistants.thread(thread).and_then(|thread| {
                let runs: Vec<_> = thread.runs.values().map(|run| &run.object).collect();
                items::page(&runs, request)
            })
        }
        ("GET", ["threads", thread, "runs", id]) => {
            state().assistants.thread(thread).and_then(|thread| Ok(thread.run(id)?.object.clone()))
        }
        ("POST", ["threads", thread, "runs", id]) => {
            resources::update_run(&mut state(), thread, id, request)
        }
        ("GET", ["threads", thread, "runs", id, "steps"]) => {
            state().assistants.thread(thread).and_then(|thread| {
                let steps: Vec<_> = thread.run(id)?.steps.iter().collect();
                items::page(&steps, request)
            })
        }
        ("GET", ["threads", thread, "runs", id, "steps", step]) => {
            resources::step(&state(), thread, id, step)
        }
        _ => resources::answer(&mut state(), request, path)?,
    };
    Some(value.map(|value| Answer::Json(Vec::new(), value)))
}
