//! The provider. It lives in the process that is not killed, and what it says follows from what it is asked, so that the
//! checker can work it out again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ai_engine::testing::{FakeOpenAi, Reply, Request};
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

/// The answer to a question.
#[derive(Debug)]
pub struct Script {
    pub ending: Ending,
    deltas: Vec<String>,
    pub usage: (u64, u64),
    /// The first time it is asked, the connection breaks before a word.
    breaks_once: bool,
    reasons: bool,
    finishes_unseen: bool,
    pace: Duration,
    first: Duration,
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
        if ending == Ending::Failed && random.percent(50) {
            deltas.clear();
        }
        Self {
            ending,
            deltas,
            usage: (1 + random.below(1000), 1 + random.below(1000)),
            breaks_once: random.percent(4),
            reasons: random.percent(10),
            finishes_unseen: random.percent(40),
            pace: Duration::from_millis(random.below(16)),
            first: Duration::from_millis(random.below(40)),
        }
    }

    /// All that it says.
    pub fn text(&self) -> String {
        self.deltas.concat()
    }

    fn reply(&self, again: bool, hurry: bool) -> Reply {
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
        if !hurry {
            reply = reply.pace(self.pace).first_token_after(self.first);
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

#[derive(Debug, Default)]
struct Asked {
    /// When each question was asked, in microseconds since 1970.
    times: Mutex<HashMap<String, Vec<i64>>>,
    hurry: AtomicBool,
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

    /// Answers as fast as it can, or takes its time.
    pub fn hurry(&self, hurry: bool) {
        self.asked.hurry.store(hurry, Ordering::SeqCst);
    }

    /// When it was asked this, in microseconds since 1970.
    pub fn asked(&self, question: &str) -> Vec<i64> {
        self.asked.times.lock().unwrap().get(question).cloned().unwrap_or_default()
    }

    pub fn requests(&self) -> usize {
        self.asked.times.lock().unwrap().values().map(Vec::len).sum()
    }
}

/// Lines up the answer to a request that has just come in.
fn prepare(fake: &FakeOpenAi, asked: &Asked, request: &Request) {
    if request.method != "POST" || request.path != "/v1/responses" {
        return;
    }
    let Some(body) = &request.body else { return };
    let held = body["conversation"].as_str().or_else(|| body["conversation"]["id"].as_str());
    let held = held.and_then(|id| fake.conversation_items(id)).unwrap_or_default();
    let sent = body["input"].as_array().cloned().unwrap_or_default();
    let said = held.iter().chain(&sent).rfind(|item| item["role"] == "user");
    let Some(question) = said.map(text_of) else { return };
    let mut times = asked.times.lock().unwrap();
    let times = times.entry(question.clone()).or_default();
    let script = Script::of(&question);
    fake.reply_to(&question, script.reply(!times.is_empty(), asked.hurry.load(Ordering::SeqCst)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    times.push(i64::try_from(now.as_micros()).unwrap());
}

/// What a message of the wire says.
pub fn text_of(item: &Value) -> String {
    if let Some(text) = item["content"].as_str() {
        return text.to_owned();
    }
    let parts = item["content"].as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}
