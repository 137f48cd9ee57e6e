//! How a run goes on with the outputs of its tools.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Request,
    fake::Shared,
    script::reply::Kind,
    service::{error::ApiError, prompt::Prompt, server::Answer},
};

use super::{
    begin::{choose, start},
    check,
    job::told_as,
    known, objects,
    store::StoredRun,
    translate::{asked, item_of},
};

type Result<T> = std::result::Result<T, ApiError>;

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
