//! The provider's own assistant of one of ours: made, brought in step, or found again where an answer was lost. Our definition is the
//! truth. The request is made between two transactions, by the one process that has the claim.

use std::time::Duration;

use tokio::time::Instant;

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
/// Longest time that a run waits.
const RUN_WAITS: Duration = Duration::from_secs(10);
/// Between two looks whether another process is done.
const LOOK: Duration = Duration::from_millis(100);
/// Pairs of metadata of an assistant there.
const MOST_METADATA: usize = 16;

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
    let deadline = Instant::now() + ONE_TRY;
    loop {
        let found = read(core, id).await?.ok_or_else(|| Error::not_found("assistant", id))?;
        // It may name another one by now.
        let remote = core.remotes().require(found.provider().as_deref())?;
        remote.require_assistants()?;
        if found.in_step(&remote.service).is_some() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let message = found.remote_error.unwrap_or_else(|| "another process has it".into());
            return Err(Error::AssistantNotInStep { assistant_id: id, message });
        }
        match try_once(core, remote, id, false).await? {
            Some(Ok(())) => {}
            Some(Err(failure)) => return Err(failure.into_error(id)),
            // Another has it.
            None => tokio::time::sleep(LOOK).await,
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
    let usable = |theirs: &Theirs| {
        let id = theirs.in_step(&remote.service)?;
        let ours = theirs.definition.read().ok()?;
        let is_same = asked_for.is_none_or(|version| version == theirs.version);
        (is_same && says_all(definition, &ours)).then(|| id.to_owned())
    };
    let Some(theirs) = read(core, id).await? else { return Ok(None) };
    let own = core.remotes().find(theirs.provider().as_deref());
    if own.is_none_or(|own| own.service != remote.service) {
        return Ok(None);
    }
    if theirs.in_step(&remote.service).is_none() && !is_backing_off(core, &theirs).await? {
        let waiting = tokio::time::timeout(RUN_WAITS, bring_in_step(core, id)).await;
        if let Ok(Err(error)) = waiting {
            let error = error.brief();
            tracing::warn!(assistant = id, error, "a run goes on without the provider's assistant");
        }
    }
    Ok(read(core, id).await?.as_ref().and_then(usable))
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
                None if read(core, id).await?.is_none_or(|now| !now.is_at(&remote.service)) => {
                    return Ok(true);
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
    };
    match tokio::time::timeout(RUN_WAITS, renewing).await {
        Ok(Ok(is_there)) => is_there,
        Ok(Err(error)) => {
            let error: Error = error;
            tracing::warn!(
                assistant = id,
                error = error.brief(),
                "could not look for an assistant"
            );
            false
        }
        Err(_) => false,
    }
}

/// Whether it failed a moment ago.
async fn is_backing_off(core: &Core, theirs: &Theirs) -> Result<bool> {
    let Some(due) = theirs.remote_due_at.filter(|_| theirs.remote_error.is_some()) else {
        return Ok(false);
    };
    core.store().read(move |session| Ok(crate::store::clock::now_ms(session)? < due)).await
}

/// Whether a call with this definition says all that the assistant would say otherwise: what a call leaves out, the assistant adds.
fn says_all(call: &AssistantDefinition, assistant: &AssistantDefinition) -> bool {
    (call.instructions.is_some() || assistant.instructions.is_none())
        && (call.temperature.is_some() || assistant.temperature.is_none())
        && (call.top_p.is_some() || assistant.top_p.is_none())
        && (call.reasoning.is_some() || assistant.reasoning.is_none())
        && (!call.tools.is_empty() || assistant.tools.is_empty())
}

async fn read(core: &Core, id: i64) -> Result<Option<Theirs>> {
    core.store().read(move |session| rows::find(session, id)).await
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
    let trying = tokio::spawn(async move {
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
    });
    trying.await.map_err(|error| Error::Panicked(error.to_string()))?
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
    noted.await?;
    Ok(Err(failure))
}

/// Never empty: the one to use, then those that are too many.
async fn make(remote: &Remote, claimed: &Claimed) -> Result<Vec<String>, Failure> {
    let theirs = &claimed.theirs;
    let mut definition =
        theirs.definition.read().map_err(|error| Failure::Other(with_causes(&error)))?;
    let known = definition.metadata.len();
    // With all 16 of the host's own it cannot be looked for.
    let has_key = known < MOST_METADATA;
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
    if theirs.remote_attempts > 1 && has_key {
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
