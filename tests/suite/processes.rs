//! Several processes on one database, really stopped, killed and raced.

mod killed;
#[cfg(feature = "postgres")]
mod outage;
mod raced;
mod stopped;
