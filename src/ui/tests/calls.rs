//! Calls of tools that somebody has to decide on.

use std::sync::Arc;

use chrono::Utc;

use super::*;
use crate::follow::cursor::Part;
use crate::model::{Messageable, Repeatable, ToolCall, ToolCallStatus};

/// The only call, begun so often.
fn call(status: ToolCallStatus, attempts: i64) -> ToolCall {
    ToolCall {
        id: 7,
        run_id: 1,
        step: 1,
        position: 1,
        call_id: "c".to_owned(),
        kind: "function_call".to_owned(),
        name: "open".to_owned(),
        arguments: r#"{"door":7}"#.to_owned(),
        changed_arguments: None,
        status,
        repeatable: Repeatable::Ask,
        output: None,
        error: None,
        attempts,
        idempotency_key: "k".to_owned(),
        decided_by: None,
        decide_until: None,
        version: 1,
        output_position: 2,
        created_at: Utc::now(),
        started_at: None,
        decided_at: (attempts > 0).then(Utc::now),
        finished_at: None,
    }
}

fn tell(encoder: &mut UiMessageEncoder, calls: impl IntoIterator<Item = ToolCall>) -> Vec<Value> {
    let events = calls.into_iter().map(|call| event(EventKind::ToolCall { call }));
    events.flat_map(|event| encoder.encode(&event)).collect()
}

/// A page that has the call from another stream.
fn behind_the_call() -> UiMessageEncoder {
    let run = run(RunStatus::InProgress, None);
    let mut cursor = Cursor::at(run.messageable, run.seq, Part::Own);
    Arc::make_mut(&mut cursor.delivered).calls.push((1, 1));
    UiMessageEncoder::new(&run).after(&cursor)
}

/// G15: a process died in the middle of a call that somebody had agreed to. What the page has is the answer to another question: it would
/// send that by itself, and the call would be carried out twice.
#[test]
fn what_is_asked_again_is_told_again_under_another_name() {
    let new = || UiMessageEncoder::new(&run(RunStatus::InProgress, None));
    let waits = |attempts| call(ToolCallStatus::AwaitingApproval, attempts);
    let approved = ToolCall { decided_at: Some(Utc::now()), ..call(ToolCallStatus::Approved, 0) };
    for (mut encoder, before) in [
        (new(), vec![]),
        (new(), vec![waits(0)]),
        (new(), vec![waits(0), approved.clone(), call(ToolCallStatus::Running, 1)]),
        (new(), vec![approved]),
        (behind_the_call(), vec![]),
        (behind_the_call(), vec![call(ToolCallStatus::Running, 1)]),
    ] {
        let told = before.len();
        drop(tell(&mut encoder, before));
        let again = tell(&mut encoder, [waits(1), waits(1)]);
        let asked: Vec<&Value> =
            again.iter().filter(|chunk| chunk["type"] == "tool-approval-request").collect();
        assert_eq!(asked.len(), 1, "behind {told}: {again:?}");
        assert_eq!(
            (&asked[0]["approvalId"], &asked[0]["toolCallId"]),
            (&json!("7.1"), &json!("7"))
        );
        let steps = again.iter().filter(|chunk| chunk["type"] == "start-step").count();
        let first = again.iter().any(|chunk| chunk["type"] == "tool-input-available");
        assert_eq!(steps, usize::from(first), "a step in which the call does not stand: {again:?}");
    }
}

/// The same chunks are given to the AI SDK's own reader (`scripts/pages`): the page asks, and sends nothing by itself.
#[test]
fn a_page_that_agreed_before_is_asked_again() {
    let chunks = tell(&mut behind_the_call(), [call(ToolCallStatus::AwaitingApproval, 1)]);
    let lines: Vec<String> = chunks.iter().map(ToString::to_string).collect();
    let known = include_str!("../../../tests/data/ui/asked_again.jsonl");
    assert_eq!(lines.join("\n"), known.trim_end());
}

