//! The replies a test has lined up, and which of them is next.

use std::{collections::VecDeque, time::Duration};

use crate::Reply;

/// The demo model's default pace: fast enough not to bore, slow enough to be seen.
const DEMO_PACE: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(crate) struct Script {
    queue: VecDeque<Reply>,
    targeted: Vec<(String, Reply)>,
    always: Option<Reply>,
    intercepts: Vec<(String, String, Reply)>,
    pub(crate) demo_pace: Duration,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            targeted: Vec::new(),
            always: None,
            intercepts: Vec::new(),
            demo_pace: DEMO_PACE,
        }
    }

    pub(crate) fn push(&mut self, reply: Reply) {
        self.queue.push_back(reply);
    }

    pub(crate) fn push_to(&mut self, needle: &str, reply: Reply) {
        self.targeted.push((needle.to_owned(), reply));
    }

    pub(crate) fn set_always(&mut self, reply: Reply) {
        self.always = Some(reply);
    }

    pub(crate) fn push_intercept(&mut self, method: &str, path: &str, reply: Reply) {
        let entry = (method.to_ascii_uppercase(), path.to_owned(), reply);
        self.intercepts.push(entry);
    }

    /// The most particular reply wins: by text, then the queue, then the default.
    pub(crate) fn next_reply(&mut self, user_text: &str) -> Option<Reply> {
        let found =
            self.targeted.iter().position(|(needle, _)| user_text.contains(needle.as_str()));
        if let Some(index) = found {
            return Some(self.targeted.remove(index).1);
        }
        self.queue.pop_front().or_else(|| self.always.clone())
    }

    pub(crate) fn take_intercept(&mut self, method: &str, path: &str) -> Option<Reply> {
        let index = self
            .intercepts
            .iter()
            .position(|(m, part, _)| m == method && path.contains(part.as_str()))?;
        Some(self.intercepts.remove(index).2)
    }
}
