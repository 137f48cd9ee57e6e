//! The provider, in each protocol. It lives in the process that is not killed, and notes who asked what, in which protocol, and
//! whether the picture of a question came with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use ai_engine::testing::{FakeOpenAi, Gate, Reply, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::keeps::{Made, Makers};
use crate::question::{self, Api, Question, newest};
use crate::random::Random;
use crate::script::Script;

/// One request for an answer.
#[derive(Debug, Clone)]
pub struct Call {
    /// In microseconds since 1970.
    pub at: i64,
    /// The key that it came with, which tells the process.
    pub key: String,
    pub api: Api,
    /// It was answered slowly.
    pub slow: bool,
    /// It came with what a tool came to.
    pub told: bool,
}

#[derive(Debug, Default)]
struct Asked {
    calls: Mutex<HashMap<String, Vec<Call>>>,
    /// What slow answers wait for; none while it answers as fast as it can.
    slow: Mutex<Option<Gate>>,
    /// Answers and deletions that waited.
    stalls: AtomicUsize,
    makers: Mutex<Makers>,
    /// Questions that came without their pictures, or with others.
    wrong: Mutex<Vec<String>>,
}

#[derive(Debug)]
pub struct Provider {
    pub fake: FakeOpenAi,
    asked: Arc<Asked>,
}

impl Provider {
    pub async fn start() -> Self {
        let fake = FakeOpenAi::start().await.unwrap();
        let asked = Arc::new(Asked::default());
        // The hook holds the server, which ends with this process.
        let (server, noted) = (fake.clone(), Arc::clone(&asked));
        fake.on_request(move |request| prepare(&server, &noted, request));
        Self { fake, asked }
    }

    /// Answers as fast as it can, also whoever waits, or takes its time.
    pub fn hurry(&self, hurry: bool) {
        let mut slow = self.asked.slow.lock().unwrap();
        if hurry {
            if let Some(gate) = slow.take() {
                gate.open();
            }
        } else {
            slow.get_or_insert_default();
        }
    }

    /// When it was asked this, and by whom, in order.
    pub fn calls(&self, question: &str) -> Vec<Call> {
        self.asked.calls.lock().unwrap().get(question).cloned().unwrap_or_default()
    }

    /// How often it was asked, in each protocol.
    pub fn requests(&self) -> [usize; 3] {
        let calls = self.asked.calls.lock().unwrap();
        Api::ALL.map(|api| calls.values().flatten().filter(|call| call.api == api).count())
    }

    pub fn stalls(&self) -> usize {
        self.asked.stalls.load(Ordering::SeqCst)
    }

    /// What it keeps, and who had it made.
    pub fn keeps(&self) -> Vec<Made> {
        self.asked.makers.lock().unwrap().keeps(&self.fake)
    }

    /// What came in that is wrong by itself.
    pub fn wrong(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.wrong.lock().unwrap())
    }
}

/// Lines up the answer to a request that has just come in.
fn prepare(fake: &FakeOpenAi, asked: &Asked, request: &Request) {
    let key = request.headers.get("authorization").cloned().unwrap_or_default();
    let key = key.trim_start_matches("Bearer ").to_owned();
    asked.makers.lock().unwrap().look(fake, request, &key);
    let slow = asked.slow.lock().unwrap().clone();
    if request.method == "DELETE" {
        // Some deletions hang, and come to nothing then.
        let mut random = Random::of(&request.request_id);
        if let Some(gate) = slow.filter(|_| random.percent(20)) {
            let refusal = Reply::status(503, json!({"error": {"message": "not now"}}));
            fake.intercept("DELETE", &request.path, refusal.hold_at(0, gate));
            asked.stalls.fetch_add(1, Ordering::SeqCst);
        }
        return;
    }
    // Without a word of answer a question travels with the next one.
    let Some(Asking { api, said, told }) = said_last(fake, request) else { return };
    let question = newest(&text_of(&said)).to_owned();
    // Over Assistants what a tool came to is a message of its own.
    let is_output = told && api == Api::Assistants;
    if !is_output && !shows_its_picture(&said, &question) {
        asked.wrong.lock().unwrap().push(format!("{question} came without its picture: {said}"));
    }
    let mut calls = asked.calls.lock().unwrap();
    let calls = calls.entry(question.clone()).or_default();
    let script = Script::of(&question);
    if slow.is_some() && script.stalls() {
        asked.stalls.fetch_add(1, Ordering::SeqCst);
    }
    // The server does nothing else between this and its answer, on its one thread.
    let is_slow = slow.is_some();
    let again = calls.iter().any(|call| call.told || !script.calls_a_tool());
    let step = script.step(api, &question, calls.len(), is_slow).filter(|_| !told);
    fake.reply_always(step.unwrap_or_else(|| script.reply(api, again, slow)));
    calls.push(Call { at: now(), key, api, slow: is_slow, told });
}

