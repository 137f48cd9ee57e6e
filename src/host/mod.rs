//! What a host implements on its own types, and what it holds: records, assistants, the threads and chats of an owner.

pub(crate) mod assistable;
pub(crate) mod branches;
pub(crate) mod chattable;
pub(crate) mod conversations;
pub(crate) mod hooks;
pub(crate) mod messages;
pub(crate) mod owned_runs;
pub(crate) mod record;
pub(crate) mod threadable;
