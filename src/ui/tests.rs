use serde_json::{Value, json};

mod ag_ui;
mod calls;
mod steps;

use super::{AgUiEncoder, UiMessage, UiMessageEncoder};
use crate::follow::cursor::Cursor;
use crate::follow::event::{Event, EventKind};
use crate::model::{Message, MessageStatus, Part, PartKind, Reason, Role, Run, RunStatus, Turn};

fn event(kind: EventKind) -> Event {
    Event { cursor: Cursor::start(Run::sample(RunStatus::Queued).messageable), kind }
}

fn run(status: RunStatus, reason: Option<Reason>) -> Run {
    Run { reason, error: Some("the provider's words".to_owned()), ..Run::sample(status) }
}

fn message(text: &str, status: MessageStatus) -> Message {
    Message::sample(0, text, status)
}

fn began() -> Vec<Event> {
    vec![
        event(EventKind::RunStarted { run: run(RunStatus::InProgress, None) }),
        event(EventKind::MessageStarted { message: message("", MessageStatus::Streaming) }),
        event(EventKind::MessageAppended {
            message_id: 1,
            offset: 0,
            text: "The first ".to_owned(),
        }),
        event(EventKind::MessageAppended { message_id: 1, offset: 10, text: "words".to_owned() }),
    ]
}

fn chunks(events: &[Event]) -> Vec<Value> {
    let mut encoder = UiMessageEncoder::new(&run(RunStatus::Queued, None));
    events.iter().flat_map(|event| encoder.encode(event)).collect()
}

fn kinds(chunks: &[Value]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk["type"].as_str().unwrap()).collect()
}

/// The same chunks are given to the AI SDK's own reader (`scripts/pages`).
#[test]
fn a_replaced_text_has_its_step_told_again() {
    let mut events = began();
    let said = message("The final words.", MessageStatus::Completed);
    events.push(event(EventKind::MessageReplaced { message: said }));
    let mut chunks = chunks(&events);
    // What depends on the time of the test.
    chunks.retain(|chunk| chunk["type"] != "message-metadata");
    let lines: Vec<String> = chunks.iter().map(ToString::to_string).collect();
    let known = include_str!("../../tests/data/ui/replaced.jsonl");
    assert_eq!(lines.join("\n"), known.trim_end());
}

#[test]
fn each_end_of_a_run_has_its_word() {
    let end = |status, reason| {
        let mut events = began();
        events.push(event(EventKind::RunSettled { run: run(status, reason) }));
        let chunks = chunks(&events);
        let after = chunks.iter().skip_while(|chunk| chunk["type"] != "text-end");
        let after: Vec<Value> = after.cloned().collect();
        assert!(!Value::from(after.clone()).to_string().contains("provider's words"));
        let last = after.last().unwrap()["finishReason"].clone();
        (kinds(&after).join(" "), last)
    };
    let finished = "text-end finish-step finish".to_owned();
    for (reason, word) in [
        (Some(Reason::MaxOutputTokens), "length"),
        (Some(Reason::ContextLengthExceeded), "length"),
        (Some(Reason::ContentFilter), "content-filter"),
        (Some(Reason::MaxSteps), "tool-calls"),
        (Some(Reason::ToolCalls), "tool-calls"),
        (Some(Reason::Disconnected), "other"),
        (None, "other"),
    ] {
        assert_eq!(end(RunStatus::Incomplete, reason), (finished.clone(), json!(word)));
    }
    assert_eq!(end(RunStatus::Completed, None), (finished, json!("stop")));
    let cancelled = "text-end finish-step abort finish".to_owned();
    assert_eq!(end(RunStatus::Cancelled, None), (cancelled, json!("interrupted")));
    let failed = "text-end finish-step message-metadata error".to_owned();
    assert_eq!(end(RunStatus::Failed, Some(Reason::ServerError)), (failed, Value::Null));
}

#[test]
fn each_end_of_a_run_has_its_word_in_ag_ui() {
    let end = |status, reason| {
        let mut encoder = AgUiEncoder::named("thread", "run");
        let mut events = began();
        events.push(event(EventKind::RunSettled { run: run(status, reason) }));
        let all: Vec<Value> = events.iter().flat_map(|event| encoder.encode(event)).collect();
        assert_eq!(all[all.len() - 2]["type"], "TEXT_MESSAGE_END", "what is open is closed");
        assert!(!Value::from(all.clone()).to_string().contains("provider's words"));
        let last = all.last().unwrap();
        let word = [&last["outcome"]["type"], &last["code"]].map(|word| word.as_str());
        (last["type"].as_str().unwrap().to_owned(), word[0].or(word[1]).unwrap().to_owned())
    };
    let finished = |word: &str| ("RUN_FINISHED".to_owned(), word.to_owned());
    assert_eq!(end(RunStatus::Completed, None), finished("success"));
    assert_eq!(end(RunStatus::Incomplete, Some(Reason::MaxOutputTokens)), finished("success"));
    assert_eq!(end(RunStatus::Cancelled, None), finished("cancelled"));
    let failed = ("RUN_ERROR".to_owned(), "server_error".to_owned());
    assert_eq!(end(RunStatus::Failed, Some(Reason::ServerError)), failed);
}

