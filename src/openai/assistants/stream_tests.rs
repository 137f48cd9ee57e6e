//! What is read of a stream, however it is written.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::openai::Error;

/// The events as words, and the error at the end.
fn read(body: &str) -> (Vec<String>, Option<Error>) {
    let mut stream = RunStream::of_body(body);
    let mut told = Vec::new();
    while let Some(event) = stream.next().now_or_never().expect("nothing to wait for") {
        told.push(match event {
            Ok(RunEventKind::Run(run)) => format!("run {}", run.id),
            Ok(RunEventKind::Ended(run)) => format!("ended {}", run.status),
            Ok(RunEventKind::Message { id }) => format!("message {id}"),
            Ok(RunEventKind::Text { id, delta }) => format!("text {id} {delta}"),
            Ok(RunEventKind::Said(message)) => {
                format!("said {} {}", message.id, message.item.text())
            }
            Ok(RunEventKind::Alive) => "alive".to_owned(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (told, Some(error)),
        });
    }
    (told, None)
}

#[test]
fn the_name_is_in_the_event_line_and_else_in_the_object() {
    let named = "event: thread.run.created\ndata: {\"id\":\"run_1\",\"status\":\"queued\"}\n\n\
        event: thread.run.step.created\ndata: {\"id\":\"step_1\"}\n\n\
        event: thread.message.created\ndata: {\"id\":\"msg_1\"}\n\n\
        event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"delta\":{\"content\":[{\"type\":\"text\",\"text\":{\"value\":\"Hi\"}}]}}\n\n\
        event: thread.message.completed\ndata: {\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":{\"value\":\"Hi\"}}]}\n\n\
        event: thread.strange\ndata: {}\n\n\
        event: thread.run.completed\ndata: {\"id\":\"run_1\",\"status\":\"completed\"}\n\n\
        event: done\ndata: [DONE]\n\n";
    let expected = [
        "run run_1",
        "alive",
        "message msg_1",
        "text msg_1 Hi",
        "said msg_1 Hi",
        "alive",
        "ended completed",
    ];
    let (told, error) = read(named);
    assert_eq!(told, expected);
    assert!(error.is_none(), "{error:?}");
    let bare = "data: {\"id\":\"run_1\",\"object\":\"thread.run\",\"status\":\"queued\"}\n\n\
        data: {\"id\":\"msg_1\",\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{\"text\":\"Hi\"}]}}\n\n\
        data: {\"id\":\"run_1\",\"object\":\"thread.run\",\"status\":\"requires_action\"}\n\n";
    assert_eq!(read(bare).0, ["run run_1", "text msg_1 Hi", "ended requires_action"]);
}

#[test]
fn an_end_before_its_time_says_what_it_is() {
    let begun = "event: thread.run.created\ndata: {\"id\":\"run_1\",\"status\":\"queued\"}\n\n";
    for (rest, expected) in [
        ("", "the stream ended before the run did"),
        ("event: thread.run.comp", "the stream ended before the run did"),
        ("event: done\ndata: [DONE]\n\n", "[DONE] before the run had ended"),
        ("data: {nonsense\n\n", "an event of the stream"),
        ("event: error\ndata: {\"message\":\"busy\",\"code\":\"server_error\"}\n\n", "busy"),
        ("event: thread.run.queued\ndata: {\"id\":\"resp_1\",\"status\":\"queued\"}\n\n", "resp_1"),
    ] {
        let (_, error) = read(&format!("{begun}{rest}"));
        let text = error.expect(rest).to_string();
        assert!(text.contains(expected), "{rest}: {text}");
    }
}
