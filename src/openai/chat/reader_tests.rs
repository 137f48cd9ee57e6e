//! Answers put together from chunks, without a connection: a table for each kind of thing that servers do.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

use super::stream::{ChatEvent, ChatStream};
use super::{Completion, Part, Piece};
use crate::openai::secrets::Secrets;
use crate::openai::{Error, Result};

/// What a stream came to.
pub(super) struct Read {
    started: Vec<String>,
    /// Place and text of each piece that was streamed.
    texts: Vec<(usize, String)>,
    pub(super) end: Result<Completion>,
}

impl Read {
    pub(super) fn streamed(&self) -> String {
        self.texts.iter().map(|(_, text)| text.as_str()).collect()
    }

    pub(super) fn completion(&self) -> &Completion {
        self.end.as_ref().unwrap()
    }

    /// Each piece in a line.
    pub(super) fn pieces(&self) -> Vec<String> {
        let pieces = self.completion().pieces.iter();
        pieces
            .map(|piece| match piece {
                Piece::Reasoning(thought) => format!("reasoning {thought}"),
                Piece::Call { id, name, arguments } => {
                    format!("call {} {name} {arguments}", id.as_deref().unwrap_or("-"))
                }
                Piece::Message { parts, .. } => {
                    let parts = parts.iter().map(|part| match part {
                        Part::Text(text) => format!("text {text}"),
                        Part::Refusal(text) => format!("refusal {text}"),
                    });
                    parts.collect::<Vec<_>>().join(", ")
                }
            })
            .collect()
    }

    pub(super) fn error(self) -> String {
        match self.end {
            Err(error) => format!("{error:?} {error}"),
            Ok(end) => panic!("no error, but {end:?}"),
        }
    }
}

pub(super) fn read_within(body: &str, most: usize) -> Read {
    let chunks = vec![Ok(Bytes::copy_from_slice(body.as_bytes()))];
    let secrets = Secrets::new(["sk-secret-1".to_owned()]);
    let mut stream = ChatStream::of_chunks(stream::iter(chunks), most, secrets);
    let mut read =
        Read { started: Vec::new(), texts: Vec::new(), end: Err(Error::disconnected("no end")) };
    let mut ended = false;
    while let Some(event) = stream.next().now_or_never().expect("nothing to wait for") {
        assert!(!ended, "{event:?} follows the end");
        match event {
            Ok(ChatEvent::Started { id }) => read.started.push(id),
            Ok(ChatEvent::Text { place, delta }) => read.texts.push((place, delta)),
            Ok(ChatEvent::Alive) => {}
            Ok(ChatEvent::Ended(end)) => (read.end, ended) = (Ok(*end), true),
            Err(error) => (read.end, ended) = (Err(error), true),
        }
    }
    assert!(ended, "it just stops");
    read
}

pub(super) fn read(body: &str) -> Read {
    read_within(body, 1 << 20)
}

pub(super) fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A chunk with this delta.
pub(super) fn delta(delta: impl Into<Value>) -> String {
    let delta = delta.into();
    event(&json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1", "usage": null,
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}],
    }))
}

pub(super) fn text(text: &str) -> String {
    delta(json!({"content": text}))
}

