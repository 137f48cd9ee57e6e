//! Tools: what an assistant may do in the host's app.

mod context;
mod depth;
mod erased;
mod error;
mod output;
mod registry;
mod schema;
mod strict;
pub(crate) mod text;
mod uses;

use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use context::ToolContext;
pub(crate) use depth::{current as depth, within as within_depth};
pub(crate) use erased::{Bad, ErasedTool};
pub use error::ToolError;
pub(crate) use output::shape;
pub(crate) use registry::Tools;
pub(crate) use strict::told;
pub(crate) use uses::choose_freely;

/// Something that an assistant may do in your app: a type of arguments with a method.
///
/// The model is told [`NAME`](Self::NAME), the type's doc comment as the description, and the JSON Schema of its fields with
/// theirs; so what the model is told, what is checked and what your code gets cannot differ. Register it with
/// [`EngineBuilder::tool`](crate::EngineBuilder::tool), and let an assistant use it with
/// [`AssistantDefinition::uses`](crate::AssistantDefinition::uses).
///
/// ```
/// use ai_engine::schemars::{self, JsonSchema};
/// use ai_engine::{AssistantDefinition, Repeatable, Tool, ToolContext, ToolError};
/// use serde::Deserialize;
///
/// /// Current weather of a city.
/// #[derive(Deserialize, JsonSchema)]
/// struct Weather {
///     /// City, in English.
///     city: String,
/// }
///
/// impl Tool for Weather {
///     const NAME: &'static str = "weather";
///     const REPEATABLE: Repeatable = Repeatable::Yes;
///     type Output = String;
///
///     async fn call(self, _: &ToolContext<'_>) -> Result<String, ToolError> {
///         Ok(format!("Sunny in {}", self.city))
///     }
/// }
///
/// let cook = AssistantDefinition::new("gpt-6-luna").uses::<Weather>();
/// ```
///
/// # What happens to a call
///
/// It is stored before it begins, and its output before the model hears of it. What it returns is told the model as JSON, a text as
/// it is. An error, a panic and a call that takes longer than [`TIMEOUT`](Self::TIMEOUT) are told the model as well, and the run goes
/// on. Arguments that do not fit are not given to your code: the model is told where they do not, and may try again.
///
/// A call whose process died in the middle of it is treated as [`REPEATABLE`](Self::REPEATABLE) says.
///
/// # Cancellation
///
/// The future is dropped when the run is cancelled or its thread is deleted, when the time is over, and when the process gives the
/// run up. What must be done whatever happens belongs into a task of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no tool",
    note = "`impl Tool for {Self}`, and derive `Deserialize` and `JsonSchema` for it"
)]
pub trait Tool: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What the model calls it by: 1 to 64 letters, digits, `_` and `-`.
    const NAME: &'static str;

    /// Whether it may be called again when it is not known how far a call came; [`Repeatable::Ask`] unless set.
    const REPEATABLE: Repeatable = Repeatable::Ask;

    /// How long one call may take; a minute unless set.
    const TIMEOUT: Duration = Duration::from_mins(1);

    /// Whether it may run while other calls of the same answer do; yes unless set. Calls run side by side when all of an answer may,
    /// otherwise one after the other in the order of the model's: none begins while an earlier one waits for a person.
    const SIDE_BY_SIDE: bool = true;

    /// What the model is told: a text as it is, everything else as JSON.
    type Output: Serialize + Send;

    /// Does it.
    fn call(
        self,
        cx: &ToolContext<'_>,
    ) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;

    /// Whether a person has to agree first; not, unless implemented. It is asked before anything is done, and should look at nothing
    /// but the arguments and what `cx` says: it may be asked again.
    fn approval(&self, cx: &ToolContext<'_>) -> Approval {
        let _ = cx;
        Approval::NotNeeded
    }
}

/// Whether a person has to agree to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Approval {
    /// It begins at once.
    NotNeeded,
    /// It waits until somebody decides. The run is `requires_action` meanwhile, and belongs to no process.
    Needed,
    /// It is not done, and the model is told why.
    Refused(String),
}

pub(crate) use crate::model::Repeatable;