/// What a request asks.
struct Asking {
    api: Api,
    /// What a user said last, of what it has the model read.
    said: Value,
    /// What a tool came to is read as well, behind that.
    told: bool,
}

/// None where it asks for no answer, or is refused because of what it is about.
fn said_last(fake: &FakeOpenAi, request: &Request) -> Option<Asking> {
    let body = request.body.as_ref().filter(|_| request.method == "POST")?;
    let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    let (api, held, sent) = match request.path.as_str() {
        "/v1/responses" => {
            let id = &body["conversation"];
            let held = match id.as_str().or_else(|| id["id"].as_str()) {
                Some(id) => fake.conversation_items(id)?,
                None => Vec::new(),
            };
            (Api::Responses, held, list("input"))
        }
        "/v1/chat/completions" => (Api::Chat, Vec::new(), list("messages")),
        path => {
            let thread = path.strip_prefix("/v1/threads/")?.strip_suffix("/runs")?;
            if is_busy(fake, thread) {
                return None;
            }
            (Api::Assistants, fake.thread_messages(thread)?, list("additional_messages"))
        }
    };
    let mut read: Vec<Value> = held.into_iter().chain(sent).collect();
    let at = read.iter().rposition(|item| item["role"] == "user")?;
    let is_output = |item: &Value| item["type"] == "function_call_output" || item["role"] == "tool";
    let told = read[at..].iter().any(is_output) || is_told_in_words(&text_of(&read[at]));
    Some(Asking { api, said: read.swap_remove(at), told })
}

/// What a tool came to, as a message of a thread of Assistants.
pub fn is_told_in_words(text: &str) -> bool {
    text.starts_with("[What came of call ")
}

/// Whether a run has a thread to itself, so that no other begins there.
fn is_busy(fake: &FakeOpenAi, thread: &str) -> bool {
    let going = ["queued", "in_progress", "requires_action", "cancelling"];
    let runs = fake.thread_runs(thread).unwrap_or_default();
    runs.iter().any(|run| going.iter().any(|status| run["status"] == *status))
}

/// Whether the last picture in a message is that of its last question, if that has one.
fn shows_its_picture(said: &Value, question: &str) -> bool {
    let parts = said["content"].as_array().into_iter().flatten();
    let mut shown = parts.filter_map(|part| {
        let url = &part["image_url"];
        url.as_str().or_else(|| url["url"].as_str())
    });
    let asked = Question::of(question);
    match shown.next_back() {
        _ if !asked.picture => true,
        Some(url) if asked.by_address() => url == question::address(question),
        Some(url) => {
            let sent = url.strip_prefix("data:image/png;base64,").map(|text| STANDARD.decode(text));
            matches!(sent, Some(Ok(bytes)) if bytes == question::bytes(question))
        }
        None => false,
    }
}

/// In microseconds since 1970.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

/// What a message of the wire says, in whichever protocol.
pub fn text_of(item: &Value) -> String {
    if let Some(text) = item["content"].as_str() {
        return text.to_owned();
    }
    let parts = item["content"].as_array().into_iter().flatten();
    parts
        .filter_map(|part| part["text"].as_str().or_else(|| part["text"]["value"].as_str()))
        .collect()
}
