//! Answers that do not fit a type are asked for again.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::engine::AiEngine;
use crate::error::{Error, Result};
use crate::model::{Answer, AssistantDefinition};
use crate::store::runs;

impl Answer {
    /// Reads the answer as a type, as [`parse`](Self::parse) does. While it does not fit, the question is asked once more, at most so many
    /// times, as the run asked it, and the model is told where its answer did not fit. Returns what was read, with the answer that it is
    /// of.
    ///
    /// Each time the turn is taken again ([`Run::regenerate`](crate::Run::regenerate)): an answer that did not fit leaves the path, with
    /// what was said after it, stays as a sibling, and costs what it cost.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves a run going that was submitted.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] when the last one does not fit either, and at once for a run that waits for a decision; else those of a
    /// [`RunRequest`](crate::RunRequest).
    pub async fn parse_or_repair<T: DeserializeOwned + JsonSchema>(
        self,
        engine: &AiEngine,
        mut times: u32,
    ) -> Result<(T, Self)> {
        let mut answer = self;
        let mut asked_by = None;
        loop {
            let told = match answer.parse::<T>() {
                Ok(read) => return Ok((read, answer)),
                Err(Error::Mismatch { path, reason, .. })
                    if times > 0 && answer.run.status.is_terminal() =>
                {
                    told(&path, &reason)
                }
                Err(error) => return Err(error),
            };
            times -= 1;
            // By the words of the first run: each time the model is told of the newest answer alone.
            let definition = match asked_by.take() {
                Some(known) => known,
                None => definition(engine, answer.run.id).await?,
            };
            asked_by = Some(definition.clone());
            let request = answer.run.regenerate(engine);
            answer = request.definition(move |_| with(definition.clone(), &told)).await?;
        }
    }
}

fn told(path: &str, reason: &str) -> String {
    let place = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
    format!("An earlier answer to the last question did not fit the schema{place}: {reason}")
}

/// What the run was asked by.
async fn definition(engine: &AiEngine, run: i64) -> Result<AssistantDefinition> {
    let found = engine.core.store().read(move |session| runs::find(session, run)).await?;
    let row = found.ok_or(Error::RunGone(run))?;
    row.definition.read().map_err(|error| {
        let reason = format!("of the run with id {run} cannot be read ({error}); ask again");
        Error::invalid("definition", row.definition.to_string(), reason)
    })
}

fn with(mut definition: AssistantDefinition, told: &str) -> AssistantDefinition {
    let all = definition.instructions.take().into_iter().chain([told.to_owned()]);
    definition.instructions = Some(all.collect::<Vec<_>>().join("\n\n"));
    definition
}
