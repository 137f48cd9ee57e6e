//! What a streamed chat completion means to a run.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};

use super::*;
use crate::model::{Reason, RunStatus, Usage};
use crate::openai::ChatStream;
use crate::provider::{Ended, News};

/// The end of a stream of these chunks, and the text before it.
fn run(chunks: &[Value]) -> (Vec<(i64, String)>, Ended) {
    let events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let body = Bytes::from(format!("{}data: [DONE]\n\n", events.concat()));
    let mut stream = progress(ChatStream::of_body(body));
    let mut texts = Vec::new();
    while let Some(progress) = stream.next().now_or_never().expect("nothing to wait for") {
        match progress.unwrap().news {
            News::Text { slot, delta, .. } => texts.push((slot, delta)),
            News::Ended(ended) => return (texts, *ended),
            News::Started { .. } | News::Alive => {}
        }
    }
    panic!("no end")
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": "chatcmpl-1", "model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

#[test]
fn the_reason_of_the_end_is_the_status_of_the_run() {
    for (finish, status, reason) in [
        (Some("stop"), RunStatus::Completed, None),
        (Some("STOP"), RunStatus::Completed, None),
        (Some("tool_calls"), RunStatus::Completed, None),
        (Some("function_call"), RunStatus::Completed, None),
        (Some("end_turn"), RunStatus::Completed, None),
        (None, RunStatus::Completed, None),
        (Some("length"), RunStatus::Incomplete, Some(Reason::MaxOutputTokens)),
        (Some("max_tokens"), RunStatus::Incomplete, Some(Reason::MaxOutputTokens)),
        (Some("content_filter"), RunStatus::Incomplete, Some(Reason::ContentFilter)),
        (Some("SAFETY"), RunStatus::Incomplete, Some(Reason::ContentFilter)),
        (Some("strange"), RunStatus::Incomplete, Some(Reason::Other("strange".to_owned()))),
        (Some("error"), RunStatus::Failed, None),
    ] {
        let (_, ended) = run(&[chunk(&json!({"content": "a"}), finish)]);
        assert_eq!((ended.status, ended.word(status)), (status, reason), "{finish:?}");
        let word = finish.filter(|_| status == RunStatus::Incomplete);
        assert_eq!(ended.reason.as_deref(), word, "the provider's own word");
        assert!(ended.failure.is_none(), "what it said is kept");
    }
    let (_, silent) = run(&[chunk(&json!({}), Some("error"))]);
    assert!(silent.failure.is_some() && silent.error.is_some());
}

#[test]
fn the_output_is_the_items_that_a_response_would_have() {
    let cite = json!({"type": "url_citation", "url_citation": {"url": "https://x", "title": "X", "start_index": 0, "end_index": 1}});
    let call = json!({"index": 0, "id": "c_1", "function": {"name": "f", "arguments": ""}});
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2});
    let (texts, ended) = run(&[
        chunk(&json!({"reasoning_content": "hm"}), None),
        chunk(&json!({"content": "I "}), None),
        chunk(&json!({"content": "look", "annotations": [cite]}), None),
        chunk(&json!({"tool_calls": [call]}), Some("tool_calls")),
        json!({"choices": [], "usage": usage}),
    ]);
    assert_eq!(texts, [(1, "I ".to_owned()), (1, "look".to_owned())]);
    let output: Vec<Value> = ended.output.into_iter().map(Item::into_value).collect();
    let cite = json!({"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 1});
    let expected = json!([
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "I look", "annotations": [cite]}]},
        {"type": "function_call", "call_id": "c_1", "name": "f", "arguments": "{}"},
    ]);
    assert_eq!(Value::from(output), expected);
    assert_eq!(
        (ended.response_id.as_deref(), ended.model.as_deref()),
        (Some("chatcmpl-1"), Some("m-1"))
    );
    assert_eq!(ended.usage, Some(Usage { input_tokens: 3, output_tokens: 2, ..Usage::default() }));
    assert!(!ended.refusal);
}

#[test]
fn a_refusal_is_one_and_a_call_without_an_id_gets_one_of_its_own() {
    let (texts, ended) = run(&[chunk(&json!({"refusal": "No."}), Some("stop"))]);
    assert!(ended.refusal && ended.usage.is_none());
    assert_eq!((texts, ended.output[0].text().as_str()), (vec![(0, "No.".to_owned())], "No."));
    let calls = json!({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g"}}]});
    let (_, ended) = run(&[chunk(&calls, Some("stop"))]);
    let ids: std::collections::HashSet<_> = ended.output.iter().filter_map(Item::call_id).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|id| id.len() <= 40), "OpenAI takes no longer ones");
}

#[test]
fn a_request_has_what_the_definition_sets_in_this_protocols_names() {
    let client = |url: &str| OpenAi::builder().base_url(url).build().unwrap();
    let definition = AssistantDefinition::new("m")
        .instructions("You sing.")
        .temperature(0.5)
        .max_output_tokens(50)
        .reasoning(json!({"effort": "low", "summary": "auto"}))
        .metadata("tenant", "t")
        .tool(json!({"type": "function", "name": "f", "parameters": {}}))
        .parameter("seed", 7);
    let call = Call {
        end_user: None,
        definition,
        input: vec![Item::message("user", "Hi")],
        form: None,
        conversation: None,
        own: None,
        assistant: None,
        tries: std::sync::Arc::default(),
    };
    for (url, role) in
        [("http://localhost:1/v1", "system"), ("https://api.openai.com/v1", "developer")]
    {
        let request = ChatCompletions::new(client(url)).request(&call).unwrap();
        assert_eq!(request.messages[0], json!({"role": role, "content": "You sing."}));
        assert_eq!((request.max_tokens, request.temperature), (Some(50), Some(0.5)));
        assert_eq!(request.reasoning_effort.as_deref(), Some("low"));
        assert_eq!(request.tools[0]["function"]["name"], "f");
        assert_eq!(Value::Object(request.extra), json!({"seed": 7}));
    }
}
