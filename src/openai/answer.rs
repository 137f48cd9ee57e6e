//! An answer whose head has arrived: its body, in bounds of size and time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::stream;
use reqwest::header::CONTENT_ENCODING;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::body::{Body, FirstLines};
use super::lenient::{self, Object};
use super::limits::{Limits, MAX_ERROR_BODY};
use super::secrets::Secrets;
use super::{ApiError, Error, Response, Result};

/// The time limits of one attempt: silence, and the whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    idle: Duration,
    total: Duration,
    started: Instant,
}

impl Clock {
    pub(super) fn start(limits: &Limits) -> Self {
        Self { idle: limits.idle_timeout, total: limits.total_timeout, started: Instant::now() }
    }

    /// Waits for `future`, which stands for the next sign of the server.
    pub(super) async fn limit<F: Future>(
        &self,
        what: &'static str,
        future: F,
    ) -> Result<F::Output> {
        let mut future = pin!(future);
        // What is there already needs no look at the clock.
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Ok(output);
        }
        let left = self.total.saturating_sub(self.started.elapsed());
        let (wait, limit, setting) = if self.idle <= left {
            (self.idle, self.idle, "idle_timeout")
        } else {
            (left, self.total, "total_timeout")
        };
        timeout(wait, future).await.map_err(|_| Error::Timeout { what, limit, setting })
    }
}

/// An answer and what its reading needs. Dropping it closes the connection unless the body was read
/// to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: reqwest::Response,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) secrets: Secrets,
    /// The beginning of the body, which was looked at.
    pub(super) begun: Option<Bytes>,
}

impl Answer {
    pub(super) fn request_id(&self) -> Option<String> {
        let id = self.response.headers().get("x-request-id")?.to_str().ok()?;
        let id = self.secrets.redact(id);
        Some(lenient::bounded(&id, 256))
    }

    /// The codings of the body, if it has any: none was asked for, and none is understood. Names that mean none, and those
    /// of a plain text's characters, which some gateways put there, are no codings.
    pub(super) fn coding(&self) -> Option<String> {
        let values = self.response.headers().get_all(CONTENT_ENCODING).iter();
        let names = values.flat_map(|value| value.to_str().unwrap_or("unreadable").split(','));
        let names = names.map(|name| name.trim().to_ascii_lowercase());
        let plain = ["", "identity", "none", "utf-8", "utf8", "plain"];
        let codings: Vec<_> = names.filter(|name| !plain.contains(&name.as_str())).collect();
        (!codings.is_empty()).then(|| lenient::bounded(&codings.join(", "), 64))
    }

    /// The error of an answer in a coding that was not asked for.
    fn coded(coding: &str) -> Error {
        let message = format!(
            "its content-encoding is {coding:?}, though none was asked for; have the server or its gateway send it plain"
        );
        Error::malformed("the answer", message, "")
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(begun) = self.begun.take() {
            return Ok(Some(begun));
        }
        let chunk = self
            .clock
            .limit("waiting for the next bytes of the answer", self.response.chunk())
            .await?;
        chunk.map_err(|error| Error::Disconnected {
            message: "the answer broke off".to_owned(),
            source: Some(Box::new(error.without_url())),
        })
    }

