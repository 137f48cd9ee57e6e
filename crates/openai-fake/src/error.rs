//! What can go wrong with the fake itself. What it answers to a bad request is no error of its own.

use std::io;

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The loopback interface did not give the port.
    #[error("the fake cannot listen on port {port} of the loopback interface (0 is any): {source}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
}
