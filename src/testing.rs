//! A fake `OpenAI` service inside your own process, for tests and for trying things without a key.
//!
//! It is the crate [`openai_fake`], whose pages say how to script it; [`FakeClient`] makes a client of it.
//!
//! ```no_run
//! # async fn example() -> Result<(), ai_engine::BoxError> {
//! use ai_engine::prelude::*;
//! use ai_engine::testing::{FakeOpenAi, Gate, Reply};
//!
//! let fake = FakeOpenAi::start().await?;
//! let halfway = Gate::new();
//! fake.reply(Reply::text("Hello there").hold_at(5, halfway.clone()));
//!
//! let openai = fake.openai()?; // … give it to an engine and ask something …
//!
//! halfway.reached().await; // the first word is on the wire, the second is not
//! halfway.open();
//! assert_eq!(fake.requests().len(), 1);
//! # Ok(())
//! # }
//! ```

pub use openai_fake::{API_KEY, Error, ErrorEvent, FakeOpenAi, Gate, Input, Reply, Request};

use crate::openai::{self, OpenAi};

/// A client of the fake. The [prelude](crate::prelude) has it.
pub trait FakeClient {
    /// A client of this server.
    ///
    /// # Errors
    ///
    /// When the HTTP client cannot be built, which is a matter of the machine's TLS certificates.
    fn openai(&self) -> Result<OpenAi, openai::Error>;
}

impl FakeClient for FakeOpenAi {
    fn openai(&self) -> Result<OpenAi, openai::Error> {
        OpenAi::builder().api_key(API_KEY).base_url(self.base_url()).build()
    }
}
