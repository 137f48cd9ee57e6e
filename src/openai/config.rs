//! The client's settings.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use super::address::{self, DEFAULT_BASE_URL, is_this_machine, parse_base_url, without_user_info};
use super::chat::Dialect;
use super::client::Inner;
use super::limits::Limits;
use super::secrets::Secrets;
use super::{ApiKey, Error, OpenAi, Protocol, Result};

impl OpenAi {
    /// A client with settings of your own.
    #[must_use]
    pub fn builder() -> OpenAiBuilder {
        OpenAiBuilder::default()
    }

    /// A client with the settings of the environment; see [`OpenAiBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] when there is no key, or a value cannot be used.
    pub fn from_env() -> Result<Self> {
        OpenAiBuilder::from_env()?.build()
    }
}

/// Settings of an [`OpenAi`] client.
///
/// A proxy is taken from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), except for a
/// server on this machine.
#[derive(Clone, Default)]
pub struct OpenAiBuilder {
    key: Option<ApiKey>,
    base_url: Option<String>,
    organization: Option<String>,
    project: Option<String>,
    protocol: Protocol,
    headers: Vec<(String, String)>,
    limits: Limits,
}

impl OpenAiBuilder {
    /// Reads the environment. An empty variable counts as unset.
    ///
    /// * `OPENAI_API_KEY`, or else `OPENAI_ACCESS_TOKEN`: the key
    /// * `OPENAI_BASE_URL`: the base URL
    /// * `OPENAI_ORG_ID`, or else `OPENAI_ORGANIZATION_ID`: the organization
    /// * `OPENAI_PROJECT_ID`: the project
    /// * `AI_ENGINE_PROTOCOL`: the [protocol](Self::protocol), by its name
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] when there is no key, or no protocol has that name.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    pub(super) fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| {
                lookup(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty())
            })
        };
        let key = first(&["OPENAI_API_KEY", "OPENAI_ACCESS_TOKEN"]).ok_or_else(|| {
            let message =
                "the environment has none: set OPENAI_API_KEY, or else OPENAI_ACCESS_TOKEN";
            Error::configuration("api_key", message)
        })?;
        Ok(Self {
            key: Some(key.into()),
            base_url: first(&["OPENAI_BASE_URL"]),
            organization: first(&["OPENAI_ORG_ID", "OPENAI_ORGANIZATION_ID"]),
            project: first(&["OPENAI_PROJECT_ID"]),
            protocol: first(&["AI_ENGINE_PROTOCOL"])
                .map_or(Ok(Protocol::default()), |name| name.parse())?,
            ..Self::default()
        })
    }

    /// The API key, sent as `Authorization: Bearer`. Without one no such header is sent, as suits a
    /// local server.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<ApiKey>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The base URL, version included. Default: `https://api.openai.com/v1`.
    ///
    /// A query (`…?api-version=v1`) is kept on every request, and shown nowhere.
    ///
    /// A user name and password in it are sent as basic authorization, unless there is an API key.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The organization to bill (`OpenAI-Organization`).
    #[must_use]
    pub fn organization(mut self, id: impl Into<String>) -> Self {
        self.organization = Some(id.into());
        self
    }

    /// The project requests belong to (`OpenAI-Project`).
    #[must_use]
    pub fn project(mut self, id: impl Into<String>) -> Self {
        self.project = Some(id.into());
        self
    }

    /// The protocol that the server is spoken to in. Default: [`Protocol::Responses`].
    #[must_use]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// A header for every request. It replaces a header of the same name, the client's own
    /// included.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Longest time to connect: name resolution, TCP and TLS. Default: 10 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.limits.connect_timeout = limit;
        self
    }

    /// Longest time without a byte from the server, the wait for the head of the answer included.
    /// Default: 2 minutes.
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.limits.idle_timeout = limit;
        self
    }

    /// Longest time of one attempt, from connecting to the last byte of the body. Default: 30
    /// minutes.
    #[must_use]
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.limits.total_timeout = limit;
        self
    }

    /// How often a failed request is tried again before its answer has begun. Default: 2.
    ///
    /// OpenAI has no idempotency key: a request repeated after a timeout may be executed twice.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.limits.max_retries = retries;
        self
    }

    /// The wait before a failed request is tried again for the first time. Each further one is twice as long, up to 16 times this
    /// and a minute, and up to a quarter is taken off by chance. A wait that the server asks for goes first, and a conversation on which another
    /// response is being written is waited for 1, 2 and 4 seconds. Default: 500 milliseconds.
    #[must_use]
    pub fn retry_delay(mut self, first: Duration) -> Self {
        self.limits.retry_delay = first;
        self
    }

    /// Most bytes of one event of a stream; the last one carries the whole response. Default: 32
    /// MiB.
    #[must_use]
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_event_bytes = bytes;
        self
    }

    /// Most bytes of an answer that is not streamed. Default: 64 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_body_bytes = bytes;
        self
    }

    /// Makes the client. No connection is opened yet.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] names the setting that cannot be used.
    pub fn build(self) -> Result<OpenAi> {
        self.check_limits()?;
        let mut url = parse_base_url(self.base_url.as_deref().unwrap_or(DEFAULT_BASE_URL))?;
        let mut public = url.clone();
        // A URL that may have a host may have (and lose) these two, so the results say nothing.
        let _ = public.set_username("");
        let _ = public.set_password(None);
        // A key in a query is none of an object's identity, nor is the version of the API.
        let query = public.query().map(str::to_owned);
        public.set_query(None);
        if self.key.is_some() {
            url = public.clone();
            url.set_query(query.as_deref());
        }
        let mut http = reqwest::Client::builder()
            .default_headers(self.header_map()?)
            .user_agent(concat!("ai-engine/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // The policy of `retry` is the only one; a hidden second one would execute calls more often than asked.
            .retry(reqwest::retry::never())
            .connect_timeout(self.limits.connect_timeout);
        if is_this_machine(&url) {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|error| Error::configuration("build", error.without_url().to_string()))?;
        let base_url = public.as_str().trim_end_matches('/').to_owned();
        let endpoint = match &self.project {
            Some(project) => format!("{base_url}#{project}"),
            None => base_url.clone(),
        };
        let secrets = self.secrets(&http, &url);
        let Self { key, organization, project, protocol, limits, .. } = self;
        Ok(OpenAi::from_inner(Inner {
            http,
            url,
            base_url,
            endpoint,
            organization,
            project,
            protocol,
            dialect: Dialect::default(),
            key,
            secrets,
            limits,
        }))
    }

    /// What of the settings must never be shown, in every form in which it is sent or written.
    fn secrets(&self, http: &reqwest::Client, url: &reqwest::Url) -> Secrets {
        let given = self.base_url.as_deref().and_then(address::user_info);
        let of_url = [Some(url.username()), url.password(), given].into_iter().flatten();
        let of_url = of_url.flat_map(|text| {
            let (user, password) = text.split_once(':').unwrap_or((text, ""));
            [text, user, password].map(str::to_owned)
        });
        // It is sent as what its percent-escapes mean.
        let of_url = of_url
            .flat_map(|text| [percent_decode_str(&text).decode_utf8_lossy().into_owned(), text]);
        // Some gateways want their key there. A version is none, and errors speak of it.
        let query = url.query_pairs().filter(|(name, _)| name != "api-version");
        let query = query.map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
        let key = self.key.iter().map(|key| key.expose().to_owned());
        let headers = self.headers.iter().flat_map(|(_, value)| parts_of_header(value));
        Secrets::new(
            key.chain(headers).chain(of_url).chain(query).chain(basic_authorization(http, url)),
        )
    }

    fn check_limits(&self) -> Result<()> {
        let limits = &self.limits;
        for (field, is_zero) in [
            ("connect_timeout", limits.connect_timeout.is_zero()),
            ("idle_timeout", limits.idle_timeout.is_zero()),
            ("total_timeout", limits.total_timeout.is_zero()),
            ("max_event_bytes", limits.max_event_bytes == 0),
            ("max_body_bytes", limits.max_body_bytes == 0),
        ] {
            if is_zero {
                return Err(Error::configuration(
                    field,
                    "it is zero, so that no call could succeed",
                ));
            }
        }
        Ok(())
    }

    fn header_map(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            if key.expose().is_empty() {
                return Err(Error::configuration(
                    "api_key",
                    "it is empty; leave it out for a server without keys",
                ));
            }
            headers.insert(AUTHORIZATION, value("api_key", &format!("Bearer {}", key.expose()))?);
        }
        for (field, name, id) in [
            ("organization", "openai-organization", &self.organization),
            ("project", "openai-project", &self.project),
        ] {
            if let Some(id) = id {
                headers.insert(HeaderName::from_static(name), value(field, id)?);
            }
        }
        for (name, text) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                Error::configuration("header", format!("{name:?} is no header name"))
            })?;
            headers.insert(name, value("header", text)?);
        }
        Ok(headers)
    }
}

