//! What a test asks of the fake: what was sent, what was to be sent, and to go on where a reply
//! waits.

use crate::{FakeOpenAi, Gate, Input, Reply};

/// # Checking
impl FakeOpenAi {
    /// What the last request for a response, a chat completion or a run sent to the model, refused ones too; empty before the first one.
    ///
    /// `fake.last_input().lines()` reads like a conversation: `["user: Hello", "assistant: Hi", "user: Why?"]`.
    #[must_use]
    pub fn last_input(&self) -> Input {
        self.inputs().pop().unwrap_or_default()
    }

    /// What each request for a response, a chat completion or a run sent to the model, in order of arrival. Of a run that
    /// is what was said in its thread since the last one.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input> {
        // Runs are asked about what was added to their threads by other requests.
        let state = self.shared().state();
        let input = |request: &crate::Request| {
            state.assistants.input_of(&request.request_id).or_else(|| request.input())
        };
        self.requests().iter().filter_map(input).collect()
    }

    /// Expects that the model is asked once with `question` in the last text of the user, and answers it so. Several
    /// expectations may be met in any order; of two that fit, the first is met first.
    ///
    /// From now on the demo model is silent: a request that neither an expectation nor a scripted
    /// reply answers is refused (400, `unexpected_request`). That, and a question that was never
    /// asked, fails the test at [`verify`](Self::verify), or else when the last handle is dropped. A test that
    /// panics for another reason is not disturbed.
    pub fn expect(&self, question: &str, reply: Reply) {
        self.shared().script().expect(question, reply);
    }

    /// Fails the test if something was asked that was not [expected](Self::expect), or not asked
    /// that was; both are named, once.
    ///
    /// The drop of the last handle does the same. Call it where that one may be in another task,
    /// whose panic would not be the test's.
    ///
    /// # Panics
    ///
    /// Then.
    #[track_caller]
    #[allow(clippy::panic, reason = "that is how a test fails")]
    pub fn verify(&self) {
        // Not while the script is locked.
        let findings = self.shared().script().take_findings();
        if let Some(findings) = findings {
            panic!("{findings}");
        }
    }

    /// Has the replies go on that wait [after these words](Reply::hold_after), or will come to them.
    ///
    /// # Panics
    ///
    /// When no scripted reply waits after these words: the one that does would wait for ever.
    #[track_caller]
    pub fn release(&self, text: &str) {
        for gate in self.gates_after(text) {
            gate.open();
        }
    }

    /// Resolves once a reply has come to where it waits [after these words](Reply::hold_after): they have been handed to the
    /// operating system, which says nothing of whether the client has read them.
    ///
    /// # Panics
    ///
    /// When no scripted reply waits after these words.
    pub async fn held(&self, text: &str) {
        let gates = self.gates_after(text);
        let reached = gates.iter().map(|gate| Box::pin(gate.reached()));
        futures_util::future::select_all(reached).await;
    }

    #[track_caller]
    #[allow(clippy::panic, reason = "the test would hang")]
    fn gates_after(&self, text: &str) -> Vec<Gate> {
        let holds = self.shared().script().holds.clone();
        let (found, others): (Vec<_>, Vec<_>) =
            holds.into_iter().partition(|hold| hold.text == text);
        if found.is_empty() {
            let others: Vec<_> = others.iter().map(|hold| &hold.text).collect();
            panic!("no reply waits after {text:?}; these are waited after: {others:?}");
        }
        found.into_iter().map(|hold| hold.gate).collect()
    }
}
