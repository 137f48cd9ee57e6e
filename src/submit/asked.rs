//! What is asked of whom, and what if the thread or chat is busy.

use super::again::Again;
use super::changes::Changes;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::host::record::Owner;
use crate::model::{
    AssistantDefinition, Checked, Content, Messageable, Note, Recovery, is_traceparent,
};

/// A question as the host put it, before anything is checked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) who: Who,
    pub(crate) parent: Messageable,
    pub(crate) content: Content,
    /// What of the definition is another one for this run.
    pub(crate) changes: Changes,
    pub(crate) note: Note,
    pub(crate) key: Option<String>,
    pub(crate) busy: Busy,
    pub(crate) recovery: Option<Recovery>,
    /// A `traceparent` that the host gave.
    pub(crate) trace_context: Option<String>,
}

/// Content within the limits of this engine. Files of a provider's are those of this one, or of the default one.
pub(crate) fn checked(core: &Core, content: Content, provider: Option<&str>) -> Result<Checked> {
    let endpoint = core.remotes().find(provider).map(|remote| remote.provider.endpoint());
    content.checked(core.options().parts, endpoint)
}

/// The trace that a run belongs to. What the host gives is checked; what its tracing system says wrongly must not cost a run.
pub(crate) fn trace_context(core: &Core, given: Option<String>) -> Result<Option<String>> {
    if let Some(given) = given {
        if !is_traceparent(&given) {
            let rule = "must be a W3C traceparent: 00-<32 digits>-<16 digits>-<2 digits>, lower-case hexadecimal";
            return Err(Error::invalid("trace_context", given, rule));
        }
        return Ok(Some(given));
    }
    let door = core.options().trace_context.as_ref();
    Ok(door.and_then(|door| door.current()).filter(|text| is_traceparent(text)))
}

/// Whom a run asks.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Assistable(Owner, AssistantDefinition),
    Assistant(i64),
    Model(AssistantDefinition),
    /// Whom the run of another turn asked; `None`: what was to be taken again is no question.
    Again(Option<Again>),
}

/// What to do when the thread or chat has a run that has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Busy {
    /// Refuse the request with [`Error::Busy`](crate::Error::Busy), which names the active run.
    #[default]
    Reject,
    /// Store the message and the run, and drive it when all earlier ones have ended.
    Queue,
    /// Cancel all runs that have not ended, keeping their texts, and drive this one when they have ended.
    Interrupt,
}
