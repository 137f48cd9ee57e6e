//! An owner may refuse a run, before anything of it is stored.

use crate::engine::AiEngine;
use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::host::before_run::{BeforeRun, Refusal, RunProposal};
use crate::store::session::{Session, transaction};

/// Fails when the owner refuses the run. One that is gone is not asked.
///
/// An owner has to be loaded to be asked, so what its type has to say is found out once: a type that leaves the question to the
/// default is not loaded for it again.
pub(super) fn ask_owner(
    session: &mut dyn Session,
    core: &Core,
    (kind, id): &(String, String),
    proposal: &RunProposal<'_>,
) -> Result<()> {
    let has_word = core.owners_words().of(kind);
    if has_word == Some(false) {
        return Ok(());
    }
    let Some(loader) = core.loader(kind) else { return Ok(()) };
    // What fails in it must not spoil the transaction.
    let owner = match transaction(session, |session| loader(session, id)) {
        Ok(Some(owner)) => owner,
        Ok(None) => return Ok(()),
        Err(error) if error.lost_connection() || has_word == Some(true) => return Err(error),
        // A type of which nobody knows that it has a word gets its answers, as without its hooks.
        Err(error) => {
            let error = with_causes(&error);
            tracing::error!(kind, error, "an owner could not be loaded, to be asked before a run");
            return Ok(());
        }
    };
    let engine = AiEngine::from(core.clone());
    let mut cx = BeforeRun { engine: &engine, session, is_default: false };
    let said = owner.before_run(proposal, &mut cx);
    core.owners_words().note(kind, !cx.is_default);
    said.map_err(Refusal::into_error)
}
