//! No request changes anything without the token of its session: in the header `x-csrf-token`, or in the form's field `csrf`,
//! which is the first one of a form with files. One wall for all handlers, so that none can forget it.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::pictures;
use crate::problem::Problem;
use crate::session::Session;

/// Largest body of a request: a picture, and the text beside it.
pub(crate) const MOST_BYTES: usize = pictures::MOST_BYTES + 512 * 1024;

/// Where the first field of a form with files ends at the latest.
const FIRST_FIELD: usize = 4 * 1024;

pub(crate) async fn check(
    State(app): State<App>,
    session: Session,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MOST_BYTES).await.map_err(|_| Problem::TooLarge)?;
    // Whoever signed out in another tab, or was away for a month, is told so, and not that the form is a stranger's.
    if session.user_id.is_none() && parts.uri.path() != "/sign-in" {
        return Err(Problem::NotSignedIn(crate::next::of_form(&parts.headers)));
    }
    let in_header = parts.headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
    let token = match in_header {
        Some(token) => Some(token.to_owned()),
        None => in_form(parts.headers.get(header::CONTENT_TYPE), &bytes).await,
    };
    if !token.is_some_and(|token| session.has_token(&app, &token)) {
        return Err(Problem::Forged);
    }
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

async fn in_form(kind: Option<&header::HeaderValue>, bytes: &Bytes) -> Option<String> {
    let kind = kind?;
    if !kind.to_str().ok()?.starts_with("multipart/form-data") {
        #[derive(serde::Deserialize)]
        struct Token {
            csrf: String,
        }
        let request = form(kind, bytes)?;
        let axum::Form(token): axum::Form<Token> =
            axum::Form::from_request(request, &()).await.ok()?;
        return Some(token.csrf);
    }
    let beginning = bytes.slice(..bytes.len().min(FIRST_FIELD));
    let mut fields = Multipart::from_request(form(kind, &beginning)?, &()).await.ok()?;
    let first = fields.next_field().await.ok()??;
    if first.name() != Some("csrf") {
        return None;
    }
    first.text().await.ok()
}

fn form(kind: &header::HeaderValue, bytes: &Bytes) -> Option<Request> {
    let request = Request::post("/").header(header::CONTENT_TYPE, kind);
    let mut request = request.body(Body::from(bytes.clone())).ok()?;
    // What is too large was refused before; the framework's own limit is a smaller one.
    DefaultBodyLimit::disable().apply(&mut request);
    Some(request)
}
