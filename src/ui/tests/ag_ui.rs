//! What AG-UI is told of calls, and behind a history.

use super::*;
use crate::model::{ToolCall, ToolCallStatus};

fn told(encoder: &mut AgUiEncoder, call: &ToolCall) -> Vec<Value> {
    encoder.encode(&event(EventKind::ToolCall { call: call.clone() }))
}

fn turn(calls: Vec<ToolCall>) -> Turn {
    Turn {
        seq: 1,
        run: Some(run(RunStatus::RequiresAction, None)),
        messages: vec![message("Let me see.", MessageStatus::Streaming)],
        tool_calls: calls,
        siblings: Vec::new(),
    }
}

#[test]
fn a_history_closes_what_is_open_and_says_what_waits() {
    let mut encoder = AgUiEncoder::named("thread", "run");
    for event in began() {
        drop(encoder.encode(&event));
    }
    let waits = ToolCall {
        decide_until: Some(1_764_367_200_000),
        ..ToolCall::sample(1, ToolCallStatus::AwaitingApproval)
    };
    let history = encoder.history(&[turn(vec![waits.clone()])]);
    assert_eq!(kinds(&history), ["TEXT_MESSAGE_END", "MESSAGES_SNAPSHOT"]);
    let finished = encoder.waits();
    let outcome = &finished.last().unwrap()["outcome"];
    assert_eq!((kinds(&finished), &outcome["type"]), (vec!["RUN_FINISHED"], &json!("interrupt")));
    let asked = &outcome["interrupts"][0];
    assert_eq!(
        (&asked["id"], &asked["toolCallId"], &asked["expiresAt"]),
        (&json!("1.0"), &json!("1"), &json!("2025-11-28T22:00:00+00:00"))
    );
    assert!(told(&mut encoder, &waits).is_empty(), "it is in the history");
}

#[test]
fn what_came_of_a_call_is_told_once_and_it_waits_no_more() {
    let mut encoder = AgUiEncoder::named("thread", "run");
    for id in [1, 2] {
        drop(told(&mut encoder, &ToolCall::sample(id, ToolCallStatus::AwaitingOutput)));
    }
    let done =
        ToolCall { output: Some("7".to_owned()), ..ToolCall::sample(1, ToolCallStatus::Completed) };
    let result = told(&mut encoder, &done);
    assert_eq!((kinds(&result), &result[0]["content"]), (vec!["TOOL_CALL_RESULT"], &json!("7")));
    assert!(told(&mut encoder, &done).is_empty());
    let outcome = encoder.waits().pop().unwrap()["outcome"].clone();
    assert_eq!(outcome, json!({"type": "success", "pendingToolCallIds": ["2"]}));
}
