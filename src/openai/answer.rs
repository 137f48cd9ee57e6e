//! An answer whose head has arrived: its body, in bounds of size and time.

use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::stream;
use reqwest::header::CONTENT_ENCODING;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::lenient::{self, Object};
use super::secrets::Secrets;
use super::{ApiError, Error, Response, Result, config::Limits};

/// Most bytes read of an error's body; the message kept of it is shorter still.
const MAX_ERROR_BODY: usize = 64 << 10;

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

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Server-sent events.
    Events,
    Json,
    /// A page, a text, or nothing.
    Other,
}

/// The lines with which a body begins, until they tell what it is. A text of words is no stream of events, though some words
/// begin as the fields of an event do.
#[derive(Default)]
struct FirstLines {
    begun: Vec<u8>,
    /// Where the first line begins that was not looked at, or not whole then.
    from: usize,
    /// There were lines that events may have before their data: comments, ids, delays.
    may_be_events: bool,
    /// There were lines that are neither these nor blank.
    has_text: bool,
}

impl FirstLines {
    /// `None`: the next bytes tell.
    fn look(&mut self) -> Option<Body> {
        let mark = b"\xEF\xBB\xBF";
        if self.from == 0 {
            if self.begun.len() < mark.len() && mark.starts_with(&self.begun) {
                return None;
            }
            self.from = if self.begun.starts_with(mark) { mark.len() } else { 0 };
        }
        loop {
            let rest = self.begun.get(self.from..).unwrap_or_default();
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if line.starts_with(b"data:") || line.starts_with(b"event:") {
                return Some(Body::Events);
            }
            if !self.has_text && matches!(line.trim_ascii_start().first(), Some(b'{' | b'[')) {
                return Some(Body::Json);
            }
            let Some(end) = end else {
                return (self.begun.len() > MAX_ERROR_BODY).then(|| self.at_end());
            };
            let neutral = [b":".as_slice(), b"id:", b"retry:"];
            if neutral.iter().any(|start| line.trim_ascii_start().starts_with(start)) {
                self.may_be_events = true;
            } else if !line.trim_ascii().is_empty() {
                self.has_text = true;
            }
            self.from += end + 1;
        }
    }

    /// What a body is that has said no more than this.
    fn at_end(&self) -> Body {
        let rest = self.begun.get(self.from..).unwrap_or_default();
        let is_comment = rest.first() == Some(&b':');
        let has_text = self.has_text || !is_comment && !rest.trim_ascii().is_empty();
        if (self.may_be_events || is_comment) && !has_text { Body::Events } else { Body::Other }
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

    #[test]
    fn a_body_is_known_by_its_first_lines_however_they_are_cut() {
        for (body, expected) in [
            ("data: {}\n\n", Body::Events),
            ("event: ping\n\n", Body::Events),
            (": PROCESSING\n\n: PROCESSING\r\n\r\ndata: x", Body::Events),
            ("id: 1\nretry: 5\ndata: x", Body::Events),
            (" data: x\ndata: y", Body::Events),
            ("note\ndata: y", Body::Events),
            (": PROCESSING\n\n", Body::Events),
            (": PROCESSING", Body::Events),
            ("{}", Body::Json),
            ("\r\n [1]", Body::Json),
            (": PROCESSING\n\n{\"error\":{}}", Body::Json),
            ("error code: 502", Body::Other),
            ("error code: 502\n{}", Body::Other),
            ("internal error", Body::Other),
            ("invalid api key", Body::Other),
            ("identity unknown: x\n", Body::Other),
            ("rate limited", Body::Other),
            ("request timed out\n", Body::Other),
            ("deployment not found", Body::Other),
            (": PROCESSING\n\nupstream failed", Body::Other),
            ("database error", Body::Other),
            ("<html>", Body::Other),
            ("\n \n", Body::Other),
            ("", Body::Other),
        ] {
            for mark in ["", "\u{feff}"] {
                let body = format!("{mark}{body}");
                for size in [1, 2, 3, 5, 64] {
                    let mut lines = FirstLines::default();
                    let mut chunks = body.as_bytes().chunks(size);
                    let found = loop {
                        if let Some(found) = lines.look() {
                            break found;
                        }
                        match chunks.next() {
                            Some(chunk) => lines.begun.extend_from_slice(chunk),
                            None => break lines.at_end(),
                        }
                    };
                    assert_eq!(found, expected, "{body:?} in pieces of {size}");
                }
            }
        }
        // Neither words nor signs of life are waited for without end.
        for (line, expected) in [("words\n", Body::Other), (": wait\n", Body::Events)] {
            let begun = line.repeat(MAX_ERROR_BODY).into_bytes();
            assert_eq!(FirstLines { begun, ..FirstLines::default() }.look(), Some(expected));
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
