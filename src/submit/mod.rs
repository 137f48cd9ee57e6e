//! From a request to a queued run, and to its cancellation: what a caller asks for is stored here, in one transaction.

pub(crate) mod again;
mod ask_owner;
pub(crate) mod asked;
pub(crate) mod branch;
pub(crate) mod cancel;
pub(crate) mod changes;
pub(crate) mod decide;
pub(crate) mod drive;
pub(crate) mod enqueue;
pub(crate) mod interrupt;
pub(crate) mod request;
