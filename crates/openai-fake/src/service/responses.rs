//! The endpoints of responses.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Input, Request,
    fake::Shared,
    script::reply::{Kind, Reply},
    service::{
        check, choice,
        error::ApiError,
        items, known,
        prompt::Prompt,
        response::ResponseJob,
        run::Run,
        server::Answer,
        snapshot,
        state::{State, StoredResponse},
        tape::Tape,
    },
};

/// Checks the request, finds its reply, and begins the response. All in one hold of the state, so
/// that of two requests on one conversation exactly one gets the lock.
pub(crate) fn create(shared: &Arc<Shared>, request: &Request) -> Result<Answer, ApiError> {
    let body = check::object(request)?;
    known::check(body, known::RESPONSE)?;
    check::parameters(body)?;
    let conversation = check::conversation_id(body)?;
    let previous = body["previous_response_id"].as_str();
    let store = body["store"] != json!(false);
    let streamed = body["stream"] == json!(true);
    let background = body["background"] == json!(true);

    let mut state = shared.state();
    if !body["prompt"].is_object() || !body["model"].is_null() {
        state.models.of(body)?;
    }
    if let Some(id) = conversation {
        state.check_unlocked(id)?;
    }
    let prompt = Prompt::of(body, &mut state)?;

    let reply = choice::reply(shared, body, &prompt, || Input::of(body))?;
    if !matches!(reply.kind, Kind::Model) {
        return Ok(Answer::Scripted(reply));
    }
    let streamed = streamed && !reply.shape.whole;

    let id = state.mint("resp");
    if let Some(conversation) = conversation {
        state.lock(conversation, &id)?;
    }
    state.responses_created += 1;
    let model = match &reply.model {
        Some(model) => json!(model),
        None => body["model"].clone(),
    };
    let response = snapshot::begun(&id, body, &model, conversation);
    let mut stored = StoredResponse {
        object: response.clone(),
        input: prompt.input.clone(),
        previous: previous.map(str::to_owned),
        tape: None,
    };

    let job = ResponseJob {
        id: id.clone(),
        response,
        message_id: state.mint("msg"),
        input_tokens: prompt.tokens(body),
        conversation: conversation.map(str::to_owned),
        store,
        obfuscate: body["stream_options"]["include_obfuscation"] != json!(false),
        background,
        input: prompt.input,
    };
    let reply = choice::fill_in_items(reply, &mut state);
    let comment_every = reply.comment_every;
    let mut run = Run::new(Arc::clone(shared), Box::new(job), reply);
    if background {
        let headers = run.take_headers();
        let tape = Tape::new(&mut run, comment_every, streamed);
        stored.object = snapshot::queued(&stored.object);
        stored.tape = Some(tape.clone());
        let queued = stored.object.clone();
        state.store_response(&id, stored);
        drop(state);
        shared.run_in_background(tape.clone(), run);
        return match streamed {
            true => Ok(Answer::Playback(headers, tape.play(0, shared, &id))),
            false if tape.loses_its_answer() => Ok(Answer::Scripted(Reply::hang_up())),
            false => Ok(Answer::Json(headers, queued)),
        };
    }
    if store {
        state.store_response(&id, stored);
    }
    drop(state);
    Ok(Answer::of_run(run, streamed, comment_every))
}

/// The response as it is now, or, as a stream, what it says after the event `starting_after`.
pub(crate) fn get(shared: &Arc<Shared>, id: &str, request: &Request) -> Result<Answer, ApiError> {
    let state = shared.state();
    let response = state.response(id)?;
    if request.query_value("stream") != Some("true") {
        return Ok(Answer::Json(Vec::new(), response.object.clone()));
    }
    let Some(tape) = response.tape.as_ref().filter(|tape| tape.streamed) else {
        let message = "Only a background response that was created with 'stream' set to true can \
                       be streamed.";
        return Err(ApiError::invalid_value("stream", message));
    };
    let from = match request.query_value("starting_after").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(number)) => number.saturating_add(1),
        Some(Err(_)) => return Err(ApiError::wrong_type("starting_after", "an integer")),
    };
    Ok(Answer::Playback(Vec::new(), tape.play(from, shared, id)))
}

pub(crate) fn delete(state: &mut State, id: &str) -> Result<Value, ApiError> {
    state.delete_response(id)?;
    Ok(json!({"id": id, "object": "response", "deleted": true}))
}

pub(crate) fn inputs(state: &State, id: &str, request: &Request) -> Result<Value, ApiError> {
    let input: Vec<&Value> = state.response(id)?.input.iter().collect();
    items::page(&input, request)
}
