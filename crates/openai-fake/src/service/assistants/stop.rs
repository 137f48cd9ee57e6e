//! Runs that end before they are done: cancelled by a client, or expired.

use serde_json::{Value, json};

use crate::{
    service::{error::ApiError, tape::Tape},
    wire::frame::Event,
};

use super::{
    job::told_as,
    objects::{self, set_status},
    store::{Store, is_over},
};

/// `POST …/cancel`. It is cancelled by the time of the answer, which says, as the real one, that it is about to be.
pub(super) fn cancel(store: &mut Store, thread: &str, run: &str) -> Result<Value, ApiError> {
    let object = &store.thread(thread)?.run(run)?.object;
    if is_over(object) {
        let status = object["status"].as_str().unwrap_or_default();
        return Err(ApiError::bad_request(format!("Cannot cancel run with status '{status}'.")));
    }
    let mut cancelling = object.clone();
    cancelling["status"] = json!("cancelling");
    cancelling["required_action"] = Value::Null;
    stop(store, thread, run, "cancelled", vec![told_as(&cancelling)]);
    Ok(cancelling)
}

impl Store {
    /// As if their ten minutes had passed: all that are not over are `expired`.
    pub(crate) fn expire_runs(&mut self) {
        let active = self
            .threads
            .iter()
            .filter_map(|(thread, held)| held.active().map(|run| (thread.clone(), run.to_owned())));
        for (thread, run) in active.collect::<Vec<_>>() {
            stop(self, &thread, &run, "expired", Vec::new());
        }
    }
}

/// Ends the run with this status, and what it was about; all who listen to it are told.
fn stop(store: &mut Store, thread: &str, run_id: &str, status: &str, mut events: Vec<Event>) {
    let Ok(thread) = store.thread_mut(thread) else { return };
    let Some(run) = thread.runs.get_mut(run_id) else { return };
    let tape = run.tape.take();
    let begun = |object: &&mut Value| object["status"] == "in_progress";
    for message in thread.messages.iter_mut().filter(begun).filter(|m| m["run_id"] == run_id) {
        set_status(message, "incomplete");
        message["incomplete_details"] = json!({"reason": format!("run_{status}")});
        let said = tape.as_ref().map(Tape::said).unwrap_or_default();
        if !said.is_empty() {
            message["content"] = json!([objects::text(&said)]);
        }
        events.push(told_as(message));
    }
    for step in run.steps.iter_mut().filter(begun) {
        set_status(step, status);
        events.push(told_as(step));
    }
    run.object["usage"] = objects::usage(run.used);
    set_status(&mut run.object, status);
    events.push(told_as(&run.object));
    events.push(Event::Done);
    if let Some(tape) = tape {
        tape.finish(events);
    }
}
