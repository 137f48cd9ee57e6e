//! The Chat Completions API: an answer to all that was said, of which nothing is kept.

mod check;
mod job;
mod known;
mod translate;

use std::sync::Arc;

use serde_json::json;

use crate::{
    Input, Request,
    fake::Shared,
    script::reply::Kind,
    service::{check as common, choice, error::ApiError, prompt::Prompt, run::Run, server::Answer},
};

pub(crate) use translate::{as_response as translated, unwrapped};

/// `POST /chat/completions`.
pub(crate) fn create(shared: &Arc<Shared>, request: &Request) -> Result<Answer, ApiError> {
    let body = common::object(request)?;
    check::parameters(body)?;
    let mut state = shared.state();
    state.models.of(body)?;
    check::messages(&body["messages"])?;
    if state.strict_template {
        check::template(&body["messages"])?;
    }

    let asked = translated(body);
    let input = asked["input"].as_array().cloned().unwrap_or_default();
    let prompt = Prompt { context: Vec::new(), input };
    let reply = choice::reply(shared, &asked, &prompt, || Input::of(&asked))?;
    if !matches!(reply.kind, Kind::Model) {
        return Ok(Answer::Scripted(reply));
    }
    let reply = choice::fill_in_items(reply, &mut state);
    state.responses_created += 1;
    let id = state.mint("chatcmpl").replacen('_', "-", 1);
    drop(state);
    let streamed = body["stream"] == json!(true) && !reply.shape.whole;
    let comment_every = reply.comment_every;
    let job = job::ChatJob::new(id, body, &reply, prompt.tokens(&asked));
    let run = Run::new(Arc::clone(shared), Box::new(job), reply);
    Ok(Answer::of_run(run, streamed, comment_every))
}
