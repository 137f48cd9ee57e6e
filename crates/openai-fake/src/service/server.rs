//! Connections, and the way of one request through the server.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response,
    body::{Body as _, Frame, Incoming},
    http::{request::Parts, response::Builder},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc::UnboundedReceiver, task::JoinSet};

use crate::{
    Request,
    fake::Shared,
    script::reply::{Kind, Reply, Step},
    service::{
        error::ApiError,
        route,
        run::Run,
        tape::{Playback, Tape},
    },
    wire::{
        body::{Body, Source},
        flush::{Flushes, Wire},
    },
};

/// Larger than anything the limits of the API allow.
const MAX_BODY: usize = 128 * 1024 * 1024;

type HttpBody = UnsyncBoxBody<Bytes, io::Error>;
type Headers = Vec<(String, String)>;

/// How a request is answered.
pub(crate) enum Answer {
    Json(Headers, Value),
    /// As server-sent events, with a comment as often as the script says.
    Stream(Run, Option<Duration>),
    /// As server-sent events of a background response.
    Playback(Headers, Playback),
    /// As one object, once it is done.
    Object(Run),
    /// As the script says, without the service.
    Scripted(Reply),
}

impl Answer {
    pub(crate) fn of_run(run: Run, streamed: bool, comment_every: Option<Duration>) -> Self {
        if streamed { Self::Stream(run, comment_every) } else { Self::Object(run) }
    }
}

/// Accepts connections, and carries out what runs in the background, until the task is aborted,
/// which cuts them all.
pub(crate) async fn serve(
    listener: TcpListener,
    mut background: UnboundedReceiver<(Tape, Run)>,
    shared: Arc<Shared>,
) {
    let mut tasks = JoinSet::new();
    // Locals are dropped last to first: a client whose connection was cut finds no listener either.
    let listener = listener;
    loop {
        let accepted = tokio::select! {
            Some((tape, run)) = background.recv() => {
                tasks.spawn(tape.record(run));
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            // Out of file descriptors: without a pause, this would spin until some are free.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        // Events are small and must not wait for each other.
        let _ = tcp.set_nodelay(true);
        let flushes = Flushes::new();
        let wire = TokioIo::new(Wire::new(tcp, flushes.clone()));
        let shared = Arc::clone(&shared);
        let service =
            service_fn(move |request| handle(Arc::clone(&shared), flushes.clone(), request));
        tasks.spawn(async move {
            // An error means that the client left or that the script cut the connection.
            let _ = http1::Builder::new().serve_connection(wire, service).await;
        });
    }
}

async fn handle(
    shared: Arc<Shared>,
    flushes: Flushes,
    incoming: hyper::Request<Incoming>,
) -> io::Result<Response<HttpBody>> {
    let (head, body) = incoming.into_parts();
    let body = read(body).await?;
    let too_large = body.is_none();
    let body = body.unwrap_or_default();
    let parsed = serde_json::from_slice(&body).ok();
    let unreadable = !body.is_empty() && parsed.is_none();
    let request_id = shared.state().mint("req");
    let request = Arc::new(record(&head, request_id, parsed));
    shared.received(&request);

    let intercept = shared.script().take_intercept(&request.method, &request.path);
    let answer = match intercept {
        Some(reply) => Ok(Answer::Scripted(reply)),
        None if let Err(error) = check_key(&shared, &request) => Err(error),
        None if too_large => Err(ApiError::new(413, "The request body is too large.")),
        None if unreadable => {
            Err(ApiError::bad_request("We could not parse the JSON body of your request."))
        }
        None => route::answer(&shared, &request),
    };

    let mut builder = Response::builder()
        .header("x-request-id", &request.request_id)
        .header("openai-version", "2020-10-01")
        .header("openai-processing-ms", "0");
    if let Some(organization) = request.headers.get("openai-organization") {
        builder = builder.header("openai-organization", organization);
    }
    match answer {
        Ok(Answer::Json(headers, value)) => respond(builder, 200, &headers, &value),
        Ok(Answer::Scripted(reply)) => scripted(builder, reply).await,
        Ok(Answer::Stream(mut run, comment_every)) => {
            let (headers, framer) = (run.take_headers(), run.framer());
            let body = Body::new(Source::Run(Box::new(run)), framer, comment_every, flushes);
            stream(builder, &headers, body)
        }
        Ok(Answer::Playback(headers, playback)) => {
            let (framer, comment_every) =
                (playback.tape.framer.clone(), playback.tape.comment_every);
            let body = Body::new(Source::Tape(playback), framer, comment_every, flushes);
            stream(builder, &headers, body)
        }
        Ok(Answer::Object(mut run)) => {
            let headers = run.take_headers();
            let (status, object) = run.into_answer().await.ok_or_else(cut)?;
            respond(builder, status, &headers, &object)
        }
        Err(error) => respond(builder, error.status, &[], &error.body()),
    }
}

/// The body, or `None` if it is too large. It is read to its end even then: a client still
/// sending would not see the refusal.
async fn read(mut body: Incoming) -> io::Result<Option<Bytes>> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut collected = (announced <= MAX_BODY).then(BytesMut::new);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
            continue;
        };
        collected =
            collected.filter(|bytes| bytes.len() + data.len() <= MAX_BODY).map(|mut bytes| {
                bytes.extend_from_slice(&data);
                bytes
            });
    }
    Ok(collected.map(BytesMut::freeze))
}

