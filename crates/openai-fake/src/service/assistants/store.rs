//! What the service remembers of assistants: them, the threads, and what is in those.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    Input,
    service::{error::ApiError, tape::Tape},
};

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(super) assistants: BTreeMap<String, Value>,
    pub(super) threads: BTreeMap<String, Thread>,
    /// What the model was sent by each request that asked it, by the request's id.
    pub(super) inputs: BTreeMap<String, Input>,
}

#[derive(Debug)]
pub(super) struct Thread {
    pub(super) object: Value,
    /// Oldest first.
    pub(super) messages: Vec<Value>,
    pub(super) runs: BTreeMap<String, StoredRun>,
    /// How many messages there were when the last run began.
    pub(super) read: usize,
}

#[derive(Debug)]
pub(super) struct StoredRun {
    pub(super) object: Value,
    pub(super) steps: Vec<Value>,
    /// Its calls and their outputs, as items of the Responses API.
    pub(super) called: Vec<Value>,
    /// Tokens in and out, so far.
    pub(super) used: (u64, u64),
    /// What it says now. A run that goes on with tool outputs has a new one.
    pub(super) tape: Option<Tape>,
}

/// Whether nothing more happens to this run.
pub(super) fn is_over(run: &Value) -> bool {
    let going = ["queued", "in_progress", "requires_action", "cancelling"];
    !going.iter().any(|status| run["status"] == *status)
}

impl Store {
    pub(super) fn assistant(&self, id: &str) -> Result<&Value, ApiError> {
        self.assistants.get(id).ok_or_else(|| unknown("assistant", id))
    }

    pub(super) fn thread(&self, id: &str) -> Result<&Thread, ApiError> {
        self.threads.get(id).ok_or_else(|| unknown("thread", id))
    }

    pub(super) fn thread_mut(&mut self, id: &str) -> Result<&mut Thread, ApiError> {
        self.threads.get_mut(id).ok_or_else(|| unknown("thread", id))
    }

    /// An event is about to say this of a run, a step or a message. What is over stays as it is.
    pub(super) fn told(&mut self, thread: &str, run: &str, object: &Value) {
        let Some(thread) = self.threads.get_mut(thread) else { return };
        let Some(run) = thread.runs.get_mut(run).filter(|run| !is_over(&run.object)) else {
            return;
        };
        match object["object"].as_str() {
            Some("thread.run") => run.object = object.clone(),
            Some("thread.run.step") => put(&mut run.steps, object),
            Some("thread.message") => put(&mut thread.messages, object),
            _ => {}
        }
    }

    /// What the run has used so far.
    pub(super) fn used(&mut self, thread: &str, run: &str, used: (u64, u64)) {
        let thread = self.threads.get_mut(thread);
        if let Some(run) = thread.and_then(|thread| thread.runs.get_mut(run)) {
            run.used = used;
        }
    }

    pub(crate) fn assistant_ids(&self) -> Vec<String> {
        self.assistants.keys().cloned().collect()
    }

    pub(crate) fn assistant_object(&self, id: &str) -> Option<Value> {
        self.assistants.get(id).cloned()
    }

    pub(crate) fn thread_ids(&self) -> Vec<String> {
        self.threads.keys().cloned().collect()
    }

    pub(crate) fn messages_of(&self, thread: &str) -> Option<Vec<Value>> {
        Some(self.threads.get(thread)?.messages.clone())
    }

    pub(crate) fn runs_of(&self, thread: &str) -> Option<Vec<Value>> {
        let runs = self.threads.get(thread)?.runs.values();
        Some(runs.map(|run| run.object.clone()).collect())
    }

    pub(crate) fn input_of(&self, request_id: &str) -> Option<Input> {
        self.inputs.get(request_id).cloned()
    }
}

impl Thread {
    pub(super) fn new(object: Value) -> Self {
        Self { object, messages: Vec::new(), runs: BTreeMap::new(), read: 0 }
    }

    pub(super) fn id(&self) -> &str {
        self.object["id"].as_str().unwrap_or_default()
    }

    /// The run that has the thread to itself.
    pub(super) fn active(&self) -> Option<&str> {
        let active = self.runs.iter().find(|(_, run)| !is_over(&run.object));
        active.map(|(id, _)| id.as_str())
    }

    pub(super) fn run(&self, id: &str) -> Result<&StoredRun, ApiError> {
        self.runs.get(id).ok_or_else(|| unknown("run", id))
    }

    pub(super) fn run_mut(&mut self, id: &str) -> Result<&mut StoredRun, ApiError> {
        self.runs.get_mut(id).ok_or_else(|| unknown("run", id))
    }

    pub(super) fn message_mut(&mut self, id: &str) -> Result<&mut Value, ApiError> {
        let found = self.messages.iter_mut().find(|message| message["id"] == id);
        found.ok_or_else(|| unknown("message", id))
    }
}

fn put(objects: &mut Vec<Value>, object: &Value) {
    match objects.iter_mut().find(|old| old["id"] == object["id"]) {
        Some(old) => *old = object.clone(),
        None => objects.push(object.clone()),
    }
}

pub(super) fn unknown(what: &str, id: &str) -> ApiError {
    ApiError::new(404, format!("No {what} found with id '{id}'."))
}
