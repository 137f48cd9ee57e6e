//! The rows: plain data, the same on every database. Whatever touches the database or the network
//! takes `&engine` or a connection.

mod answer;
mod assistant;
mod content;
mod definition;
mod item;
mod limits;
mod message;
mod page;
pub(crate) mod path;
mod queryable;
mod reason;
mod run;
mod stored_definition;
mod text_enum;
mod thread;
mod time;
mod usage;

pub use answer::Answer;
pub use assistant::Assistant;
pub use content::Content;
pub use definition::AssistantDefinition;
pub use message::{Message, MessageStatus, Messageable, RemoteState, Role};
pub use page::Page;
pub use reason::Reason;
pub use run::{Recovery, Run, RunStatus};
pub use thread::{AssistantThread, Chat};
pub use usage::Usage;

pub(crate) use item::{Item, ItemKind};
pub(crate) use limits::without_nul;
pub(crate) use message::{MessageBody, MessagePlace, MessageRow};
pub(crate) use queryable::queryable_as;
pub(crate) use run::RunRow;
pub(crate) use stored_definition::StoredDefinition;
pub(crate) use text_enum::text_enum;
pub(crate) use time::{UtcTimestamp, utc_now};
pub(crate) use usage::{usage_columns, usage_set};
