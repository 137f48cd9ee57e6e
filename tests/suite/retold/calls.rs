//! Calls without an output, and thoughts without what followed them: no server takes a history that has some.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Reason, RunStatus, prelude::*};
use serde_json::json;

use super::{bodies, kinds};
use crate::support::*;

on_each_database!(
    calls_of_every_kind_are_closed_before_the_next_turn,
    a_call_that_was_left_behind_is_closed,
    a_call_that_cannot_be_closed_leads_to_a_new_conversation,
    reasoning_without_what_followed_it_does_not_travel,
);

async fn calls_of_every_kind_are_closed_before_the_next_turn<D: TestDatabase>(db: D) {
    for conversing in [false, true] {
        let host = if conversing {
            Host::conversing(db.another()).await
        } else {
            Host::new(db.another()).await
        };
        for (call, output) in [
            (
                json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}),
                "function_call_output",
            ),
            (
                json!({"type": "custom_tool_call", "call_id": "c2", "name": "f", "input": "x"}),
                "custom_tool_call_output",
            ),
            (
                json!({"type": "local_shell_call", "call_id": "c3", "action": {"type": "exec", "command": ["ls"], "env": {}}, "status": "completed"}),
                "local_shell_call_output",
            ),
            (
                json!({"type": "shell_call", "call_id": "c4", "action": {"commands": ["ls"], "max_output_length": 100}, "status": "completed"}),
                "shell_call_output",
            ),
            (
                json!({"type": "apply_patch_call", "call_id": "c5", "operation": {}, "status": "completed"}),
                "apply_patch_call_output",
            ),
            (
                json!({"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "s", "name": "f", "arguments": "{}"}),
                "mcp_approval_response",
            ),
        ] {
            let thread = host.thread().await;
            let kind = call["type"].clone();
            host.fake.reply(Reply::deltas([""; 0]).without_message().item(call));
            let answer = host.teller.ai_engine_run(&host.engine, &thread, "look").await.unwrap();
            let told = (answer.run.status, answer.run.reason);
            assert_eq!(told, (RunStatus::Incomplete, Some(Reason::ToolCalls)), "{kind}");
            host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
            let sent = kinds(bodies(&host).last().unwrap());
            assert!(sent.contains(&output.to_owned()), "{kind}: {sent:?}");
            assert_eq!(sent.last().unwrap(), "message", "{kind}: {sent:?}");
        }
    }
}

async fn a_call_that_was_left_behind_is_closed<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let call =
        json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"});
    for stopped in [false, true] {
        let thread = host.thread().await;
        let reply = Reply::deltas(["I look. "]).item(call.clone()).finish_unseen();
        let gate = Gate::new();
        // In the middle of the call, which nobody here has seen whole then.
        let reply = if stopped { reply.hold_at(3, gate.clone()) } else { reply.disconnect_at(3) };
        host.fake.reply(reply);
        let run = host.teller.ai_engine_run(&host.engine, &thread, "look").submit().await.unwrap();
        if stopped {
            gate.reached().await;
            run.cancel(&host.engine).await.unwrap();
            gate.open();
        }
        let _ = host.engine.answer(run.id).await;
        let conversation = thread.remote_id.clone().unwrap();
        // The service goes on by itself, and keeps the call.
        until(|| {
            let items = host.fake.conversation_items(&conversation).unwrap_or_default();
            items.iter().any(|item| item["type"] == "function_call")
        })
        .await;
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        // A run whose stream broke before any output asks again, and closes the call with that.
        let bodies = bodies(&host);
        let first = if stopped { bodies.len() - 1 } else { bodies.len() - 2 };
        let sent: Vec<String> = bodies[first..].iter().flat_map(kinds).collect();
        assert_eq!(sent, ["function_call_output", "message"], "stopped: {stopped}");
        assert!(answer.run.notes.is_empty(), "the conversation went on: {:?}", answer.run.notes);
    }
}

async fn a_call_that_cannot_be_closed_leads_to_a_new_conversation<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let call = json!({"type": "computer_call", "call_id": "c1", "action": {"type": "screenshot"}, "status": "completed"});
    host.fake.reply(Reply::text("I look.").item(call).disconnect_at(8).finish_unseen());
    let _ = host.teller.ai_engine_run(&host.engine, &thread, "look").await;
    let conversation = thread.remote_id.clone().unwrap();
    until(|| host.fake.conversation_items(&conversation).is_some_and(|items| items.len() > 2))
        .await;
    host.fake.reply(Reply::text("Fine."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
    assert_eq!(answer.text(), "Fine.");
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    assert_ne!(found.remote_id, thread.remote_id);
}

async fn reasoning_without_what_followed_it_does_not_travel<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thought = json!({"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"});
    let thread = host.thread().await;
    let lonely = [
        Reply::deltas([""; 0])
            .without_message()
            .item(thought.clone())
            .incomplete("max_output_tokens"),
        Reply::deltas([""; 0]).without_message().item(thought.clone()).incomplete("content_filter"),
        Reply::deltas([" "]).item(thought.clone()),
    ];
    for reply in lonely {
        host.fake.reply(reply);
        let _ = host.teller.ai_engine_run(&host.engine, &thread, "think").await;
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
        assert_eq!(answer.text(), "Fine.");
        let sent = kinds(bodies(&host).last().unwrap());
        assert!(!sent.contains(&"reasoning".to_owned()), "{sent:?}");
    }
}
