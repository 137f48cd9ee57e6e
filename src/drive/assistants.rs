//! The provider's own assistant of one of ours: made, brought in step, or found again where an answer was lost. Our definition is the
//! truth. The request is made between two transactions, by the one process that has the claim.

use std::time::Duration;

use tracing::Instrument;

use super::flight::Flight;
use super::keyed::{self, KEY, new_key};
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::{Error, Result, with_causes};
use crate::failpoint::{self, Write};
use crate::model::AssistantDefinition;
use crate::provider::CallError;
use crate::store::outbox::TRY_MS;
use crate::store::remote_assistants::{self as rows, Claim, Claimed, Theirs};

/// Longest time one try may take: well before another process may make its own.
const ONE_TRY: Duration = Duration::from_millis(TRY_MS.unsigned_abs() * 3 / 4);
/// Before the first look whether another process is done; each further one comes later.
const LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(1);

impl Remote {
    /// Fails where it keeps no assistants.
    fn require_assistants(&self) -> Result<()> {
        if self.provider.keeps_assistants() {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: "an assistant of the provider's own".to_owned(),
            protocol: self.provider.name(),
            advice: "each call tells it the definition, so there is nothing to be made there",
        })
    }
}

/// The remote that an assistant's definition names, where it keeps assistants.
pub(crate) fn keeper<'a>(core: &'a Core, definition: &AssistantDefinition) -> Option<&'a Remote> {
    let remote = core.remotes().find(definition.provider.as_deref())?;
    remote.provider.keeps_assistants().then_some(remote)
}

/// Brings the provider's own assistant in step and waits for it, whoever does it.
pub(crate) async fn bring_in_step(core: &Core, id: i64) -> Result<()> {
    let waited = tokio::time::timeout(ONE_TRY, in_step(core, id, Hurry::Now)).await;
    waited.unwrap_or_else(|_| {
        let message = "another process has it".to_owned();
        Err(Error::AssistantNotInStep { assistant_id: id, message })
    })
}

/// Whether it is tried again at once where it failed a moment ago.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hurry {
    Now,
    /// A run has another way.
    WhenDue,
}

async fn in_step(core: &Core, id: i64, hurry: Hurry) -> Result<()> {
    let mut pause = LOOK;
    loop {
        let (found, now) =
            read(core, id).await?.ok_or_else(|| Error::not_found("assistant", id))?;
        // It may name another one by now.
        let remote = core.remotes().require(found.provider().as_deref())?;
        remote.require_assistants()?;
        if found.in_step(&remote.service).is_some() {
            return Ok(());
        }
        if hurry == Hurry::WhenDue && found.is_backing_off(now) {
            let message = found.remote_error.unwrap_or_default();
            return Err(Error::AssistantNotInStep { assistant_id: id, message });
        }
        let tried =
            if found.is_claimed(now) { None } else { try_once(core, remote, id, false).await? };
        match tried {
            Some(Ok(())) => {}
            Some(Err(failure)) => return Err(failure.into_error(id)),
            // Another has it.
            None => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_LOOK);
            }
        }
    }
}

/// The assistant that answers a run of this definition here: one that is in step, which is waited for a while. `None`: the call says
/// all by itself.
pub(crate) async fn ready(
    core: &Core,
    remote: &Remote,
    flight: &Flight,
    definition: &AssistantDefinition,
) -> Result<Option<String>> {
    let (assistant, asked_for) =
        flight.transcript.look(|seen| (seen.run.assistant_id, seen.run.assistant_version));
    let Some(id) = assistant.filter(|_| remote.provider.keeps_assistants()) else {
        return Ok(None);
    };
    let may_answer = |theirs: &Theirs| {
        let own = core.remotes().find(theirs.provider().as_deref());
        own.is_some_and(|own| own.service == remote.service)
            && asked_for.is_none_or(|version| version == theirs.version)
            && theirs.definition.read().is_ok_and(|ours| says_all(definition, &ours))
    };
    let in_step_now = |(theirs, _): &(Theirs, i64)| {
        let id = theirs.in_step(&remote.service).filter(|_| may_answer(theirs));
        id.map(ToOwned::to_owned)
    };
    let Some(found) = read(core, id).await?.filter(|(theirs, _)| may_answer(theirs)) else {
        return Ok(None);
    };
    if let Some(there) = in_step_now(&found) {
        return Ok(Some(there));
    }
    match flight.patience.wait_for(in_step(core, id, Hurry::WhenDue)).await {
        Some(Ok(())) => Ok(read(core, id).await?.as_ref().and_then(in_step_now)),
        Some(Err(error)) => {
            let error = error.brief();
            tracing::warn!(assistant = id, error, "a run goes on without the provider's assistant");
            Ok(None)
        }
        None => Ok(None),
    }
}

/// Whether the assistant that a call went to was changed while the call began, in a way that the call does not say: its answer would
/// be of neither version.
pub(crate) async fn has_moved(
    core: &Core,
    flight: &Flight,
    definition: &AssistantDefinition,
) -> Result<bool> {
    let (assistant, asked_for) =
        flight.transcript.look(|seen| (seen.run.assistant_id, seen.run.assistant_version));
    let Some(id) = assistant else { return Ok(false) };
    // What was stored after that is sent there after that.
    Ok(read(core, id).await?.is_some_and(|(theirs, _)| {
        asked_for.is_some_and(|version| version != theirs.version)
            && theirs.definition.read().is_ok_and(|ours| !says_all(definition, &ours))
    }))
}

