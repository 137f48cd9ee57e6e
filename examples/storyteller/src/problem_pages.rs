//! The pages of what went wrong, with the same around them as every page: who is signed in, where else to go. One layer for all of
//! them, so that what the framework refuses by itself, such as a path that is no number, has its page, too.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use minijinja::context;

use crate::app::App;
use crate::pages::{Frame, page};
use crate::problem::{Problem, Said};
use crate::session::SignedIn;

pub(crate) async fn render(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut asked = parts.clone();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let said = response.extensions_mut().remove::<Said>();
    let Some((status, said)) = (match said {
        Some(said) => Some((response.status(), said)),
        None => of_the_framework(&asked.method, &response),
    }) else {
        return response;
    };
    let frame = match SignedIn::from_request_parts(&mut asked, &app).await {
        Ok(visit) => visit.frame,
        Err(_) => Frame { is_demo: !app.settings.has_key, ..Frame::default() },
    };
    let Said { heading, text } = said;
    let values = context! { heading, text, status => status.as_u16() };
    match page(&frame, "problem.html", values) {
        Ok(page) => {
            *response.status_mut() = status;
            response.headers_mut().remove(header::CONTENT_LENGTH);
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            *response.body_mut() = Body::from(page.0);
        }
        Err(error) => tracing::error!(%error, "the page of a problem cannot be rendered"),
    }
    response
}

/// What the framework refused: whatever is neither a page of ours nor said by a problem.
fn of_the_framework(method: &Method, response: &Response) -> Option<(StatusCode, Said)> {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let problem = match status {
        // A path that is no number is the address of nothing.
        StatusCode::BAD_REQUEST if reads => Problem::NotFound,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND => Problem::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
        _ if status.is_client_error() => Problem::unreadable(),
        _ => return None,
    };
    let status = if reads { problem.status() } else { status };
    Some((status, problem.said()))
}
