//! What the model says to a question follows from the question alone, so that the checker can work it out again.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use serde_json::json;

use crate::question::{Api, Question};
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

/// How a text begins that is said before a tool is called, unlike any answer.
const BEFORE_CALL: &str = "I ";

pub fn is_before_call(text: &str) -> bool {
    text.starts_with(BEFORE_CALL)
}

/// What the call costs in which the model asks for a tool.
pub const STEP: (u64, u64) = (3, 2);

/// The answer to a question.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub struct Script {
    question: Question,
    /// The provider that is asked first is away.
    away: bool,
    /// What it says before it calls a tool, which may be nothing.
    before_call: Vec<String>,
    pub ending: Ending,
    deltas: Vec<String>,
    pub usage: (u64, u64),
    /// The first time it is asked, the connection breaks before a word.
    breaks_once: bool,
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
        let before_call = match random.below(3) {
            0 => Vec::new(),
            _ => [BEFORE_CALL, "look: ", question]
                .into_iter()
                .chain((0..random.below(12)).map(|_| "and "))
                .map(str::to_owned)
                .collect(),
        };
        let question = Question::of(question);
        Self {
            before_call,
            away: question.then.is_some() && random.percent(50),
            question,
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

    /// All that its answer says.
    pub fn text(&self) -> String {
        self.deltas.concat()
    }

    /// All that it says before it calls a tool.
    pub fn text_before_call(&self) -> String {
        self.before_call.concat()
    }

    /// All that is said in the message which this is the beginning of.
    pub fn whole(&self, text: &str) -> String {
        if is_before_call(text) { self.text_before_call() } else { self.text() }
    }

    /// Whether a whole answer may be of the provider with this name; a run that nobody drove names none.
    pub fn may_be_answered_by(&self, provider: &str) -> bool {
        let asked = if self.away { self.question.then } else { Some(self.question.first) };
        asked.is_some_and(|api| api.provider() == provider)
    }

    pub const fn stalls(&self) -> bool {
        self.stalls_at.is_some()
    }

    /// What it says before it stalls, if it does.
    pub fn before_stall(&self) -> Option<String> {
        let deltas = self.stalls_at?.saturating_sub(if self.reasons { REASONING } else { 0 });
        Some(self.deltas.get(..deltas)?.concat())
    }

    /// Whether a provider fails before a word, in a way that the next one may not.
    pub fn falls_from(&self, api: Api) -> bool {
        self.question.then.is_some()
            && api == self.question.first
            && (self.away || self.fails_without_a_word())
    }

    fn fails_without_a_word(&self) -> bool {
        self.ending == Ending::Failed && self.deltas.is_empty()
    }

    /// Whether the process that asked may ask again: it broke off before a word, or failed without one.
    pub fn may_be_repeated(&self) -> bool {
        self.breaks_once || self.fails_without_a_word()
    }

    /// Whether the model calls a tool before it answers.
    pub const fn calls_a_tool(&self) -> bool {
        self.question.tool.is_some()
    }

    /// How often it was asked before, which tells its calls of tools apart. `None`: it does not call any, or is not asked.
    pub fn step(&self, api: Api, question: &str, before: usize, slow: bool) -> Option<Reply> {
        let tool = self.question.tool.filter(|_| self.ending != Ending::Refused)?;
        if self.away && api == self.question.first {
            return None;
        }
        let arguments = json!({ "question": question }).to_string();
        let call = json!({
            "type": "function_call", "call_id": format!("call_{before}_{question}"), "name": tool.name(),
            "arguments": arguments,
        });
        let mut reply = Reply::deltas(self.before_call.clone()).item(call).usage(STEP.0, STEP.1);
        if self.before_call.is_empty() {
            reply = reply.without_message();
        }
        Some(if slow { reply.pace(self.pace).first_token_after(self.first) } else { reply })
    }

    /// `slow`: it takes its time, and where it stalls it waits for this.
    pub fn reply(&self, api: Api, again: bool, slow: Option<Gate>) -> Reply {
        if self.away && api == self.question.first {
            let error = json!({"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"});
            return Reply::status(429, json!({ "error": error }));
        }
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
                reply = reply.hold_at(before_deltas(api) + delta, gate);
            }
        }
        if self.breaks_once && !again {
            return reply.disconnect_at(before_deltas(api).min(2));
        }
        match self.ending {
            Ending::Incomplete => reply.incomplete("max_output_tokens"),
            Ending::Failed => reply.failed("server_error", "no"),
            // After a delta or two that are words, whatever comes before them.
            Ending::Cut => {
                // The end of a chat follows its last delta at once.
                let most = if api == Api::Chat { self.deltas.len() } else { usize::MAX };
                reply.disconnect_at(before_deltas(api) + most.min(3 + self.deltas.len() / 2))
            }
            Ending::Completed | Ending::Refused => reply,
        }
    }
}

/// Events of a stream that come before its first delta.
const fn before_deltas(api: Api) -> usize {
    match api {
        Api::Responses => 4,
        Api::Chat => 1,
        Api::Assistants => 7,
    }
}
/// How many more they are, at most, when it reasons first: only Responses tell that.
const REASONING: usize = 2;