impl fmt::Debug for OpenAiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OpenAiBuilder")
            .field("api_key", &self.key)
            .field("base_url", &self.base_url.as_deref().map(without_user_info))
            .field("organization", &self.organization)
            .field("project", &self.project)
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .field("limits", &self.limits)
            .finish()
    }
}

/// What is sent for the user name and password of a URL: their base64, with which a server may echo them.
fn basic_authorization(http: &reqwest::Client, url: &reqwest::Url) -> Option<String> {
    let request = http.get(url.clone()).build().ok()?;
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (_, base64) = value.split_once(' ')?;
    Some(base64.trim_end_matches('=').to_owned())
}

/// A header's value, and what of it may be echoed alone: without the scheme of `Bearer …`, and the values of
/// `Token token="…"` and of cookies.
fn parts_of_header(value: &str) -> Vec<String> {
    let mut parts = vec![value, value.split_once(' ').map_or("", |(_, rest)| rest)];
    for pair in value.split([' ', ';', ',']) {
        parts.extend(pair.split_once('=').map(|(_, value)| value.trim_matches('"')));
    }
    parts.into_iter().map(str::to_owned).collect()
}

/// A header's value. All are marked as sensitive, because gateways put keys into headers of their
/// own; for the same reason the error does not show it.
fn value(field: &'static str, text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Error::configuration(field, "it has characters that an HTTP header cannot carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
