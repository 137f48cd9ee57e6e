//! The server under test, as a test describes it.

use std::time::Duration;

use crate::openai::OpenAiBuilder;
use crate::{AssistantDefinition, Database, History};

/// A server under test, and the database that its engines live in.
///
/// The first three methods are all that a server needs that answers. Each other one that is implemented has more checked.
/// Nobody else should use the server meanwhile: its counts, and what it holds, are compared.
pub trait Subject: Send + Sync {
    /// The database's type.
    type Database: Database;

    /// The database for one case. It may be the same one each time; whatever else is in it stays as it is.
    fn database(&self) -> Self::Database;

    /// The settings of a client of the server, its protocol included. A case may change how often, how soon and how long the
    /// client tries.
    fn client(&self) -> OpenAiBuilder;

    /// The model, and what else its calls need. For a model that really answers a limit of tokens is wise, so that it ends soon.
    fn definition(&self) -> AssistantDefinition;

    /// Who is to keep the history; unless implemented, who does by default.
    fn history(&self) -> Option<History> {
        None
    }

    /// Clients of the same server in its other protocols, for the same model.
    fn other_protocols(&self) -> Vec<OpenAiBuilder> {
        Vec::new()
    }

    /// Whether the model takes pictures.
    fn takes_pictures(&self) -> bool {
        false
    }

    /// Has the server do this with the next call of the model that no earlier act is for. `false`: it cannot, and goes on as it
    /// likes. Whoever returns `true` for one act should for all that the case can need.
    fn act(&self, act: Act) -> bool {
        let _ = act;
        false
    }

    /// All that the model knew when it was called last, oldest first, instructions included, and what the server held of the
    /// conversation itself: each message as text or JSON. The answer may be among it. Bytes are in base64.
    fn shown(&self) -> Option<Vec<String>> {
        None
    }

    /// What came to the server so far.
    fn counts(&self) -> Option<Counts> {
        None
    }

    /// All that the server keeps for its clients, by any name: conversations and their items, responses, threads, assistants.
    fn held(&self) -> Option<Vec<String>> {
        None
    }

    /// Longest time of one case, and of one wait in it.
    fn patience(&self) -> Duration {
        Duration::from_mins(2)
    }
}

/// What a server is to do with one call of the model. Texts come in these pieces, as far as the server can.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// Say this, and end well.
    Say(Vec<String>),
    /// Say this, and end because the limit of tokens is reached.
    SayUpToTheLimit(Vec<String>),
    /// Call these functions, in this order, and end well.
    CallFunctions(Vec<FunctionCall>),
    /// Say this, and then nothing at all, until the client leaves.
    Stall(Vec<String>),
    /// Say this, and break the connection. Without any text: after the head of the answer.
    Break(Vec<String>),
    /// Say this, and end the stream with an error of the code `server_error`.
    Fail(Vec<String>),
    /// Close the connection without any answer.
    HangUp,
    /// Answer with this HTTP status, and an error with this code.
    #[non_exhaustive]
    Refuse {
        /// The status.
        status: u16,
        /// The code.
        code: &'static str,
    },
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionCall {
    /// The function's name.
    pub name: String,
    /// Its arguments, as JSON.
    pub arguments: String,
}

/// What came to a server so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests of any kind.
    pub requests: usize,
    /// Of those, calls of the model, refused ones too.
    pub calls: usize,
    /// Answers whose client left before they had ended.
    pub left: usize,
}
