//! What a test expects to be asked, and how that compares with what was.

use crate::{Input, Reply};

/// The questions that are to come, each once, in any order. Once there was one, a request that nothing
/// in the script answers is a finding, too.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    to_come: Vec<(String, Reply)>,
    strict: bool,
    unexpected: Vec<Input>,
}

impl Expectations {
    pub(crate) fn push(&mut self, question: &str, reply: Reply) {
        self.strict = true;
        self.to_come.push((question.to_owned(), reply));
    }

    /// The reply to the first of them that this text fits.
    pub(crate) fn take(&mut self, user_text: &str) -> Option<Reply> {
        let index = self.to_come.iter().position(|(question, _)| user_text.contains(question))?;
        Some(self.to_come.remove(index).1)
    }

    /// Whether nothing answers but the script.
    pub(crate) fn are_strict(&self) -> bool {
        self.strict
    }

    pub(crate) fn note_unexpected(&mut self, input: Input) {
        self.unexpected.push(input);
    }

    /// What came and was not expected, and what was expected and did not come. It is told once.
    pub(crate) fn take_findings(&mut self) -> Option<String> {
        let unexpected = self.unexpected.drain(..).map(|input| {
            let Input { model, .. } = &input;
            format!("\n  not expected, of {model:?}: {}", input.lines().join(" | "))
        });
        let missing = self.to_come.drain(..);
        let missing = missing.map(|(question, _)| format!("\n  never asked: {question:?}"));
        let findings: String = unexpected.chain(missing).collect();
        (!findings.is_empty())
            .then(|| format!("the model was not asked what the test expects:{findings}"))
    }
}
