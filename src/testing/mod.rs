//! A fake `OpenAI` service inside your own process, for tests and for trying things without a key.
//!
//! It is the crate [`openai_fake`], whose pages say how to script it; [`FakeClient`] makes a client of it. [`conformance`] is for
//! a server of your own: what holds for every server, as cases to run against it.
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

pub mod conformance;

pub use openai_fake::{API_KEY, Error, ErrorEvent, FakeOpenAi, Gate, Input, Reply, Request};

use std::time::Duration;

use crate::openai::{self, OpenAi, OpenAiBuilder};

/// A client of the fake. The [prelude](crate::prelude) has it.
pub trait FakeClient {
    /// A client of this server. What fails is tried again as often as elsewhere, but after a millisecond instead of half a second.
    /// A wait that a reply asks for (`retry-after`) it keeps, and it waits a second for a conversation that is busy.
    ///
    /// # Errors
    ///
    /// When the HTTP client cannot be built, which is a matter of the machine's TLS certificates.
    fn openai(&self) -> Result<OpenAi, openai::Error>;

    /// The settings of that client, for more of your own.
    fn openai_builder(&self) -> OpenAiBuilder;
}

impl FakeClient for FakeOpenAi {
    fn openai(&self) -> Result<OpenAi, openai::Error> {
        self.openai_builder().build()
    }

    fn openai_builder(&self) -> OpenAiBuilder {
        let builder = OpenAi::builder().api_key(API_KEY).base_url(self.base_url());
        builder.retry_delay(Duration::from_millis(1))
    }
}
