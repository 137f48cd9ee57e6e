//! The provider's own error, read leniently from the many shapes servers use.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::fault::Fault;
use super::lenient::{self, Object, bounded};
use super::secrets::Secrets;

/// Longest message kept, in bytes: an error page can be large, and the text goes into logs and
/// tables.
const MAX_MESSAGE: usize = 2048;
/// Longest short field (type, code, parameter, request id) kept, in bytes.
const MAX_FIELD: usize = 256;

/// An error the provider sent: the answer to a request, or an event in a stream.
///
/// The API key is replaced by `[redacted]` in every text. Source of the fields: OpenAI's API
/// description, schemas `Error` and `ResponseErrorEvent`; other servers leave some of them out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiError {
    /// The HTTP status; inside a stream, the one that the error names, or the one that goes with its code or type.
    /// `None` when neither is known.
    pub status: Option<u16>,
    /// The provider's text, at most 2 KiB. Never empty.
    pub message: String,
    /// The provider's `type`, such as `invalid_request_error`.
    pub kind: Option<String>,
    /// The provider's `code`, such as `rate_limit_exceeded`. A number is kept in decimal.
    pub code: Option<String>,
    /// The request's parameter that is at fault.
    pub param: Option<String>,
    /// The provider's id of the request (`x-request-id`), for its support.
    pub request_id: Option<String>,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the provider wants the call to be tried again (`x-should-retry`).
    pub should_retry: Option<bool>,
}

impl ApiError {
    /// Whether the same call may succeed when sent again; see
    /// [`Error::is_retryable`](super::Error::is_retryable).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        if self.is_quota_exhausted() {
            return false;
        }
        if let Some(should_retry) = self.should_retry {
            return should_retry;
        }
        match self.status.or_else(|| self.named_status()) {
            _ if self.is_conversation_locked() => true,
            Some(status) => matches!(status, 408 | 409 | 429) || status >= 500,
            None => false,
        }
    }

    /// Whether a quota, a credit balance or a spending limit is used up: only the account's owner
    /// can change that.
    #[must_use]
    pub fn is_quota_exhausted(&self) -> bool {
        self.words().any(|word| Fault::of_word(word) == Some(Fault::Quota))
    }

    /// Whether another response is being written to the conversation (HTTP 400, code
    /// `conversation_locked`).
    #[must_use]
    pub fn is_conversation_locked(&self) -> bool {
        self.code.as_deref() == Some("conversation_locked")
    }

    /// Whether nothing but the path can be meant: the server has no word of the API's own for it.
    pub(crate) fn is_about_the_path(&self) -> bool {
        let bare = ["", "not found", "method not allowed", "the provider gave no reason"];
        let message = self.message.trim().trim_end_matches('.').to_ascii_lowercase();
        let names_the_url = message.contains("invalid url") || message.contains("no route");
        self.param.is_none()
            && (bare.contains(&message.as_str())
                || names_the_url
                || message.starts_with("404") && message.len() < 40
                || message.starts_with("cannot post")
                || message.starts_with('<'))
    }

    /// Its code, and then its type: the code says more.
    fn words(&self) -> impl Iterator<Item = &String> {
        [&self.code, &self.kind].into_iter().flatten()
    }

    /// Reads the answer to a refused request.
    pub(super) fn from_answer(
        status: StatusCode,
        headers: &HeaderMap,
        body: &str,
        secrets: &Secrets,
    ) -> Self {
        let mut error = match lenient::parse(body.as_bytes()) {
            Ok(Value::Object(object)) => Self::from_object(&object),
            Ok(Value::String(message)) => Self { message, ..Self::default() },
            // An HTML page says nothing that its status does not say.
            _ if body.trim_start().starts_with('<') => Self::default(),
            _ => Self { message: lenient::without_nul(body.trim()), ..Self::default() },
        };
        if status.is_redirection() {
            let target = header(headers, "location").unwrap_or("an address it does not name");
            error.message = format!(
                "the server redirects to {}; redirects are not followed, set `base_url` to the final address",
                super::address::without_user_info(target)
            );
        }
        // The answer's own, whatever its body says.
        error.status = Some(status.as_u16());
        error.request_id = header(headers, "x-request-id").map(str::to_owned);
        error.retry_after = retry_after(headers);
        error.should_retry = header(headers, "x-should-retry").and_then(|text| text.parse().ok());
        error.finish(secrets)
    }

    /// Reads an error in any of its shapes: `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}`,
    /// or flat.
    pub(super) fn from_object(object: &Object) -> Self {
        let source = lenient::object(object, "error").unwrap_or(object);
        let message = [source.get("message"), object.get("error"), object.get("detail")]
            .into_iter()
            .flatten()
            .find_map(|value| match value {
                Value::Null => None,
                Value::String(text) if text.is_empty() => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            });
        Self {
            message: message.unwrap_or_else(|| {
                if object.is_empty() {
                    String::new()
                } else {
                    Value::Object(object.clone()).to_string()
                }
            }),
            // The flat shapes use `type` for the event or object itself.
            kind: lenient::owned_text(source, "type").filter(|kind| kind != "error"),
            code: match source.get("code") {
                Some(Value::String(code)) => Some(code.clone()),
                Some(Value::Number(code)) => Some(code.to_string()),
                _ => None,
            }
            .filter(|code| status_of(code).is_none()),
            status: status_in(source).or_else(|| status_in(object)),
            param: lenient::owned_text(source, "param"),
            ..Self::default()
        }
    }

    /// An error inside a stream: it has the status that the same error has as an answer.
    pub(super) fn in_stream(mut self) -> Self {
        self.status = self.status.or_else(|| self.named_status());
        self
    }

    /// The status that an error of this code, or else of this type, has as an answer.
    fn named_status(&self) -> Option<u16> {
        self.words().find_map(|word| Fault::of_word(word)?.status())
    }

    /// Whether an object is an error by its looks, though it is not marked as one: the forms that servers have beside
    /// `{"error": …}`.
    pub(super) fn is_meant(object: &Object) -> bool {
        let has = |name| lenient::text(object, name).is_some_and(|text| !text.is_empty());
        let word = |name| lenient::text(object, name).unwrap_or_default();
        let kind = word("type");
        if word("object") == "error" || is_error_word(kind) {
            return has("message") || has("detail");
        }
        if kind.is_empty() && has("message") {
            let code = lenient::text(object, "code").is_some_and(|code| !code.is_empty());
            return code
                || status_in(object).is_some()
                || matches!(word("status"), "error" | "failed");
        }
        has("message") && status_in(object).is_some()
            || kind.is_empty() && object.get("detail").is_some_and(|detail| !detail.is_null())
    }

    /// Redacts the secrets, then bounds every text; in this order, so that no half of a key is left at
    /// a cut.
    pub(super) fn finish(mut self, secrets: &Secrets) -> Self {
        let clean = |text: &str, max| {
            let text = secrets.redact(text);
            bounded(&text.replace('\0', "\u{fffd}"), max)
        };
        self.message = clean(&self.message, MAX_MESSAGE);
        for field in [&mut self.kind, &mut self.code, &mut self.param, &mut self.request_id] {
            *field =
                field.as_deref().filter(|text| !text.is_empty()).map(|text| clean(text, MAX_FIELD));
        }
        if self.message.is_empty() {
            "the provider gave no reason".clone_into(&mut self.message);
        }
        self
    }

    fn hint(&self) -> Option<&'static str> {
        match self.status {
            _ if self.is_quota_exhausted() => Some("raise the account's limit or add credit"),
            Some(401) => Some("check the API key"),
            Some(403) => Some("check what the key, project and country may use"),
            Some(404 | 405) if self.is_about_the_path() => Some(
                "the server does not have this address: check `base_url`, and that it speaks the client's `protocol`",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status.map(StatusCode::from_u16) {
            Some(Ok(status)) => write!(f, "the provider answered HTTP {status}: {}", self.message)?,
            _ => write!(f, "the provider reported an error: {}", self.message)?,
        }
        for (name, value) in [
            ("type", &self.kind),
            ("code", &self.code),
            ("parameter", &self.param),
            ("request id", &self.request_id),
        ] {
            if let Some(value) = value {
                write!(f, "; {name} {value}")?;
            }
        }
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for ApiError {}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The HTTP status of an error that a number is.
fn status_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (400..600).contains(status))
}

