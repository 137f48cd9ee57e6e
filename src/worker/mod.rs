//! What a process does beside and around its runs: it finds those that wait, takes up what dead processes left, keeps its
//! lease, delivers last hooks, works the outbox, and ends in good order.

pub(crate) mod announce;
mod assistants;
pub(crate) mod keep;
pub(crate) mod lanes;
pub(crate) mod lease;
#[cfg(feature = "postgres")]
pub(crate) mod listen;
pub(crate) mod outbox;
pub(crate) mod places;
pub(crate) mod recover;
pub(crate) mod shutdown;
pub(crate) mod take_up;
mod tools_left;
pub(crate) mod troubles;
mod waiting_calls;