#[test]
fn a_turn_is_shown_as_its_stream_would_have_been() {
    let question = Message {
        role: Role::User,
        author: Some("Ada".to_owned()),
        ..message("Tell me", MessageStatus::Completed)
    };
    let mut turn = Turn {
        seq: 1,
        run: Some(run(RunStatus::InProgress, None)),
        messages: vec![question, Message::sample(1, "Once", MessageStatus::Streaming)],
        tool_calls: Vec::new(),
        siblings: Vec::new(),
    };
    let shown = UiMessage::of_turn(&turn);
    let ids: Vec<&str> = shown.iter().map(|message| &*message.id).collect();
    assert_eq!(ids, ["message-1", "run-1"]);
    assert_eq!(shown[0].metadata.as_ref().unwrap()["author"], "Ada");
    let streaming = json!([
        {"type": "step-start"}, {"type": "text", "text": "Once", "state": "streaming"},
    ]);
    assert_eq!(Value::from(shown[1].parts.clone()), streaming);
    turn.messages.pop();
    assert_eq!(UiMessage::of_turn(&turn).len(), 1, "nothing was answered yet");
}

/// What stands beside a text is not shown before it because the text was another one.
#[test]
fn a_replaced_text_keeps_its_place() {
    let mut events = began();
    let second = Message::sample(1, "Second.", MessageStatus::Completed);
    events.push(event(EventKind::MessageStarted { message: second.clone() }));
    events.push(event(EventKind::MessageAppended {
        message_id: 2,
        offset: 0,
        text: second.content.clone(),
    }));
    events.push(event(EventKind::MessageSettled { message: second }));
    let said = message("First.", MessageStatus::Completed);
    events.push(event(EventKind::MessageReplaced { message: said }));
    let chunks = chunks(&events);
    let again = chunks.iter().skip_while(|chunk| chunk["type"] != "reset-step").skip(1);
    let texts: Vec<&str> = again.filter_map(|chunk| chunk["delta"].as_str()).collect();
    assert_eq!(texts, ["First.", "Second."]);
}

/// The client of AG-UI reads no event of more than 10 Mi characters.
#[test]
fn a_history_is_no_longer_than_a_client_reads() {
    let turn = |seq: i64, text: &str| Turn {
        seq,
        run: Some(run(RunStatus::Completed, None)),
        messages: vec![Message { id: seq, ..message(text, MessageStatus::Completed) }],
        tool_calls: Vec::new(),
        siblings: Vec::new(),
    };
    let long = "\n".repeat(1024 * 1024);
    let turns: Vec<Turn> = (1..=8).map(|seq| turn(seq, &long)).collect();
    let told = AgUiEncoder::named("thread", "run").history(&turns);
    assert!(told[1].to_string().len() < 10 * 1024 * 1024);
    let shown = |told: &[Value]| -> Vec<String> {
        let messages = told[1]["messages"].as_array().unwrap().iter();
        messages.map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(shown(&told), ["message-6", "message-7", "message-8"]);
    // The newest turn is shown however long it is.
    let turns = [turn(1, "short"), turn(2, &long.repeat(6))];
    assert_eq!(shown(&AgUiEncoder::named("thread", "run").history(&turns)), ["message-2"]);
}

/// The AI SDK takes no message without a part.
#[test]
fn a_question_whose_pictures_are_left_out_is_a_message_all_the_same() {
    let picture = Part {
        id: 1,
        position: 0,
        kind: PartKind::Image,
        media_type: Some("image/png".to_owned()),
        name: Some("cat.png".to_owned()),
        size: Some(3),
        digest: None,
        url: None,
        file_id: None,
        endpoint: None,
        raw: None,
        text_offset: 0,
        blob_id: Some(1),
    };
    let question =
        Message { role: Role::User, parts: vec![picture], ..message("", MessageStatus::Completed) };
    let turn = Turn {
        seq: 1,
        run: Some(run(RunStatus::InProgress, None)),
        messages: vec![question],
        tool_calls: Vec::new(),
        siblings: Vec::new(),
    };
    let text = json!({"type": "text", "text": "", "state": "done"});
    assert_eq!(UiMessage::of_turn(&turn)[0].parts, [text]);
    let file =
        json!({"type": "file", "url": "/1", "mediaType": "image/png", "filename": "cat.png"});
    let shown = UiMessage::with_files(&turn, |_, part| Some(format!("/{}", part.id)));
    assert_eq!(shown[0].parts, [file]);
}

#[test]
fn what_a_page_would_read_as_another_number_is_told_as_text() {
    for (text, told) in [
        ("5", json!(5)),
        ("1.5", json!(1.5)),
        ("true", json!(true)),
        (r#"{"a":1.10}"#, json!({"a": 1.1})),
        ("9007199254740991", json!(9_007_199_254_740_991_i64)),
        ("9007199254740993", json!("9007199254740993")),
        ("12345678901234567890", json!("12345678901234567890")),
        ("1.10", json!("1.10")),
        ("1e3", json!("1e3")),
        (" 5", json!(" 5")),
        ("[1", json!("[1")),
    ] {
        assert_eq!(super::json_or_text(text), told, "{text}");
    }
}
