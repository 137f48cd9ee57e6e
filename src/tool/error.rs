//! Why a tool did not do what it was asked.

use std::error::Error as StdError;
use std::fmt;

use crate::error::with_causes;

/// Why a call of a tool failed. **Its text is told the model**, which may then try otherwise, or tell the user.
///
/// Any error becomes one by `?`, with its text and those of its causes: where these may hold what no model should read, such as
/// paths or statements, say something else with [`new`](Self::new).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolError {
    message: String,
}

impl ToolError {
    /// What the model is told.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// What the model is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// Not an error itself, so that each of those can become one.
impl<E: StdError> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self::new(with_causes(&error))
    }
}