pub(super) fn finish(word: &str) -> String {
    event(
        &json!({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": word}]}),
    )
}

pub(super) const DONE: &str = "data: [DONE]\n\n";

#[test]
fn an_answer_is_streamed_and_told_whole_at_its_end() {
    let usage = json!({
        "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    });
    let body = [
        delta(json!({"role": "assistant", "content": ""})),
        text("Hi "),
        text("there"),
        finish("stop"),
        event(&json!({"id": "chatcmpl-1", "choices": [], "usage": usage})),
        DONE.to_owned(),
    ];
    let read = read(&body.concat());
    assert_eq!(read.started, ["chatcmpl-1"]);
    assert_eq!(read.texts, [(0, "Hi ".to_owned()), (0, "there".to_owned())]);
    assert_eq!(read.pieces(), ["text Hi there"]);
    let end = read.completion();
    assert_eq!((end.id.as_deref(), end.model.as_deref()), (Some("chatcmpl-1"), Some("m-1")));
    assert_eq!(end.finish_reason.as_deref(), Some("stop"));
    let usage = end.usage.unwrap();
    let counts = [usage.input_tokens, usage.cached_input_tokens, usage.output_tokens];
    assert_eq!((counts, usage.reasoning_tokens), ([7, 3, 5], 2));
}

#[test]
fn what_says_nothing_or_is_another_answer_is_passed_over() {
    let passed = [
        event(&json!({"choices": []})),
        event(&json!({"id": "chatcmpl-1"})),
        event(&json!({"prompt_filter_results": [], "choices": []})),
        delta(json!({"content": null, "role": "assistant"})),
        event(&json!({"choices": [{"index": 0, "delta": null, "finish_reason": ""}]})),
        event(
            &json!({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}),
        ),
        event(&json!({"choices": ["odd", 7, null]})),
        ": comment\n\n".to_owned(),
        "data:\n\n".to_owned(),
        "event: ping\ndata: {\"type\": \"ping\"}\n\n".to_owned(),
    ];
    for odd in &passed {
        let (a, b, stop) = (text("a"), text("b"), finish("stop"));
        let read = read(&format!("{odd}{a}{odd}{b}{odd}{stop}{odd}{DONE}"));
        assert_eq!(
            (read.streamed().as_str(), read.pieces()),
            ("ab", vec!["text ab".to_owned()]),
            "{odd}"
        );
    }
}

#[test]
fn thoughts_and_calls_are_no_text_and_stand_where_they_began() {
    let call = |fragment: Value| delta(json!({"tool_calls": [fragment]}));
    let first = call(
        json!({"index": 0, "id": "c_1", "type": "function", "function": {"name": "f", "arguments": ""}}),
    );
    let more = call(json!({"index": 0, "function": {"arguments": "{\"x\":1}"}}));
    for (case, body, streamed, pieces) in [
        (
            "reasoning_content",
            vec![
                delta(json!({"reasoning_content": "hm "})),
                delta(json!({"reasoning_content": "so"})),
                text("a"),
            ],
            vec![(1, "a")],
            vec!["reasoning hm so", "text a"],
        ),
        (
            "reasoning, and under both names",
            vec![
                delta(json!({"reasoning": "hm", "reasoning_content": "hm", "content": null})),
                text("a"),
            ],
            vec![(1, "a")],
            vec!["reasoning hm", "text a"],
        ),
        (
            "a thought between words",
            vec![text("a"), delta(json!({"reasoning": "hm"})), text("b")],
            vec![(0, "a"), (0, "b")],
            vec!["text ab", "reasoning hm"],
        ),
        (
            "content in parts",
            vec![delta(json!({"content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"},
            ]}))],
            vec![(1, "a")],
            vec!["reasoning hm", "text a"],
        ),
        (
            "a call after words",
            vec![text("a"), first.clone(), more.clone()],
            vec![(0, "a")],
            vec!["text a", "call c_1 f {\"x\":1}"],
        ),
        (
            "words after a call",
            vec![first, more, text("a")],
            vec![(1, "a")],
            vec!["call c_1 f {\"x\":1}", "text a"],
        ),
        (
            "the old form of a call",
            vec![
                delta(json!({"function_call": {"name": "f", "arguments": "{"}})),
                delta(json!({"function_call": {"arguments": "}"}})),
            ],
            vec![],
            vec!["call - f {}"],
        ),
        (
            "whole calls in one chunk, arguments as JSON",
            vec![delta(json!({"tool_calls": [
                {"id": "c_1", "function": {"name": "f", "arguments": {"x": 1}}},
                {"id": "c_2", "function": {"name": "g", "arguments": "{}"}},
            ]}))],
            vec![],
            vec!["call c_1 f {\"x\":1}", "call c_2 g {}"],
        ),
        (
            "a refusal",
            vec![
                delta(json!({"content": "", "refusal": "I "})),
                delta(json!({"refusal": "decline"})),
            ],
            vec![(0, "I "), (0, "decline")],
            vec!["refusal I decline"],
        ),
        (
            "a refusal after words",
            vec![text("a"), delta(json!({"refusal": "no"}))],
            vec![(0, "a"), (0, "no")],
            vec!["text a, refusal no"],
        ),
    ] {
        let read = read(&format!("{}{}{DONE}", body.concat(), finish("stop")));
        let texts: Vec<_> =
            read.texts.iter().map(|(place, text)| (*place, text.as_str())).collect();
        assert_eq!(
            (texts, read.pieces()),
            (streamed, pieces.iter().map(ToString::to_string).collect()),
            "{case}"
        );
    }
}

#[test]
fn a_character_that_is_cut_between_two_chunks_is_put_together() {
    let half = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let read = |parts: &[&str]| {
        let body: String = parts.iter().map(|part| half(part)).collect();
        read(&format!("{body}{DONE}")).pieces()
    };
    assert_eq!(read(&["Hi \\ud83d", "\\ude00!"]), ["text Hi 😀!"]);
    assert_eq!(read(&["Hi \\ud83d", "x"]), ["text Hi \u{fffd}x"]);
    assert_eq!(read(&["\\ude00"]), ["text \u{fffd}"]);
}
