//! The replies a test has lined up, and which of them is next.

use std::{collections::VecDeque, time::Duration};

use crate::{
    Input, Reply,
    script::{expect::Expectations, gate::Hold},
};

/// The demo model's default pace: fast enough not to bore, slow enough to be seen.
const DEMO_PACE: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(crate) struct Script {
    queue: VecDeque<Reply>,
    targeted: Vec<(String, Reply)>,
    always: Option<Reply>,
    intercepts: Vec<(String, String, Reply)>,
    expectations: Expectations,
    /// Where the replies that were lined up wait for the test.
    pub(crate) holds: Vec<Hold>,
    pub(crate) demo_pace: Duration,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            targeted: Vec::new(),
            always: None,
            intercepts: Vec::new(),
            expectations: Expectations::default(),
            holds: Vec::new(),
            demo_pace: DEMO_PACE,
        }
    }

    pub(crate) fn push(&mut self, reply: Reply) {
        self.note_holds(&reply);
        self.queue.push_back(reply);
    }

    pub(crate) fn push_to(&mut self, needle: &str, reply: Reply) {
        self.note_holds(&reply);
        self.targeted.push((needle.to_owned(), reply));
    }

    pub(crate) fn set_always(&mut self, reply: Reply) {
        self.note_holds(&reply);
        self.always = Some(reply);
    }

    pub(crate) fn expect(&mut self, question: &str, reply: Reply) {
        self.note_holds(&reply);
        self.expectations.push(question, reply);
    }

    fn note_holds(&mut self, reply: &Reply) {
        self.holds.extend(reply.holds.iter().cloned());
    }

    pub(crate) fn push_intercept(&mut self, method: &str, path: &str, reply: Reply) {
        let entry = (method.to_ascii_uppercase(), path.to_owned(), reply);
        self.intercepts.push(entry);
    }

    /// The most particular reply wins: an expected one, then by text, then the queue, then the default.
    pub(crate) fn next_reply(&mut self, user_text: &str) -> Option<Reply> {
        if let Some(expected) = self.expectations.take(user_text) {
            return Some(expected);
        }
        let found =
            self.targeted.iter().position(|(needle, _)| user_text.contains(needle.as_str()));
        if let Some(index) = found {
            return Some(self.targeted.remove(index).1);
        }
        self.queue.pop_front().or_else(|| self.always.clone())
    }

    /// Whether a request that nothing here answers is a mistake; it is noted then.
    pub(crate) fn refuses(&mut self, input: impl FnOnce() -> Input) -> bool {
        let strict = self.expectations.are_strict();
        if strict {
            self.expectations.note_unexpected(input());
        }
        strict
    }

    pub(crate) fn take_findings(&mut self) -> Option<String> {
        self.expectations.take_findings()
    }

    pub(crate) fn take_intercept(&mut self, method: &str, path: &str) -> Option<Reply> {
        let index = self
            .intercepts
            .iter()
            .position(|(m, part, _)| m == method && path.contains(part.as_str()))?;
        Some(self.intercepts.remove(index).2)
    }
}
