//! One run's life: request, submit, drive, settle, announce, recover.

mod call;
mod cancel;
mod conversation;
mod cursor;
mod drive;
mod events;
mod feed;
mod feeds;
mod finals;
pub mod fuzzing;
mod history;
mod interrupt;
mod live;
mod mirror;
mod outbox;
mod outcome;
mod owner;
mod reader;
mod recover;
mod registry;
mod request;
mod settle;
mod submit;
mod told;
mod work;

pub use cursor::Cursor;
pub use events::{Event, EventKind, Events, RunEvents};
pub use recover::Recovered;
pub use request::{Busy, RunRequest};

pub(crate) use conversation::create_conversation;

pub(crate) use feeds::Feeds;
pub(crate) use live::{LiveRun, Stop};
pub(crate) use outbox::delete_remotely;
pub(crate) use owner::deliver_created;
pub(crate) use registry::Registry;
pub(crate) use request::Who;
pub(crate) use submit::refuse_busy;
