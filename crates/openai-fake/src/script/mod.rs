//! The script: what the model shall say, and how badly the network shall behave.

pub(crate) mod demo;
pub(crate) mod expect;
pub(crate) mod faults;
pub(crate) mod gate;
pub(crate) mod queue;
pub(crate) mod reply;
