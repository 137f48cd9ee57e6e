//! Steps, their calls, and what a page is told where it goes on.

use super::*;
use crate::model::{ToolCall, ToolCallStatus};
use crate::ui::ChatRequest;

fn call(id: i64, step: i64, status: ToolCallStatus) -> ToolCall {
    ToolCall { id, step, ..ToolCall::sample(id, status) }
}

fn tell(encoder: &mut UiMessageEncoder, kinds: impl IntoIterator<Item = EventKind>) -> Vec<Value> {
    kinds.into_iter().flat_map(|kind| encoder.encode(&event(kind))).collect()
}

fn new() -> UiMessageEncoder {
    UiMessageEncoder::new(&run(RunStatus::InProgress, None))
}

/// A turn in which nothing was said but the question.
fn turn(calls: Vec<ToolCall>) -> Turn {
    Turn {
        seq: 1,
        run: Some(run(RunStatus::InProgress, None)),
        messages: vec![Message {
            role: Role::User,
            ..message("Open it", MessageStatus::Completed)
        }],
        tool_calls: calls,
        siblings: Vec::new(),
    }
}

#[test]
fn calls_of_two_steps_stand_in_two_steps() {
    let of = |steps: [i64; 2]| {
        let calls = [
            call(1, steps[0], ToolCallStatus::Running),
            call(3, steps[1], ToolCallStatus::Running),
        ];
        let told = tell(&mut new(), calls.map(|call| EventKind::ToolCall { call }));
        kinds(&told).join(" ")
    };
    let input = "tool-input-available";
    assert_eq!(of([1, 1]), format!("start start-step {input} {input}"));
    assert_eq!(of([1, 2]), format!("start start-step {input} finish-step start-step {input}"));
}

#[test]
fn a_turn_in_which_only_a_tool_was_called_is_shown() {
    let rejected = ToolCall {
        output: Some("not now".to_owned()),
        decided_at: Some(chrono::Utc::now()),
        ..call(1, 1, ToolCallStatus::Rejected)
    };
    let shown = UiMessage::of_turn(&turn(vec![rejected]));
    let parts = &shown[1].parts;
    let kinds: Vec<&Value> = parts.iter().map(|part| &part["type"]).collect();
    assert_eq!(kinds, ["step-start", "dynamic-tool"]);
    let approval = json!({"id": "1.0", "approved": false, "reason": "not now"});
    assert_eq!((&parts[1]["state"], &parts[1]["approval"]), (&json!("output-denied"), &approval));
}

#[test]
fn arguments_that_were_changed_with_the_approval_are_told() {
    let waits = call(1, 1, ToolCallStatus::AwaitingApproval);
    let approved = ToolCall {
        changed_arguments: Some(r#"{"door":8}"#.to_owned()),
        decided_at: Some(chrono::Utc::now()),
        ..call(1, 1, ToolCallStatus::Approved)
    };
    let told = tell(&mut new(), [waits, approved].map(|call| EventKind::ToolCall { call }));
    let inputs = told.iter().filter(|chunk| chunk["type"] == "tool-input-available");
    let inputs: Vec<&Value> = inputs.map(|chunk| &chunk["input"]).collect();
    assert_eq!(inputs, [&json!({}), &json!({"door": 8})]);
    assert_eq!(kinds(&told).last(), Some(&"tool-approval-response"));
}

#[test]
fn a_page_is_told_which_outputs_it_may_send_and_sends_no_others() {
    let mut encoder = new();
    let sent = call(1, 1, ToolCallStatus::AwaitingOutput);
    let waits = call(2, 1, ToolCallStatus::AwaitingOutput);
    let done = ToolCall { output: Some("1".to_owned()), ..call(1, 1, ToolCallStatus::Completed) };
    drop(tell(&mut encoder, [sent, waits, done].map(|call| EventKind::ToolCall { call })));
    let place = Cursor::start(Run::sample(RunStatus::Queued).messageable);
    let told = encoder.waits(&place);
    let facts = &told.last().unwrap()["messageMetadata"];
    assert_eq!(facts["awaitingOutput"], json!(["2"]));

    let part = |id: &str| json!({"type": "dynamic-tool", "toolCallId": id, "state": "output-available", "output": 1});
    let answer = |status: &str, cursor: &str| {
        json!({"id": "run-1", "role": "assistant", "parts": [part("1"), part("2")],
            "metadata": {"status": status, "awaitingOutput": ["2"], "cursor": cursor}})
    };
    let request = |messages: Vec<Value>| -> ChatRequest {
        serde_json::from_value(json!({"id": "1", "messages": messages})).unwrap()
    };
    let waiting = request(vec![answer("completed", "t1.1"), answer("requires_action", "t1.2")]);
    let ids: Vec<i64> = waiting.decisions().iter().map(|(id, _)| *id).collect();
    assert_eq!((ids, waiting.cursor().as_deref()), (vec![2], Some("t1.2")));
    // What it noted while the run waited says nothing once that is over.
    assert!(request(vec![answer("completed", "t1.1")]).decisions().is_empty());
}

/// As behind a place at the end of a text that had not been settled.
#[test]
fn a_text_that_is_only_settled_here_is_begun_here() {
    let settled = EventKind::MessageSettled { message: message("Once", MessageStatus::Completed) };
    let told = tell(&mut new(), [settled]);
    assert_eq!(kinds(&told), ["start", "start-step", "text-start", "text-end"]);
}
