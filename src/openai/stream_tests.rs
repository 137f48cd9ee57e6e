//! Streams against a real socket.

use super::test_server::{KEY, Reply, Server};
use super::tests::{BRIEF, RESPONSE, request};
use super::*;

const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\
    \"response\":{\"id\":\"resp_1\",\"status\":\"completed\"}}\n\n";
const DELTA: &str =
    "data: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"Hi\"}\n\n";

async fn stream(server: &Server) -> ResponseStream {
    server.client().responses().stream(&request()).await.unwrap()
}

/// All events, and the error that ended the stream, if one did.
async fn drain(mut stream: ResponseStream) -> (Vec<StreamEvent>, Option<Error>) {
    let mut events = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none());
                return (events, Some(error));
            }
        }
    }
    assert!(stream.next().await.is_none());
    (events, None)
}

async fn streamed(reply: Reply) -> (Vec<StreamEvent>, Option<Error>) {
    drain(stream(&Server::start([reply]).await).await).await
}

#[tokio::test]
async fn a_stream_ends_after_its_terminal_event() {
    let mut server =
        Server::start([Reply::events(&format!("{DELTA}{COMPLETED}{DELTA}")).held_open()]).await;
    let stream = stream(&server).await;
    assert_eq!(stream.request_id(), Some("req_1"));
    let sent = server.request();
    assert!(
        sent.contains("accept: text/event-stream") && sent.contains(r#""stream":true"#),
        "{sent}"
    );
    let (events, error) = drain(stream).await;
    assert!(
        error.is_none() && events.len() == 2 && events[1].is_terminal(),
        "{events:?} {error:?}"
    );
    assert_eq!(events[1].response().unwrap().id, "resp_1");
    server.client_left().await;
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    let mut server = Server::start([Reply::events(DELTA).held_open()]).await;
    let mut stream = stream(&server).await;
    stream.next().await.unwrap().unwrap();
    drop(stream);
    server.client_left().await;
}

#[tokio::test]
async fn unknown_events_missing_numbers_and_done_are_no_errors() {
    let body = format!(
        "\u{feff}: hello\n\ndata: {{\"type\":\"new.thing\"}}\n\nevent: keepalive\ndata: {{}}\n\n{COMPLETED}data: [DONE]\n\n"
    );
    let (events, error) = streamed(Reply::events(&body)).await;
    assert!(error.is_none(), "{error:?}");
    assert!(matches!(&events[0].kind, StreamEventKind::Other { kind, .. } if kind == "new.thing"));
    assert_eq!((events[0].sequence_number, &events[1].kind), (None, &StreamEventKind::Keepalive));
    assert!(events[2].is_terminal());
}

#[tokio::test]
async fn a_stream_without_a_terminal_event_is_disconnected() {
    let half = format!("{DELTA}{}", &COMPLETED[..60]);
    let done = format!("{DELTA}data: [DONE]\n\n");
    for reply in [
        Reply::events(DELTA),
        Reply::events(&half),
        Reply::events(&done),
        Reply::open_chunks(DELTA),
    ] {
        let (events, error) = streamed(reply).await;
        let told = events.iter().filter(|event| event.kind != StreamEventKind::Done);
        assert_eq!(told.count(), 1);
        assert!(matches!(error, Some(Error::Disconnected { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn a_last_event_without_its_blank_line_counts() {
    let (events, error) = streamed(Reply::events(COMPLETED.trim_end())).await;
    assert!(error.is_none() && events[0].is_terminal(), "{events:?} {error:?}");
}

#[tokio::test]
async fn a_stalled_stream_runs_into_the_idle_timeout_and_a_long_one_into_the_total() {
    for (setting, expected) in [(0, "idle_timeout"), (1, "total_timeout")] {
        let mut server = Server::start([Reply::open_chunks(DELTA).held_open()]).await;
        let builder = server.builder();
        let builder = if setting == 0 {
            builder.idle_timeout(BRIEF * 4)
        } else {
            builder.total_timeout(BRIEF * 4)
        };
        let stream = builder.build().unwrap().responses().stream(&request()).await.unwrap();
        let (events, error) = drain(stream).await;
        assert_eq!(events.len(), 1);
        assert!(
            matches!(error, Some(Error::Timeout { setting, .. }) if setting == expected),
            "{error:?}"
        );
        server.client_left().await;
    }
}

#[tokio::test]
async fn errors_in_the_stream_are_events_and_the_failure_may_follow() {
    let error = format!(
        "data: {{\"type\":\"error\",\"error\":{{\"code\":\"c\",\"message\":\"{KEY}\"}}}}\n\n"
    );
    let failed = format!(
        "data: {{\"type\":\"response.failed\",\"response\":{{\"id\":\"r\",\"error\":{{\"message\":\"{KEY}\"}}}}}}\n\n"
    );
    let (events, end) = streamed(Reply::events(&format!("{error}{failed}"))).await;
    assert!(end.is_none() && events.len() == 2 && events[1].is_terminal(), "{events:?}");
    assert!(!format!("{events:?}").contains(KEY));
    let StreamEventKind::Error(api) = &events[0].kind else { panic!("{events:?}") };
    assert_eq!((api.code.as_deref(), api.request_id.as_deref()), (Some("c"), Some("req_1")));

    let flat = "data: {\"type\":\"error\",\"code\":\"c\",\"message\":\"m\",\"param\":null}\n\n";
    let (events, end) = streamed(Reply::events(flat)).await;
    assert!(matches!(&events[0].kind, StreamEventKind::Error(api) if api.message == "m"));
    assert!(end.is_none(), "the error was the end: {end:?}");
}

#[tokio::test]
async fn malformed_and_large_events_end_the_stream() {
    // What cannot be read is skipped; without the end of the response it was the end.
    let (events, error) =
        streamed(Reply::events(&format!("{DELTA}data: oops\n\n{COMPLETED}"))).await;
    assert!(error.is_none() && events[2].is_terminal(), "{events:?} {error:?}");
    assert_eq!(events[1].kind, StreamEventKind::Unreadable);
    let (events, error) = streamed(Reply::events(&format!("{DELTA}data: oops\n\n"))).await;
    assert!(events.len() == 2 && matches!(error, Some(Error::Malformed { .. })), "{error:?}");
    let server = Server::start([Reply::events(&format!("{DELTA}{COMPLETED}"))]).await;
    let client = server.builder().max_event_bytes(90).build().unwrap();
    let (events, error) = drain(client.responses().stream(&request()).await.unwrap()).await;
    assert!(
        events.len() == 1 && matches!(error, Some(Error::TooLarge { limit: 90, .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let (events, error) = streamed(Reply::json(RESPONSE)).await;
    assert!(error.is_none() && events.len() == 1, "{error:?}");
    assert!(
        matches!(&events[0].kind, StreamEventKind::Completed(response) if response.id == "resp_1")
    );

    let (events, error) = streamed(Reply::json(r#"{"id":"r","status":"queued"}"#)).await;
    assert!(matches!(&events[0].kind, StreamEventKind::Queued(_)));
    assert!(matches!(error, Some(Error::Malformed { .. })), "{error:?}");
    // Where it can be asked for again.
    let body = r#"{"id":"r","status":"queued","background":true}"#;
    let (events, error) = streamed(Reply::json(body)).await;
    assert!(matches!(&events[0].kind, StreamEventKind::Queued(_)));
    assert!(matches!(error, Some(Error::Disconnected { .. })), "{error:?}");

    let page = Reply::new("200 OK", "content-type: text/html\r\n", "<html>login</html>");
    let server = Server::start([Reply::json(r#"{"error":"no stream"}"#), page]).await;
    let error = server.client().responses().stream(&request()).await.unwrap_err();
    assert_eq!(error.api().unwrap().message, "no stream");
    let error = server.client().responses().stream(&request()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Malformed { excerpt, .. } if excerpt.contains("login")),
        "{error:?}"
    );
}

#[tokio::test]
async fn futures_and_streams_may_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let server = Server::start([Reply::events(COMPLETED)]).await;
    let client = server.client();
    let task = tokio::spawn(async move {
        is_send(client.responses().stream(&request()).await.unwrap()).next().await
    });
    assert!(task.await.unwrap().unwrap().unwrap().is_terminal());
}
