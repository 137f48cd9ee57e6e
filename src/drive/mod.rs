//! One run that this process drives: claimed, called, stored as it streams, settled; its hooks called.

pub(crate) mod attempt;
pub(crate) mod begin;
pub(crate) mod call;
mod content;
pub(crate) mod conversation;
pub(crate) mod deliver;
pub(crate) mod entries;
pub(crate) mod estimate;
mod fallback;
pub(crate) mod flight;
mod gain;
pub(crate) mod input;
pub(crate) mod open_calls;
pub(crate) mod outcome;
pub(crate) mod output;
mod output_parts;
mod parts;
pub(crate) mod persist;
pub(crate) mod reconcile;
pub(crate) mod registry;
pub(crate) mod settle;
mod step_end;
pub(crate) mod steps;
pub(crate) mod stored;
pub(crate) mod titles;
mod trace;
pub(crate) mod writer;
