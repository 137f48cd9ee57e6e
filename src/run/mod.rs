//! One run's life: request, submit, drive, settle, announce; and the upkeep of what a process left behind.

mod announce;
mod call;
mod calls;
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
mod keep;
mod lanes;
mod lease;
mod live;
mod mirror;
mod outbox;
mod outcome;
mod owner;
mod persist;
mod reader;
mod reasons;
mod recover;
mod registry;
mod request;
mod settle;
mod shutdown;
mod stored;
mod submit;
mod told;
mod troubles;

pub use cursor::Cursor;
pub use events::{Event, EventKind, Events, RunEvents};
pub use recover::Recovered;
pub use request::{Busy, RunRequest};

pub(crate) use conversation::create_conversation;

pub(crate) use announce::Announcements;
pub(crate) use feeds::Feeds;
pub(crate) use interrupt::Interrupted;
pub(crate) use keep::Upkeep;
pub(crate) use lanes::Lanes;
pub(crate) use lease::Lease;
pub(crate) use live::{LiveRun, Stop};
pub(crate) use outbox::Outbox;
pub(crate) use owner::deliver_created;
pub(crate) use persist::{Verdict, verdict};
pub(crate) use registry::Registry;
pub(crate) use request::Who;
pub(crate) use submit::make_room;
pub(crate) use troubles::Troubles;
