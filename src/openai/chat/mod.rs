//! The Chat Completions API. It keeps nothing: each request has all that was said, and there is nothing to read, list or delete.

mod calls;
mod chunk;
mod dialect;
mod form;
mod piece;
mod reader;
mod request;
mod stream;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use reqwest::Method;

use super::optional::Optional;
use super::{OpenAi, Result};
use dialect::Dialects;

pub(super) use dialect::Dialect;
pub(crate) use reader::{Completion, Part, Piece};
pub(crate) use request::CreateChatCompletion;
pub(crate) use stream::{ChatEvent, ChatStream};

/// Chat completions: calls of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChatCompletions<'c> {
    client: &'c OpenAi,
}

impl<'c> ChatCompletions<'c> {
    pub(super) const fn of(client: &'c OpenAi) -> Self {
        Self { client }
    }

    /// Calls a model and streams what it says, counting the requests. Failed attempts are repeated as the settings allow, until
    /// the provider has accepted the request. A parameter that the server does not know by one name is sent by the other, or left
    /// out, and the client remembers it.
    pub(crate) async fn stream(
        &self,
        request: &CreateChatCompletion,
        tries: &Arc<AtomicU32>,
    ) -> Result<ChatStream> {
        let mut dialects = Dialects::of(self.client.dialect(), self.client.is_openai());
        let mut optional = Optional::of(&request.optional, self.client.refused());
        loop {
            let mut body = request.body(dialects.now())?;
            optional.add_to(&mut body);
            let call = self.client.call(Method::POST, &["chat", "completions"])?.json(&body);
            let call = call.stream().counted(false, Arc::clone(tries));
            match self.client.send(call).await {
                Ok(answer) => {
                    dialects.remember();
                    optional.remember();
                    return ChatStream::open(answer).await;
                }
                Err(error) => {
                    optional.go_on_after(error).or_else(|error| dialects.go_on_after(error))?;
                }
            }
        }
    }
}

#[cfg(test)]
mod reader_end_tests;
#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod tests;