/// The HTTP status that an error says it has.
fn status_in(object: &Object) -> Option<u16> {
    ["code", "status", "status_code"].into_iter().find_map(|name| match object.get(name)? {
        Value::String(text) => status_of(text),
        Value::Number(number) => status_of(&number.to_string()),
        _ => None,
    })
}

/// Whether a `type` names an error. The types of the events of a response have a dot.
fn is_error_word(kind: &str) -> bool {
    !kind.contains('.')
        && (Fault::of_word(kind).is_some() || kind.to_ascii_lowercase().ends_with("error"))
}

/// A delay, or the time until a date by the server's own clock, if it tells that, else by ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    // What is no delay, such as a negative one, hides none that is.
    let delay = |name, unit: f64| {
        let number: f64 = header(headers, name)?.trim().parse().ok()?;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    if let Some(delay) = delay("retry-after-ms", 0.001).or_else(|| delay("retry-after", 1.0)) {
        return Some(delay);
    }
    let date = |name| header(headers, name).and_then(http_date);
    let now = date("date").unwrap_or_else(Utc::now);
    // What has passed is no wish to wait.
    (date("retry-after")? - now).to_std().ok()
}

/// A date in any of the three forms of HTTP (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    let old = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let read = |form| NaiveDateTime::parse_from_str(text, form).ok();
    old.into_iter().find_map(read).map(|date| date.and_utc())
}

#[cfg(test)]
#[path = "api_error_tests.rs"]
mod tests;
