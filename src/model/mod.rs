//! The rows: plain data, the same on every database. Whatever touches the database or the network
//! takes `&engine` or a connection.

mod answer;
mod assistant;
mod content;
mod definition;
mod item;
mod limits;
mod message;
mod metadata;
mod note;
mod page;
pub(crate) mod path;
mod queryable;
mod reason;
mod run;
mod stats;
mod stored_definition;
mod submission;
mod text_enum;
mod thread;
mod time;
mod title;
mod traceparent;
mod turn;
mod usage;
mod version;

pub use answer::Answer;
pub use assistant::Assistant;
pub use content::Content;
pub use definition::AssistantDefinition;
pub use message::{Message, MessageStatus, Messageable, RemoteState, Role};
pub use page::{Page, PageToken, Paged};
pub use reason::Reason;
pub use run::{Recovery, Run, RunStatus};
pub use stats::{Backlog, DatabaseStats, ProcessStats, Stats};
pub use thread::{AssistantThread, Chat};
pub use title::TitleAuthor;
pub use turn::{ChatSummary, ThreadSummary, Turn};
pub use usage::Usage;
pub use version::{AssistantVersion, DefinitionChange};

pub(crate) use item::{Item, ItemKind};
pub(crate) use limits::without_nul;
pub(crate) use message::{MessageBody, MessagePlace, MessageRow};
pub(crate) use metadata::StoredMetadata;
pub(crate) use note::{MessageNote, Note};
pub(crate) use queryable::{json_column, queryable_as};
pub(crate) use run::{RunRow, ShownRun};
pub(crate) use stored_definition::StoredDefinition;
pub(crate) use submission::Submission;
pub(crate) use text_enum::text_enum;
pub(crate) use thread::last_activity;
pub(crate) use time::{UtcTimestamp, utc_now};
pub(crate) use title::{Named, Naming, checked_title, title_of};
pub(crate) use traceparent::is_traceparent;
pub(crate) use usage::{usage_columns, usage_set};
