//! Who is asked: the provider that the definition names, and those behind it, for as long as each fails in a way that the next one
//! may not.

use super::call;
use super::flight::{Flight, Stop};
use super::outcome::Outcome;
use crate::engine::core::Core;
use crate::model::{AssistantDefinition, Reason, RemoteState};

/// Calls the model, and when its provider fails before there was output, the next one that the definition names. Each gets the
/// further tries of any call.
pub(crate) async fn call(
    core: &Core,
    flight: &Flight,
    definition: &AssistantDefinition,
) -> Result<Outcome, Stop> {
    let known = definition.in_turn().filter_map(|definition| {
        let remote = core.remotes().find(definition.provider.as_deref());
        if remote.is_none() {
            // The process that submitted it has it.
            let provider = definition.provider.as_deref();
            tracing::warn!(run = flight.id(), provider, "the engine has no such provider");
        }
        remote.map(|remote| (remote, definition))
    });
    let mut known = known.collect::<Vec<_>>().into_iter().peekable();
    loop {
        let Some((remote, definition)) = known.next() else {
            let (error, sent) = ("the engine has no such provider", RemoteState::Absent);
            return Ok(Outcome::broken(Reason::Configuration, error.to_owned(), false, sent));
        };
        let outcome = match remote.provider.check(&definition) {
            Ok(()) => call::call(core, remote, flight, &definition).await?,
            // It was submitted where another provider had this name, or none.
            Err(error) => {
                let error = error.to_string();
                let broken =
                    Outcome::broken(Reason::Unsupported, error, false, RemoteState::Absent);
                Outcome { is_of_the_server: true, ..broken }
            }
        };
        let Some((next, _)) = known.peek() else { return Ok(outcome) };
        if !outcome.is_of_the_server || flight.has_output_of_call() {
            return Ok(outcome);
        }
        tracing::warn!(
            run = flight.id(),
            provider = remote.name,
            next = next.name,
            reason = outcome.reason.as_deref(),
            "the provider failed before any output; the next one is asked"
        );
        flight.note("fallback");
        flight.begin_again();
    }
}
