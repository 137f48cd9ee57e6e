//! The endpoints of responses.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Request,
    fake::Shared,
    script::{
        demo,
        reply::{Kind, Reply},
    },
    service::{
        conversations,
        error::ApiError,
        items,
        run::{Job, Run},
        server::Answer,
        snapshot,
        state::{State, StoredResponse},
        tape::Tape,
    },
};

/// Checks the request, finds its reply, and begins the response. All in one hold of the state, so
/// that of two requests on one conversation exactly one gets the lock.
pub(crate) fn create(shared: &Arc<Shared>, request: &Request) -> Result<Answer, ApiError> {
    let body = request.body.as_ref().unwrap_or(&Value::Null);
    check_parameters(body)?;
    let conversation = conversation_id(body)?;
    let previous = body["previous_response_id"].as_str();
    let store = body["store"] != json!(false);
    let streamed = body["stream"] == json!(true);
    let background = body["background"] == json!(true);

    let mut state = shared.state();
    let context = context(&state, conversation, previous)?;
    let input = items::from_input(&body["input"], &mut state)?;
    if input.is_empty() && conversation.is_none() && previous.is_none() {
        return Err(ApiError::missing("input"));
    }
    items::check_pairing(&context, &input)?;

    let reply = choose_reply(shared, body, &context, &input);
    if !matches!(reply.kind, Kind::Model) {
        return Ok(Answer::Scripted(reply));
    }

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
        input: input.clone(),
        previous: previous.map(str::to_owned),
        tape: None,
    };

    let seen: String = context.iter().chain(&input).map(items::text_of).collect();
    let instructions = body["instructions"].as_str().unwrap_or_default();
    let job = Job {
        response,
        message_id: state.mint("msg"),
        input_tokens: snapshot::tokens(&seen) + snapshot::tokens(instructions),
        conversation: conversation.map(str::to_owned),
        store,
        obfuscate: body["stream_options"]["include_obfuscation"] != json!(false),
        background,
        input,
    };
    let reply = fill_in_items(reply, &mut state);
    let comment_every = reply.comment_every;
    let mut run = Run::new(Arc::clone(shared), job, reply);
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
    Ok(if streamed { Answer::Stream(run, comment_every) } else { Answer::Object(run) })
}

fn check_parameters(body: &Value) -> Result<(), ApiError> {
    if !body.is_object() {
        return Err(ApiError::bad_request("The body must be a JSON object."));
    }
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err(ApiError::missing("model"));
    }
    if body["background"] == json!(true) && body["store"] == json!(false) {
        let message = "Background mode requires 'store' to be true.";
        return Err(ApiError::invalid_value("background", message));
    }
    check_number(body, "max_output_tokens", "integer", 16.0, f64::MAX)?;
    check_number(body, "temperature", "decimal", 0.0, 2.0)?;
    check_number(body, "top_p", "decimal", 0.0, 1.0)?;
    conversations::metadata(&body["metadata"])?;
    check_tools(&body["tools"])?;
    if !body["stream_options"].is_null() && body["stream"] != json!(true) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(ApiError::bad_request(message).param("stream_options"));
    }
    Ok(())
}

fn check_number(
    body: &Value,
    name: &str,
    kind: &str,
    least: f64,
    most: f64,
) -> Result<(), ApiError> {
    let given = &body[name];
    if given.is_null() {
        return Ok(());
    }
    let number = given.as_f64();
    let number = number.ok_or_else(|| ApiError::wrong_type(name, &format!("one {kind}")))?;
    let (wrong, code, sign, bound) = if number < least && kind == "integer" {
        ("below minimum", "integer_below_min_value", ">=", least)
    } else if number < least {
        ("below minimum", "decimal_below_min_value", ">=", least)
    } else if number > most {
        ("above maximum", "decimal_above_max_value", "<=", most)
    } else {
        return Ok(());
    };
    let message = format!(
        "Invalid '{name}': {kind} {wrong} value. Expected a value {sign} {bound}, but got \
         {given} instead."
    );
    Err(ApiError::bad_request(message).param(name).code(code))
}

fn check_tools(tools: &Value) -> Result<(), ApiError> {
    let tools = match tools {
        Value::Null => return Ok(()),
        Value::Array(tools) => tools,
        _ => return Err(ApiError::wrong_type("tools", "an array")),
    };
    for (index, tool) in tools.iter().enumerate() {
        if !tool["type"].is_string() {
            return Err(ApiError::missing(&format!("tools[{index}].type")));
        }
        if tool["type"] == "function" && !tool["name"].is_string() {
            return Err(ApiError::missing(&format!("tools[{index}].name")));
        }
    }
    Ok(())
}

/// The conversation: an id, or an object with one.
fn conversation_id(body: &Value) -> Result<Option<&str>, ApiError> {
    let given = match &body["conversation"] {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields.get("id").and_then(Value::as_str),
        other => other.as_str(),
    };
    let wrong = || ApiError::wrong_type("conversation", "an id or an object with one");
    let id = given.ok_or_else(wrong)?;
    if !body["previous_response_id"].is_null() {
        let message = "Mutually exclusive parameters. Ensure you are only providing one of: \
                       'previous_response_id' or 'conversation'.";
        let error = ApiError::bad_request(message).param("previous_response_id");
        return Err(error.code("mutually_exclusive_parameters"));
    }
    Ok(Some(id))
}

/// What the model sees before the input.
fn context(
    state: &State,
    conversation: Option<&str>,
    previous: Option<&str>,
) -> Result<Vec<Value>, ApiError> {
    if let Some(id) = conversation {
        state.check_unlocked(id)?;
        let items = state.conversation_items(id)?;
        return Ok(items.into_iter().cloned().collect());
    }
    let Some(id) = previous else {
        return Ok(Vec::new());
    };
    if state.response(id).is_err() {
        let message = format!("Previous response with id '{id}' not found.");
        let error = ApiError::bad_request(message).param("previous_response_id");
        return Err(error.code("previous_response_not_found"));
    }
    Ok(state.chain(id))
}

fn choose_reply(shared: &Shared, body: &Value, context: &[Value], input: &[Value]) -> Reply {
    let mut script = shared.script();
    let user_texts: Vec<String> = context
        .iter()
        .chain(input)
        .filter(|item| item["role"] == "user")
        .map(items::text_of)
        .collect();
    let last = user_texts.last().map_or("", String::as_str);
    script.next_reply(last).unwrap_or_else(|| {
        let tool_output =
            input.last().filter(|item| item["type"] == "function_call_output").map(items::text_of);
        demo::answer(&user_texts, tool_output.as_deref(), body).pace(script.demo_pace)
    })
}

/// Scripted items need not bring ids or a status.
fn fill_in_items(mut reply: Reply, state: &mut State) -> Reply {
    for item in &mut reply.items {
        let is_call = item["type"] == "function_call";
        let prefix = match item["type"].as_str() {
            Some("function_call") => "fc",
            Some("reasoning") => "rs",
            Some("message") => "msg",
            _ => "item",
        };
        if let Some(fields) = item.as_object_mut() {
            let id = json!(state.mint(prefix));
            fields.entry("id").or_insert(id);
            if is_call {
                let call_id = json!(state.mint("call"));
                fields.entry("call_id").or_insert(call_id);
                fields.entry("status").or_insert(json!("completed"));
            }
        }
    }
    reply
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