    /// The body as it arrives.
    pub(super) fn into_chunks(self) -> impl Stream<Item = Result<Bytes>> + Send {
        stream::unfold(Some(self), async |answer| {
            let mut answer = answer?;
            match answer.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(answer))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn body(&mut self) -> Result<Vec<u8>> {
        let limit = self.limits.max_body_bytes;
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(Error::TooLarge {
                    what: "the answer",
                    limit,
                    setting: "max_body_bytes",
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The body as a JSON object.
    pub(super) async fn into_object(mut self) -> Result<Object> {
        if let Some(coding) = self.coding() {
            return Err(Self::coded(&coding));
        }
        let body = self.body().await?;
        object_of(&body, self.request_id(), &self.secrets)
    }

    /// What the body is, whatever it is called: found out from its first lines, of which none is lost.
    pub(super) async fn look(&mut self) -> Result<Body> {
        if let Some(coding) = self.coding() {
            return Err(Self::coded(&coding));
        }
        let mut lines = FirstLines::default();
        let body = loop {
            if let Some(body) = lines.look() {
                break body;
            }
            match self.chunk().await? {
                Some(chunk) => lines.begun.extend_from_slice(&chunk),
                None => break lines.at_end(),
            }
        };
        // What stands before an object is for nobody.
        let begun =
            if body == Body::Json { lines.begun.split_off(lines.from) } else { lines.begun };
        self.begun = Some(begun.into()).filter(|begun: &Bytes| !begun.is_empty());
        Ok(body)
    }

    /// The beginning of a body that cannot be used, as an error.
    pub(super) async fn into_malformed(mut self, message: String) -> Error {
        let text = self.beginning().await;
        let text = self.secrets.redact(&text);
        Error::malformed("the answer", message, &text)
    }

    /// The error a refused request amounts to. A body that breaks off or does not come still leaves
    /// the status.
    pub(super) async fn into_error(mut self) -> Error {
        let body = match self.coding() {
            None => self.beginning().await,
            Some(coding) => format!("its text cannot be read: its content-encoding is {coding:?}"),
        };
        ApiError::from_answer(self.response.status(), self.response.headers(), &body, &self.secrets)
            .into()
    }

    async fn beginning(&mut self) -> String {
        let mut body = Vec::new();
        while body.len() < MAX_ERROR_BODY {
            let Ok(Some(chunk)) = self.chunk().await else {
                break;
            };
            body.extend_from_slice(&chunk);
        }
        body.truncate(MAX_ERROR_BODY);
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Reads a short body, so that the connection can be used again; what it says does not matter.
    pub(super) async fn discard(mut self) {
        self.beginning().await;
    }
}

/// Reads a body as a JSON object.
pub(super) fn object_of(
    body: &[u8],
    request_id: Option<String>,
    secrets: &Secrets,
) -> Result<Object> {
    let malformed = |message: String| {
        let text = String::from_utf8_lossy(body);
        let text = secrets.redact(&text);
        Error::malformed("the answer", message, &text)
    };
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match lenient::parse(body) {
        Ok(Value::Object(object))
            if object.contains_key("detail") && !object.contains_key("id") =>
        {
            Err(malformed("it is an error without the status of one".to_owned()))
        }
        // Some gateways report errors with status 200.
        Ok(Value::Object(object)) if is_error(&object) => {
            let mut error = ApiError::from_object(&object);
            error.request_id = request_id;
            Err(error.finish(secrets).into())
        }
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed("it is no JSON object".to_owned())),
        Err(error) => Err(malformed(error.to_string())),
    }
}

/// Whether an object is an error, and not a response or an item that has one.
fn is_error(object: &Object) -> bool {
    if Response::is_meant(object) {
        return false;
    }
    let is_item = object.contains_key("id")
        && lenient::text(object, "type").is_some_and(|kind| kind != "error");
    let has_error = object.get("error").is_some_and(|error| !error.is_null());
    has_error && !is_item || ApiError::is_meant(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(idle: u64, total: u64) -> Clock {
        Clock {
            idle: Duration::from_secs(idle),
            total: Duration::from_secs(total),
            started: Instant::now(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_limited_by_the_idle_timeout() {
        let started = Instant::now();
        let error =
            clock(120, 1800).limit("waiting", std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 120);
        assert!(matches!(error, Error::Timeout { setting: "idle_timeout", .. }), "{error}");
        assert!(error.to_string().contains("120s"));
    }

    #[tokio::test(start_paused = true)]
    async fn steady_bytes_are_limited_by_the_total_timeout() {
        let clock = clock(120, 300);
        for _ in 0..2 {
            clock.limit("waiting", tokio::time::sleep(Duration::from_secs(119))).await.unwrap();
        }
        let error =
            clock.limit("waiting", tokio::time::sleep(Duration::from_secs(119))).await.unwrap_err();
        assert_eq!(clock.started.elapsed().as_secs(), 300);
        assert!(matches!(error, Error::Timeout { setting: "total_timeout", .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_limit_is_possible() {
        let clock = Clock { idle: Duration::MAX, total: Duration::MAX, started: Instant::now() };
        assert_eq!(clock.limit("waiting", async { 1 }).await.unwrap(), 1);
    }
}