fn record(head: &Parts, request_id: String, body: Option<Value>) -> Request {
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter();
    Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body,
        request_id,
    }
}

fn check_key(shared: &Shared, request: &Request) -> Result<(), ApiError> {
    let given = request.headers.get("authorization");
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let Some(key) = given.filter(|key| !key.is_empty()) else {
        return Err(ApiError::new(
            401,
            "You didn't provide an API key. Provide it in an Authorization header using Bearer \
             auth (i.e. Authorization: Bearer YOUR_KEY).",
        ));
    };
    match &shared.state().keys {
        Some(keys) if !keys.iter().any(|known| known == key) => Err(ApiError::wrong_key(key)),
        _ => Ok(()),
    }
}

/// An answer without the service: status and body, or none at all.
async fn scripted(builder: Builder, reply: Reply) -> io::Result<Response<HttpBody>> {
    tokio::time::sleep(reply.first_token_after).await;
    for (_, step) in reply.steps {
        match step {
            Step::Hold(gate) => gate.pass().await,
            Step::Stall => std::future::pending().await,
            Step::Disconnect | Step::End => return Err(cut()),
            Step::Raw(_) | Step::Mangle(_) | Step::Keepalive => {}
        }
    }
    match reply.kind {
        Kind::Status(code, body) => respond(builder, code, &reply.headers, &body),
        Kind::Model | Kind::HangUp => Err(cut()),
    }
}

fn stream(
    builder: Builder,
    headers: &[(String, String)],
    body: Body,
) -> io::Result<Response<HttpBody>> {
    let builder = with_headers(builder, headers)
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache");
    finish(builder, StreamBody::new(body.into_stream().map_ok(Frame::data)).boxed_unsync())
}

fn respond(
    builder: Builder,
    status: u16,
    headers: &[(String, String)],
    body: &Value,
) -> io::Result<Response<HttpBody>> {
    let builder =
        with_headers(builder, headers).status(status).header("content-type", "application/json");
    let bytes = Full::new(Bytes::from(body.to_string()));
    finish(builder, bytes.map_err(|never| match never {}).boxed_unsync())
}

fn with_headers(mut builder: Builder, headers: &[(String, String)]) -> Builder {
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder
}

/// A script may have asked for a status or header that HTTP does not have: say so to the client.
fn finish(builder: Builder, body: HttpBody) -> io::Result<Response<HttpBody>> {
    builder.body(body).or_else(|error| {
        let text = json!({"error": {
            "message": format!("The scripted reply is not valid HTTP: {error}"),
            "type": "server_error", "param": null, "code": null,
        }});
        let body = Full::new(Bytes::from(text.to_string()));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        Ok(response)
    })
}

/// Hyper answers an error by closing the connection.
fn cut() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}
