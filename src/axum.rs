//! For hosts with axum 0.8: answers and extractors of the engine's own types.
//!
//! With the feature `axum`, [`Error`], [`Sse`] and [`UiStream`] are answers of a handler, and [`LastEventId`] is an argument of one. A handler
//! may return `Result<Sse, ai_engine::Error>` or `Result<Json<Run>, ai_engine::Error>`.

use std::convert::Infallible;
use std::ops::Deref;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::error::{Error, with_causes};
use crate::follow::sse::Sse;
use crate::ui::UiStream;

/// Where a browser's stream of events is to go on, for [`Events::resume`](crate::Events::resume): the header `Last-Event-ID`, which
/// it sends when it comes back, or else the query's `after`, which the page's first address has. Empty ones are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastEventId(pub Option<String>);

impl Deref for LastEventId {
    type Target = Option<String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // One that is no text is none of ours: it is to be refused, and not taken for a page that begins.
        let header = parts.headers.get("last-event-id");
        let header = header.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let mut query = parts.uri.query().unwrap_or_default().split('&');
        let query = query.find_map(|pair| pair.strip_prefix("after="));
        let query = query.map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        let found = header.filter(|id| !id.is_empty()).or(query);
        Ok(Self(found.filter(|id| !id.is_empty())))
    }
}

impl<E: 'static> IntoResponse for Sse<E> {
    fn into_response(self) -> Response {
        with_headers(&Sse::HEADERS, Body::from_stream(self))
    }
}

impl IntoResponse for UiStream {
    fn into_response(self) -> Response {
        with_headers(self.headers(), Body::from_stream(self))
    }
}

fn with_headers(headers: &[(&'static str, &'static str)], body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    response.headers_mut().extend(headers);
    response
}

/// [`http_status`](Error::http_status), and as JSON what may be shown ([`public_message`](Error::public_message)):
/// `{"error": {"status": 409, "message": "…"}}`. What is not shown is logged.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.http_status()).unwrap_or_default();
        let (number, message) = (status.as_u16(), self.public_message());
        if status.is_server_error() {
            tracing::error!(status = number, error = with_causes(&self), "a request failed");
        } else if message != self.to_string() {
            tracing::info!(status = number, error = with_causes(&self), "a request was refused");
        }
        let body = json!({"error": {"status": number, "message": message}});
        let json = HeaderValue::from_static("application/json");
        (status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn id(uri: &str, header: Option<&str>) -> Option<String> {
        let request = Request::builder().uri(uri);
        let request = match header {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        };
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let Ok(id) = LastEventId::from_request_parts(&mut parts, &()).await;
        id.0
    }

    #[tokio::test]
    async fn a_page_begins_by_its_address_and_comes_back_by_its_last_id() {
        assert_eq!(id("/events", None).await, None);
        assert_eq!(id("/events?after=", Some("")).await, None);
        assert_eq!(id("/events?x=1&after=a%2Fb", None).await.as_deref(), Some("a/b"));
        assert_eq!(id("/events?after=a", Some("b")).await.as_deref(), Some("b"));
        assert_eq!(id("/events?after=a", Some("")).await.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn a_last_id_that_cannot_be_read_is_not_taken_for_none() {
        let id = HeaderValue::from_bytes(b"t1.2\xff").unwrap();
        let request = Request::builder().uri("/events?after=a").header("Last-Event-ID", id);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let Ok(id) = LastEventId::from_request_parts(&mut parts, &()).await;
        assert_eq!(id.as_deref(), Some("t1.2\u{fffd}"));
    }

    #[test]
    fn an_error_says_what_may_be_shown() {
        let found = Error::not_found("thread", 7).into_response();
        assert_eq!(found.status(), StatusCode::NOT_FOUND);
        assert_eq!(found.headers()[header::CONTENT_TYPE], "application/json");
        let hidden = Error::Connection("password of the database".to_owned());
        assert_eq!(hidden.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
