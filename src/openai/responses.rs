//! Calls of a model.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use reqwest::Method;

use super::client::Call;
use super::optional::Optional;
use super::{CreateResponse, OpenAi, Response, ResponseStream, Result};

/// The responses at the provider: calls of a model. See [`Responses::of`].
///
/// Every call fails as [`Error`](super::Error) says. Dropping a call's future closes its
/// connection; whether the provider acted by then is unknown.
#[derive(Debug, Clone, Copy)]
pub struct Responses<'c> {
    client: &'c OpenAi,
}

impl<'c> Responses<'c> {
    /// The responses that this client reaches.
    #[must_use]
    pub const fn of(client: &'c OpenAi) -> Self {
        Self { client }
    }
}

impl Responses<'_> {
    /// Calls a model and waits for the whole response.
    ///
    /// Nothing arrives until the model is done, so long answers need a longer
    /// [`idle_timeout`](super::OpenAiBuilder::idle_timeout), or better [`stream`](Self::stream). A
    /// response that failed or is incomplete is no error here: see its status.
    ///
    /// # Errors
    ///
    /// When no response was created, or its answer did not arrive.
    pub async fn create(&self, request: &CreateResponse) -> Result<Response> {
        let call = self.client.call(Method::POST, &["responses"])?.json(&request.body(false)?);
        self.response(call).await
    }

    /// Calls a model and streams the response as it is written.
    ///
    /// Failed attempts are repeated only until the provider has accepted the request; never once
    /// events arrive.
    ///
    /// # Errors
    ///
    /// When the provider does not accept the request.
    pub async fn stream(&self, request: &CreateResponse) -> Result<ResponseStream> {
        let call = self.client.call(Method::POST, &["responses"])?.json(&request.body(true)?);
        ResponseStream::open(self.client.send(call.stream()).await?).await
    }

    /// [`stream`](Self::stream), counting the requests. `careful`: repeated only when the provider surely did nothing with
    /// it, for a caller that can find out what became of the call otherwise. What the server may refuse is left out when it does,
    /// and the client remembers it.
    pub(crate) async fn stream_counted(
        &self,
        request: &CreateResponse,
        careful: bool,
        tries: &Arc<AtomicU32>,
    ) -> Result<ResponseStream> {
        let mut optional = Optional::of(&request.optional, self.client.refused());
        loop {
            let mut body = request.body(true)?;
            optional.add_to(&mut body);
            let call = self.client.call(Method::POST, &["responses"])?.json(&body);
            let call = call.stream().counted(careful, Arc::clone(tries));
            match self.client.send(call).await {
                Ok(answer) => {
                    optional.remember();
                    return ResponseStream::open(answer).await;
                }
                Err(error) => optional.go_on_after(error)?,
            }
        }
    }

    /// Streams the rest of a background response that was created as a stream: the events after the
    /// one numbered `after`, or all of them. Source: OpenAI's API description, `GET
    /// /responses/{response_id}`.
    ///
    /// # Errors
    ///
    /// When the provider does not know the response ([`is_not_found`](super::Error::is_not_found))
    /// or cannot stream it.
    pub async fn resume(&self, response_id: &str, after: Option<i64>) -> Result<ResponseStream> {
        let mut query = vec![("stream", "true".to_owned())];
        query.extend(after.map(|number| ("starting_after", number.to_string())));
        let call = self.client.call(Method::GET, &["responses", response_id])?.query(&query);
        ResponseStream::open(self.client.send(call.stream()).await?).await
    }

    /// Reads a stored response.
    ///
    /// # Errors
    ///
    /// When the provider does not know it ([`is_not_found`](super::Error::is_not_found)), or the
    /// call fails.
    pub async fn retrieve(&self, response_id: &str) -> Result<Response> {
        self.response(self.client.call(Method::GET, &["responses", response_id])?).await
    }

    /// Cancels a background response and returns it as it is then. Others are cancelled by dropping
    /// their stream.
    ///
    /// # Errors
    ///
    /// When the response is unknown or does not run in the background, or the call fails.
    pub async fn cancel(&self, response_id: &str) -> Result<Response> {
        self.response(self.client.call(Method::POST, &["responses", response_id, "cancel"])?).await
    }

    /// Deletes a stored response.
    ///
    /// # Errors
    ///
    /// When the call fails. An unknown response is an error too, with
    /// [`is_not_found`](super::Error::is_not_found).
    pub async fn delete(&self, response_id: &str) -> Result<()> {
        let call = self.client.call(Method::DELETE, &["responses", response_id])?;
        self.client.send(call).await?.discard().await;
        Ok(())
    }

    async fn response(&self, call: Call) -> Result<Response> {
        let object = self.client.send(call).await?.into_object().await?;
        Ok(Response::from_object(object, self.client.secrets()))
    }
}
