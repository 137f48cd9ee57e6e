//! What came of the cases.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

/// What came of a case that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a case may have been skipped"]
pub enum Outcome {
    /// All of it holds.
    #[non_exhaustive]
    Passed {
        /// What was left out, because the subject does not tell it.
        unchecked: Vec<&'static str>,
    },
    /// Nothing was checked.
    #[non_exhaustive]
    Skipped {
        /// Why.
        why: &'static str,
    },
}

/// What came of all cases. Its text form has a line for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "call `verify`, or look into it"]
pub struct Report {
    cases: Vec<(&'static str, Result<Outcome, String>)>,
}

impl Report {
    pub(super) fn add(&mut self, case: &'static str, result: Result<Outcome, String>) {
        self.cases.push((case, result));
    }

    /// The cases in the order in which they ran, each with what came of it; an error is what the panic said.
    pub fn cases(&self) -> impl Iterator<Item = (&'static str, Result<&Outcome, &str>)> {
        self.cases.iter().map(|(name, result)| (*name, result.as_ref().map_err(String::as_str)))
    }

    /// Fails the test if a case failed.
    ///
    /// # Panics
    ///
    /// Then, with the names of those that failed, and what they found.
    #[track_caller]
    pub fn verify(&self) {
        let failed: Vec<_> = self
            .cases()
            .filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?)))
            .collect();
        let (all, some) = (self.cases.len(), failed.len());
        assert!(failed.is_empty(), "{some} of {all} cases failed:\n{}", failed.join("\n"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, result) in &self.cases {
            match result {
                Ok(Outcome::Passed { unchecked }) if unchecked.is_empty() => {
                    writeln!(f, "{name}: passed")?;
                }
                Ok(Outcome::Passed { unchecked }) => {
                    writeln!(f, "{name}: passed, not checked: {}", unchecked.join("; "))?;
                }
                Ok(Outcome::Skipped { why }) => writeln!(f, "{name}: skipped: {why}")?,
                Err(message) => writeln!(f, "{name}: FAILED: {message}")?,
            }
        }
        Ok(())
    }
}

/// The outcome of a case, or what it panicked with.
pub(super) async fn caught(
    limit: Duration,
    case: impl Future<Output = Outcome>,
) -> Result<Outcome, String> {
    let caught = AssertUnwindSafe(tokio::time::timeout(limit, case)).catch_unwind().await;
    match caught {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) => Err(format!("it was not done after {limit:?} (`Subject::patience`)")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(text.unwrap_or("it panicked without a text").to_owned())
        }
    }
}
