//! Several processes on one database, really stopped, killed and raced.

mod killed;
mod raced;
mod stopped;
