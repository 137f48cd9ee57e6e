//! What a host implements on its own types, and what it holds: records, assistants, the threads and chats of an owner.

pub(crate) mod assistable;
mod assistants;
pub(crate) mod before_run;
pub(crate) mod branches;
pub(crate) mod chattable;
pub(crate) mod composite_id;
pub(crate) mod conversations;
pub(crate) mod create;
pub(crate) mod forget;
pub(crate) mod hooks;
pub(crate) mod messages;
mod naming;
pub(crate) mod orphans;
pub(crate) mod owned_events;
pub(crate) mod owned_runs;
pub(crate) mod record;
mod repair;
pub(crate) mod threadable;
pub(crate) mod tool_calls;
pub(crate) mod trace_context;
pub(crate) mod usage;
