//! The client: one set of settings, one connection pool, and the way every request goes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, Url};
use tracing::{Instrument, debug, debug_span};

use super::answer::{Answer, Clock};
use super::assistants::Assistants;
use super::chat::{ChatCompletions, Dialect};
use super::lenient::Object;
use super::limits::Limits;
use super::optional::Refused;
use super::retry::backoff;
use super::secrets::Secrets;
use super::{ApiKey, Conversations, Error, Protocol, Responses, Result};

/// A client of OpenAI, or of a server that speaks its protocol.
///
/// Clones are cheap and share one connection pool. Its `Debug` form shows no secret.
#[derive(Clone)]
pub struct OpenAi {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    /// Where requests go; may hold a user name and password.
    pub(super) url: Url,
    /// The same without them, its query and a slash at the end.
    pub(super) base_url: String,
    pub(super) endpoint: String,
    pub(super) organization: Option<String>,
    pub(super) project: Option<String>,
    pub(super) protocol: Protocol,
    /// What the server was found to take of Chat Completions.
    pub(super) dialect: Dialect,
    /// What it was found to refuse, of what it need not know.
    pub(super) refused: Refused,
    pub(super) key: Option<ApiKey>,
    pub(super) secrets: Secrets,
    pub(super) limits: Limits,
}

impl OpenAi {
    /// A client of OpenAI with this key and the defaults.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] when the key is empty or cannot be sent in a header.
    pub fn new(api_key: impl Into<ApiKey>) -> Result<Self> {
        Self::builder().api_key(api_key).build()
    }

    pub(super) fn from_inner(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Calls of a model.
    pub(crate) fn responses(&self) -> Responses<'_> {
        Responses::of(self)
    }