/// For a call that was answered by *not found*: makes the provider's own assistant anew if it is what is not there. Whether it is there
/// now; not if the call had none.
pub(crate) async fn is_there_again(core: &Core, remote: &Remote, flight: &Flight) -> bool {
    let had_one = flight.log(|log| log.call.as_ref().is_some_and(|call| call.has_assistant));
    let Some(id) = flight.transcript.look(|seen| seen.run.assistant_id).filter(|_| had_one) else {
        return false;
    };
    let renewing = async {
        loop {
            match try_once(core, remote, id, true).await? {
                Some(done) => return Ok(done.is_ok()),
                // Without it, the call makes its own.
                None if read(core, id)
                    .await?
                    .is_none_or(|(now, _)| !now.is_at(&remote.service)) =>
                {
                    return Ok(true);
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
    };
    match flight.patience.wait_for(renewing).await {
        Some(Ok(is_there)) => is_there,
        Some(Err(error)) => {
            let error: Error = error;
            tracing::warn!(
                assistant = id,
                error = error.brief(),
                "could not look for an assistant"
            );
            false
        }
        None => false,
    }
}

/// Whether a call with this definition says all that the assistant would say otherwise: what a call leaves out, the assistant adds.
fn says_all(call: &AssistantDefinition, assistant: &AssistantDefinition) -> bool {
    (call.instructions.is_some() || assistant.instructions.is_none())
        && (call.temperature.is_some() || assistant.temperature.is_none())
        && (call.top_p.is_some() || assistant.top_p.is_none())
        && (call.reasoning.is_some() || assistant.reasoning.is_none())
        && (!call.tools.is_empty() || assistant.tools.is_empty())
}

/// One as it is now, and the time by the database.
async fn read(core: &Core, id: i64) -> Result<Option<(Theirs, i64)>> {
    core.store().read(move |session| rows::look(session, id)).await
}

/// Why a try failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Provider(CallError),
    Other(String),
}

impl Failure {
    fn into_error(self, assistant_id: i64) -> Error {
        match self {
            Self::Provider(error) => error.into(),
            Self::Other(message) => Error::AssistantNotInStep { assistant_id, message },
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Provider(error) => error.to_string(),
            Self::Other(text) => text.clone(),
        }
    }
}

/// Makes one try, to its end whoever stops waiting for it; also for one that is in step, if that is doubted. `None`: there was nothing to
/// do, or somebody else has it, or its definition names a provider elsewhere by now.
pub(crate) async fn try_once(
    core: &Core,
    remote: &Remote,
    id: i64,
    doubted: bool,
) -> Result<Option<Result<(), Failure>>> {
    let (core, name) = (core.clone(), remote.name.clone());
    let trying = async move {
        let remote = core.remotes().require(Some(&name))?;
        let (at, key) = (remote.service.clone(), new_key());
        let of = core.remotes().at(&at);
        let claiming = core.store().write(Write::RemoteAssistantClaim, move |session| {
            rows::claim(session, id, &at, &of, (&key, doubted))
        });
        match claiming.await? {
            Claim::Taken(claimed) => carry_out(&core, remote, *claimed).await.map(Some),
            Claim::Elsewhere => {
                // There it is to be made, and here to be deleted.
                core.work_outbox();
                Ok(None)
            }
            Claim::NotNow => Ok(None),
        }
    };
    tokio::spawn(trying.in_current_span())
        .await
        .map_err(|error| Error::Panicked(error.to_string()))?
}

async fn carry_out(core: &Core, remote: &Remote, claimed: Claimed) -> Result<Result<(), Failure>> {
    let made = tokio::time::timeout(ONE_TRY, make(remote, &claimed)).await;
    let failure = match made {
        Ok(Ok(all)) => {
            failpoint::point!("remote_assistant.carried_out");
            let at = remote.service.clone();
            let noted = core.store().write(Write::RemoteAssistantDone, move |session| {
                rows::done(session, &claimed, &at, &all[0], &all[1..])
            });
            noted.await?;
            // One that is not used is deleted, and so is an earlier one elsewhere.
            core.work_outbox();
            return Ok(Ok(()));
        }
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Other(format!("the provider took longer than {ONE_TRY:?}")),
    };
    // The provider's words are in the row; they may quote what was said.
    let (id, attempts) = (claimed.theirs.id, claimed.theirs.remote_attempts);
    tracing::warn!(
        assistant = id,
        attempts,
        "an assistant could not be brought in step; it is tried again later"
    );
    let text = failure.text();
    let noted = core
        .store()
        .write(Write::RemoteAssistantFailed, move |session| rows::failed(session, &claimed, &text));
    if let Err(error) = noted.await {
        // The claim ends by itself.
        tracing::warn!(assistant = id, error = with_causes(&error), "that could not be noted");
    }
    Ok(Err(failure))
}

/// Never empty: the one to use, then those that are too many.
async fn make(remote: &Remote, claimed: &Claimed) -> Result<Vec<String>, Failure> {
    let theirs = &claimed.theirs;
    let mut definition =
        theirs.definition.read().map_err(|error| Failure::Other(with_causes(&error)))?;
    let has_key = Claimed::takes_the_key(&definition);
    if has_key {
        definition.metadata.insert(KEY.to_owned(), claimed.key.clone().into());
    }
    let update = async |id: &str| remote.provider.update_assistant(id, &definition).await;
    if let Some(id) = &theirs.remote_id {
        match update(id).await {
            Ok(()) => return Ok(vec![id.clone()]),
            // Deleted there.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(Failure::Provider(error)),
        }
    }
    if claimed.is_in_doubt() && has_key {
        let mut found = keyed::find(remote, &claimed.key).await.map_err(Failure::Provider)?;
        found.retain(|id| Some(id) != theirs.remote_id.as_ref());
        if let Some(id) = found.first() {
            update(id).await.map_err(Failure::Provider)?;
            return Ok(found);
        }
    }
    let made = remote.provider.create_assistant(&definition).await.map_err(Failure::Provider)?;
    Ok(vec![made])
}
