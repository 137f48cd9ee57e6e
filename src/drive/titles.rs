//! A title by a model for a thread or chat that has none, after an answer: beside whatever comes next, and in nobody's way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Semaphore;

use super::flight::Flight;
use super::own;
use crate::engine::core::Core;
use crate::engine::remotes::Remote;
use crate::error::with_causes;
use crate::failpoint::Write;
use crate::follow::transcript::Seen;
use crate::model::{AssistantDefinition, Item, Messageable, RunStatus, title_of};
use crate::provider::{Call, CallError, EndUser, News};
use crate::store::naming;

/// Titles asked for at once: after an outage many runs may end together.
const AT_ONCE: usize = 8;
/// Longest time that one may take.
const LONGEST: Duration = Duration::from_mins(1);
/// How much of the question, and of the answer, the model is shown, in characters each.
const SHOWN: usize = 2000;
/// Longest text that is read for a title, in bytes: whoever writes more was asked in vain.
const MOST_BYTES: usize = 16 * 1024;
/// What the model is told, unless the definition says it.
const INSTRUCTIONS: &str = "You are shown the beginning of a conversation. Write a title for it, in its language: one line of at \
     most six words, without quotes. Answer with the title alone.";

/// The conversations for which a title is being asked.
#[derive(Debug)]
pub(crate) struct Titles {
    under_way: Mutex<HashSet<Messageable>>,
    turns: Semaphore,
}

impl Default for Titles {
    fn default() -> Self {
        Self { under_way: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

/// A conversation in that set, until this is dropped.
struct Asking {
    core: Core,
    of: Messageable,
}

impl Asking {
    /// `None`: a title is being asked for already.
    fn begin(core: &Core, of: Messageable) -> Option<Self> {
        let mut under_way = core.titles().under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(of).then(|| Self { core: core.clone(), of })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let under_way = &self.core.titles().under_way;
        under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.of);
    }
}

/// Has a title asked for after a run that was driven here, if the engine asks for titles and the run has an answer. What fails is
/// tried again after the next one; shutdown drops it.
pub(super) fn after(core: &Core, flight: &Arc<Flight>) {
    if core.options().titles.is_none() || core.is_closing() {
        return;
    }
    let Some(exchange) = flight.transcript.look(exchange) else { return };
    let Some(asking) = Asking::begin(core, flight.transcript.of) else { return };
    let flight = Arc::clone(flight);
    let mut closing = core.closing().subscribe();
    tokio::spawn(async move {
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            given = give(&asking.core, &flight, exchange) => if let Err(why) = given {
                tracing::warn!(of = %asking.of, why, "no title was given; one is asked for after the next answer");
            },
        }
    });
}

/// The beginnings of question and answer; `None` without an answer.
fn exchange(seen: &Seen) -> Option<String> {
    if !matches!(seen.run.status, RunStatus::Completed | RunStatus::Incomplete) {
        return None;
    }
    let start = |text: &str| text.chars().take(SHOWN).collect::<String>();
    let answer: String = seen.messages.iter().map(|message| &*message.text).collect();
    let asked = seen.user_message.as_ref()?;
    let beside: Vec<&str> = asked.parts.iter().map(|part| part.kind.as_str()).collect();
    let question = match &*asked.content {
        "" => &format!("({})", beside.join(", ")),
        text => text,
    };
    (!answer.trim().is_empty()).then(|| {
        format!(
            "Question:\n{}\n\nAnswer:\n{}\n\nThe title of this conversation:",
            start(question),
            start(&answer)
        )
    })
}

/// Asks and stores, unless there is a title, also one that was given while the model was asked.
async fn give(core: &Core, flight: &Flight, exchange: String) -> Result<(), String> {
    let of = flight.transcript.of;
    let Ok(_turn) = core.titles().turns.acquire().await else { return Ok(()) };
    let untitled = core.store().read(move |session| naming::is_untitled(session, of)).await;
    if !untitled.map_err(|error| with_causes(&error))? {
        return Ok(());
    }
    let said = tokio::time::timeout(LONGEST, ask(core, flight, exchange)).await;
    let said = said.map_err(|_| format!("the model took longer than {LONGEST:?}"))??;
    let title = title_of(&said).ok_or("the model said nothing")?;
    let stored = core
        .store()
        .write(Write::Title, move |session| naming::title_by_model(session, of, &title));
    stored.await.map(drop).map_err(|error| with_causes(&error))
}

/// What the model says; where it fails, what the next one that the definition names does.
async fn ask(core: &Core, flight: &Flight, exchange: String) -> Result<String, String> {
    let mut said = Err("there is nobody to ask".to_owned());
    for definition in core.options().titles.iter().flat_map(AssistantDefinition::in_turn) {
        let Some(remote) = core.remotes().find(definition.provider.as_deref()) else { continue };
        // Its beginning is the instructions, and not that of the conversation.
        let end_user = flight.end_user(core, remote).map(EndUser::beside);
        said = ask_one(core, remote, definition, exchange.clone(), end_user).await;
        if said.is_ok() {
            break;
        }
    }
    said
}

/// What this one says, in a call that it keeps nothing of.
async fn ask_one(
    core: &Core,
    remote: &Remote,
    definition: AssistantDefinition,
    exchange: String,
    end_user: Option<EndUser>,
) -> Result<String, String> {
    let own = definition.instructions.clone().unwrap_or_else(|| INSTRUCTIONS.to_owned());
    let call = Call {
        definition: AssistantDefinition { instructions: Some(own), ..definition },
        input: vec![Item::message("user", exchange)],
        form: None,
        conversation: None,
        assistant: None,
        end_user,
        tries: Arc::default(),
        own: own::begin(core, remote).await.map_err(|error| with_causes(&error))?,
    };
    let brief = |error: CallError| error.brief().to_string();
    let mut stream = remote.provider.call(&call).await.map_err(brief)?;
    let mut bytes = 0;
    while let Some(progress) = stream.next().await {
        match progress.map_err(brief)?.news {
            News::Text { delta, .. } => {
                bytes += delta.len();
                if bytes > MOST_BYTES {
                    return Err(format!("the model said more than {MOST_BYTES} bytes"));
                }
            }
            News::Ended(ended) if ended.status == RunStatus::Completed && !ended.refusal => {
                let said = ended.output.iter().filter(|item| item.is_message());
                return Ok(said.map(Item::text).collect());
            }
            // Not in the provider's words, which may quote what was said.
            News::Ended(ended) => {
                return Err(format!("the answer is {}, or declines", ended.status));
            }
            News::Started { .. } | News::Alive => {}
        }
    }
    Err("the stream ended before its end event".to_owned())
}