    /// Conversations and their items.
    pub(crate) fn conversations(&self) -> Conversations<'_> {
        Conversations::of(self)
    }

    /// Chat completions.
    pub(crate) fn chat_completions(&self) -> ChatCompletions<'_> {
        ChatCompletions::of(self)
    }

    /// Assistants, threads and runs.
    pub(crate) fn assistants(&self) -> Assistants<'_> {
        Assistants::of(self)
    }

    /// The base URL, without user name, password, query and a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.inner.base_url
    }

    /// The organization requests are billed to, when one is set.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        self.inner.organization.as_deref()
    }

    /// The project requests belong to, when one is set.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.inner.project.as_deref()
    }

    /// The protocol that the server is spoken to in.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.inner.protocol
    }

    pub(super) fn dialect(&self) -> &Dialect {
        &self.inner.dialect
    }

    pub(super) fn refused(&self) -> &Refused {
        &self.inner.refused
    }

    /// Whether this is OpenAI itself (`api.openai.com`, or a region of it such as
    /// `eu.api.openai.com`).
    #[must_use]
    pub fn is_openai(&self) -> bool {
        let host = self.inner.url.host_str().unwrap_or_default();
        host == "api.openai.com" || host.ends_with(".api.openai.com")
    }

    /// Host and port that requests go to.
    pub(crate) fn server(&self) -> Option<(&str, Option<u16>)> {
        let url = &self.inner.url;
        url.host_str().map(|host| (host, url.port_or_known_default()))
    }

    /// The identity under which ids of remote objects are to be stored: the base URL, followed by
    /// `#` and the project when one is set. An id means nothing at another endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.inner.endpoint
    }

    /// The wait before the first try again.
    pub(crate) fn retry_delay(&self) -> Duration {
        self.inner.limits.retry_delay
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> Option<&ApiKey> {
        self.inner.key.as_ref()
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.inner.secrets
    }

    /// A request to a path below the base URL, with the query of it if it has one. Each segment is percent-encoded, so an id cannot
    /// change the path.
    pub(super) fn call(&self, method: Method, path: &[&str]) -> Result<Call> {
        if let Some(segment) = path.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
            // A URL treats these as no segment at all: the request would reach the parent.
            return Err(Error::Invalid { what: "an id", message: format!("{segment:?} is no id") });
        }
        let mut url = self.inner.url.clone();
        url.path_segments_mut()
            .map_err(|()| Error::configuration("base_url", "it cannot have a path"))?
            .pop_if_empty()
            .extend(path);
        Ok(Call {
            method,
            url,
            body: None,
            accept: "application/json",
            beta: None,
            careful: false,
            tries: Arc::default(),
        })
    }

    /// Sends a request until the head of a good answer is there, with the retries the settings
    /// allow.
    pub(super) async fn send(&self, call: Call) -> Result<Answer> {
        let span = debug_span!("openai", method = %call.method, path = call.url.path());
        async {
            let mut attempt = 0;
            loop {
                let error = match self.attempt(&call, attempt).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                let may_repeat = !call.careful || error.may_be_repeated_as_it_is();
                let delay = if attempt < self.inner.limits.max_retries && may_repeat {
                    backoff(attempt, &error, self.retry_delay())
                } else {
                    None
                };
                let Some(delay) = delay else {
                    return Err(error);
                };
                let reason = error.class();
                debug!(
                    attempt,
                    delay_ms = delay.as_millis(),
                    reason,
                    "failed, will be tried again"
                );
                tokio::time::sleep(delay).await;
                attempt += 1;
            }
        }
        .instrument(span)
        .await
    }

    async fn attempt(&self, call: &Call, attempt: u32) -> Result<Answer> {
        let Inner { http, limits, secrets, .. } = &*self.inner;
        let mut request =
            http.request(call.method.clone(), call.url.clone()).header(ACCEPT, call.accept);
        // A compressed stream would come in lumps, and no decoder is on board.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(beta) = call.beta {
            request = request.header("openai-beta", beta);
        }
        call.tries.fetch_add(1, Ordering::Relaxed);
        let clock = Clock::start(limits);
        let sent = clock.limit("waiting for the head of the answer", request.send()).await?;
        let response = sent.map_err(|error| self.not_sent(error))?;
        let answer =
            Answer { response, clock, limits: *limits, secrets: secrets.clone(), begun: None };
        let status = answer.response.status();
        debug!(attempt, status = status.as_u16(), request_id = answer.request_id(), "answered");
        if status.is_success() { Ok(answer) } else { Err(answer.into_error().await) }
    }

    fn not_sent(&self, error: reqwest::Error) -> Error {
        // The URL may hold a password.
        let error = error.without_url();
        if error.is_connect() && error.is_timeout() {
            let limit = self.inner.limits.connect_timeout;
            Error::Timeout { what: "connecting", limit, setting: "connect_timeout" }
        } else if error.is_connect() {
            Error::Connect { base_url: self.inner.base_url.clone(), source: Box::new(error) }
        } else if error.is_builder() {
            Error::configuration("base_url", format!("no request can be built from it: {error}"))
        } else {
            let message = "it closed before the head of the answer".to_owned();
            Error::Disconnected { message, source: Some(Box::new(error)) }
        }
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "not set".to_owned());
        f.debug_struct("OpenAi")
            .field("base_url", &self.inner.base_url)
            .field("api_key", &if self.inner.key.is_some() { "[redacted]" } else { "not set" })
            .field("organization", &shown(&self.inner.organization))
            .field("project", &shown(&self.inner.project))
            .field("protocol", &self.inner.protocol)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

/// One request, which can be sent more than once.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    url: Url,
    body: Option<Bytes>,
    accept: &'static str,
    /// What is asked for that is no part of the API otherwise (`OpenAI-Beta`).
    beta: Option<&'static str>,
    /// Repeat it only when the provider surely did nothing with it.
    careful: bool,
    /// Counts the requests.
    tries: Arc<AtomicU32>,
}

impl Call {
    pub(super) fn json(mut self, body: &Object) -> Self {
        // A map of JSON values always has a text.
        self.body = Some(serde_json::to_vec(body).unwrap_or_default().into());
        self
    }

    pub(super) fn query(mut self, pairs: &[(&str, String)]) -> Self {
        if !pairs.is_empty() {
            self.url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    pub(super) fn counted(mut self, careful: bool, tries: Arc<AtomicU32>) -> Self {
        self.tries = tries;
        self.careful(careful)
    }

    pub(super) const fn careful(mut self, careful: bool) -> Self {
        self.careful = careful;
        self
    }

    pub(super) fn beta(mut self, name: &'static str) -> Self {
        self.beta = Some(name);
        self
    }

    pub(super) fn stream(mut self) -> Self {
        self.accept = "text/event-stream";
        self
    }
}
