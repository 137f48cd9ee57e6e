//! The provider. It lives in the process that is not killed, and what it says follows from what it is asked, so that the
//! checker can work it out again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ai_engine::testing::{FakeOpenAi, Gate, Reply, Request};
use serde_json::{Value, json};

use crate::random::Random;

const WORDS: [&str; 8] = ["once ", "upon ", "é ", "a ", "雪 ", "time\n", "🦀 ", "there "];

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Completed,
    /// The provider says so.
    Incomplete,
    /// The provider says so, with or without text before.
    Failed,
    /// The connection breaks in mid-answer.
    Cut,
    /// The request is refused.
    Refused,
}

/// A word that the host's database takes in no message.
pub const UNWELCOME: &str = "unwelcome ";
/// A word that it takes in no delta.
pub const UNBIDDEN: &str = "unbidden ";

/// The answer to a question.
#[derive(Debug)]
pub struct Script {
    pub ending: Ending,
    deltas: Vec<String>,
    pub usage: (u64, u64),
    /// The first time it is asked, the connection breaks before a word.
    pub breaks_once: bool,
    reasons: bool,
    finishes_unseen: bool,
    pace: Duration,
    first: Duration,
    /// Before so many of its deltas it says nothing for long.
    stalls_at: Option<usize>,
    /// One of the words that the host's database refuses.
    pub hostile: Option<&'static str>,
}

impl Script {
    pub fn of(question: &str) -> Self {
        let mut random = Random::of(question);
        let ending = match random.below(32) {
            0 => Ending::Refused,
            1 => Ending::Failed,
            2 => Ending::Incomplete,
            3 => Ending::Cut,
            _ => Ending::Completed,
        };
        let mut deltas = Vec::new();
        // A stream may begin with what is no word yet.
        if random.percent(20) {
            deltas.push("\n ".to_owned());
        }
        deltas.push("Re: ".to_owned());
        deltas.push(question.to_owned());
        for _ in 0..random.below(40) {
            deltas.push(random.pick(&WORDS).copied().unwrap_or_default().to_owned());
        }
        let hostile =
            random.percent(5).then(|| random.pick(&[UNWELCOME, UNBIDDEN]).copied()).flatten();
        if let Some(word) = hostile {
            deltas.insert(random.index(deltas.len() + 1), word.to_owned());
        }
        if ending == Ending::Failed && random.percent(50) {
            deltas.clear();
        }
        Self {
            ending,
            usage: (1 + random.below(1000), 1 + random.below(1000)),
            breaks_once: random.percent(4),
            reasons: random.percent(10),
            finishes_unseen: random.percent(40),
            pace: Duration::from_millis(random.below(16)),
            first: Duration::from_millis(random.below(40)),
            stalls_at: random
                .percent(if hostile.is_some() { 50 } else { 10 })
                .then(|| random.index(deltas.len() + 1)),
            deltas,
            hostile,
        }
    }

    /// All that it says.
    pub fn text(&self) -> String {
        self.deltas.concat()
    }

    /// What it says before it stalls, if it does.
    pub fn before_stall(&self) -> Option<String> {
        let deltas = self.stalls_at?.saturating_sub(if self.reasons { REASONING } else { 0 });
        Some(self.deltas.get(..deltas)?.concat())
    }

    /// `slow`: it takes its time, and where it stalls it waits for this.
    fn reply(&self, again: bool, slow: Option<Gate>) -> Reply {
        if self.ending == Ending::Refused {
            return Reply::status(400, json!({"error": {"message": "no", "code": "no"}}));
        }
        let (input, output) = self.usage;
        let mut reply = Reply::deltas(self.deltas.clone()).usage(input, output);
        if self.reasons {
            reply = reply.item(json!({"type": "reasoning", "summary": []}));
        }
        if self.finishes_unseen {
            reply = reply.finish_unseen();
        }
        if let Some(gate) = slow {
            reply = reply.pace(self.pace).first_token_after(self.first);
            if let Some(delta) = self.stalls_at {
                reply = reply.hold_at(BEFORE_DELTAS + delta, gate);
            }
        }
        if self.breaks_once && !again {
            return reply.disconnect_at(2);
        }
        match self.ending {
            Ending::Incomplete => reply.incomplete("max_output_tokens"),
            Ending::Failed => reply.failed("server_error", "no"),
            // After a delta or two that are words, whatever comes before them.
            Ending::Cut => reply.disconnect_at(7 + self.deltas.len() / 2),
            Ending::Completed | Ending::Refused => reply,
        }
    }
}

/// Events of a stream that come before its first delta.
const BEFORE_DELTAS: usize = 4;
/// How many more they are, at most, when it reasons first.
const REASONING: usize = 2;

/// One request for an answer.
#[derive(Debug, Clone)]
pub struct Call {
    /// In microseconds since 1970.
    pub at: i64,
    /// The key that it came with, which tells the process.
    pub key: String,
    /// It was answered slowly.
    pub slow: bool,
}

#[derive(Debug, Default)]
struct Asked {
    calls: Mutex<HashMap<String, Vec<Call>>>,
    /// What slow answers wait for; none while it answers as fast as it can.
    slow: Mutex<Option<Gate>>,
    /// Answers and deletions that waited.
    stalls: AtomicUsize,
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

    pub fn requests(&self) -> usize {
        self.asked.calls.lock().unwrap().values().map(Vec::len).sum()
    }

    pub fn stalls(&self) -> usize {
        self.asked.stalls.load(Ordering::SeqCst)
    }
}

/// Lines up the answer to a request that has just come in.
fn prepare(fake: &FakeOpenAi, asked: &Asked, request: &Request) {
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
    if request.method != "POST" || request.path != "/v1/responses" {
        return;
    }
    let Some(body) = &request.body else { return };
    let held = body["conversation"].as_str().or_else(|| body["conversation"]["id"].as_str());
    let held = held.and_then(|id| fake.conversation_items(id)).unwrap_or_default();
    let sent = body["input"].as_array().cloned().unwrap_or_default();
    let said = held.iter().chain(&sent).rfind(|item| item["role"] == "user");
    // Without a word of answer a question travels with the next one.
    let Some(question) = said.map(|item| newest(&text_of(item)).to_owned()) else { return };
    let mut calls = asked.calls.lock().unwrap();
    let calls = calls.entry(question.clone()).or_default();
    let script = Script::of(&question);
    if slow.is_some() && script.stalls_at.is_some() {
        asked.stalls.fetch_add(1, Ordering::SeqCst);
    }
    // The server does nothing else between this and its answer, on its one thread.
    let is_slow = slow.is_some();
    fake.reply_always(script.reply(!calls.is_empty(), slow));
    let key = request.headers.get("authorization").cloned().unwrap_or_default();
    calls.push(Call {
        at: now(),
        key: key.trim_start_matches("Bearer ").to_owned(),
        slow: is_slow,
    });
}

/// In microseconds since 1970.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

/// The last of the questions in one message.
pub fn newest(text: &str) -> &str {
    text.rsplit("\n\n").next().unwrap_or(text)
}

/// What a message of the wire says.
pub fn text_of(item: &Value) -> String {
    if let Some(text) = item["content"].as_str() {
        return text.to_owned();
    }
    let parts = item["content"].as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}