/// Live and later a call ends in the same state.
#[test]
fn what_came_of_a_question_is_told_alike_whenever_a_page_comes() {
    let waits = ToolCall { decide_until: Some(1), ..call(ToolCallStatus::AwaitingApproval, 0) };
    let ended = |status| ToolCall { status, ..waits.clone() };
    let by_itself = ToolCall { decide_until: None, ..ended(ToolCallStatus::Rejected) };
    for (calls, last) in [
        // Nobody decided in time.
        (vec![waits.clone(), ended(ToolCallStatus::Rejected)], "tool-output-denied"),
        (vec![waits.clone(), ended(ToolCallStatus::Cancelled)], "tool-output-error"),
        // The tool refused it: nobody was asked.
        (vec![by_itself], "tool-output-error"),
    ] {
        for seen in [&calls[..], &calls[calls.len() - 1..]] {
            let mut encoder = UiMessageEncoder::new(&run(RunStatus::InProgress, None));
            let told = tell(&mut encoder, seen.to_vec());
            assert_eq!(kinds(&told).last(), Some(&last), "{told:?}");
        }
        let told = tell(&mut behind_the_call(), calls[calls.len() - 1..].to_vec());
        assert_eq!(kinds(&told).last(), Some(&last), "{told:?}");
    }
}

/// The AI SDK refuses a call that ended and was asked about without an answer.
#[test]
fn a_call_that_was_cancelled_leaves_no_question_without_an_answer() {
    let waits = |attempts| ToolCall {
        decided_at: None,
        ..call(ToolCallStatus::AwaitingApproval, attempts)
    };
    let cancelled = |attempts| ToolCall { status: ToolCallStatus::Cancelled, ..waits(attempts) };
    let approved = ToolCall { decided_at: Some(Utc::now()), ..call(ToolCallStatus::Approved, 0) };
    for calls in [
        vec![waits(0), cancelled(0)],
        vec![waits(0), approved.clone(), call(ToolCallStatus::Running, 1), waits(1), cancelled(1)],
    ] {
        let mut encoder = UiMessageEncoder::new(&run(RunStatus::InProgress, None));
        let told = tell(&mut encoder, calls);
        let again = told.iter().skip_while(|chunk| chunk["type"] != "reset-step");
        let again: Vec<Value> = again.cloned().collect();
        assert_eq!(
            kinds(&again),
            ["reset-step", "tool-input-available", "tool-output-error"],
            "{told:?}"
        );
    }
    // Somebody had agreed, and that was not told.
    let mut encoder = UiMessageEncoder::new(&run(RunStatus::InProgress, None));
    let ended = ToolCall { status: ToolCallStatus::Cancelled, ..approved };
    let told = tell(&mut encoder, [waits(0), ended]);
    let answer = told.iter().find(|chunk| chunk["type"] == "tool-approval-response");
    assert_eq!(answer.unwrap()["approved"], true);
    assert_eq!(kinds(&told).last(), Some(&"tool-output-error"));
}

/// A page sends the place that it has; what is beside it there is another answer's.
#[test]
fn a_place_in_another_run_says_nothing_of_a_call() {
    let run = run(RunStatus::InProgress, None);
    for (of, seq) in [(run.messageable, run.seq + 1), (Messageable::Chat(7), run.seq)] {
        let mut cursor = Cursor::at(of, seq, Part::Own);
        Arc::make_mut(&mut cursor.delivered).calls.push((1, 1));
        let mut encoder = UiMessageEncoder::new(&run).after(&cursor);
        let told = tell(&mut encoder, [call(ToolCallStatus::Completed, 1)]);
        let kinds = kinds(&told);
        assert!(kinds.contains(&"tool-input-available"), "{kinds:?}");
    }
    // Of a turn that came back the place has another number.
    let mut cursor = Cursor::at(run.messageable, run.seq + 3, Part::Back(run.seq));
    Arc::make_mut(&mut cursor.delivered).calls.push((1, 1));
    let mut encoder = UiMessageEncoder::new(&run).after(&cursor);
    let told = tell(&mut encoder, [call(ToolCallStatus::Completed, 1)]);
    assert!(!kinds(&told).contains(&"tool-input-available"), "{told:?}");
}
