//! G15: what a page sends of decisions, by itself and again, answers what was asked and nothing else.

use super::*;

on_each_database!(
    what_was_agreed_to_is_no_answer_to_what_is_asked_since,
    what_was_decided_already_holds_up_no_other_decision,
    what_a_page_carries_out_itself_goes_on_with_its_output,
);

/// As the AI SDK leaves an answer whose user agreed to all that was asked, and as it sends that.
fn agreed(answer: &UiMessage) -> ChatRequest {
    let mut answer = answer.clone();
    for part in &mut answer.parts {
        if part["state"] == "approval-requested" {
            part["state"] = "approval-responded".into();
            part["approval"]["approved"] = true.into();
        }
    }
    let body = json!({"id": "1", "messageId": answer.id, "messages": [answer]});
    serde_json::from_value(body).unwrap()
}

async fn shown<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> UiMessage {
    thread.ui_messages(&host.engine, Page::default()).await.unwrap().items.pop().unwrap()
}

/// G15: a page sends what was decided there by itself. It is no answer to a question that was asked when a process had died.
async fn what_was_agreed_to_is_no_answer_to_what_is_asked_since<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    host.fake.reply(opens(12));
    let run = ask(&host, &thread).await;
    drop(read(run.events(&host.engine).ui_message_stream()).await);
    let request = agreed(&shown(&host, &thread).await);
    let calls = host.user.tool_calls(&host.engine);
    host.fake.reply(Reply::text("It is open."));
    calls.decide(request.decisions()).await.unwrap();
    host.engine.answer(run.id).await.unwrap();
    until_announced(&host.db).await;
    // As a process leaves it that dies in the middle of the call.
    host.db.execute(
        "UPDATE ai_engine_tool_calls SET status = 'running', output = NULL, finished_at = NULL, repeatable = 'ask'; \
         DELETE FROM ai_engine_run_items WHERE kind = 'function_call_output'; \
         UPDATE ai_engine_runs SET status = 'in_progress', finished_at = NULL, lease_owner = 'dead', announced_at = NULL",
    );
    let later = tooled(&host);
    later.recover().await.unwrap();
    // The page goes on where it was: it is asked again.
    let cursor = request.cursor();
    let rest = run.events(&later).resume(cursor.as_deref()).await.unwrap();
    let rest = read(rest.ui_message_stream()).await;
    let asked = rest.iter().find(|chunk| chunk["type"] == "tool-approval-request");
    let asked = asked.unwrap_or_else(|| panic!("{rest:?}"));
    assert_ne!(asked["approvalId"], request.messages[0].parts[1]["approval"]["id"]);
    let waits = read(run.events(&later).ag_ui("page", "run")).await;
    let interrupt = &waits.last().unwrap()["outcome"]["interrupts"][0];
    assert_eq!(interrupt["id"], asked["approvalId"]);
    // What it sent before, sent late or again, changes nothing.
    let calls = host.user.tool_calls(&later);
    let decided = calls.decide(request.decisions()).await.unwrap();
    assert_eq!((decided[0].status.as_str(), decided[0].attempts), ("awaiting_approval", 1));
    // And the answer to this question does.
    host.fake.reply(Reply::text("It is open."));
    calls.decide(agreed(&shown(&host, &thread).await).decisions()).await.unwrap();
    let answer = later.answer(run.id).await.unwrap();
    assert_eq!(answer.run.status.as_str(), "completed");
    assert_eq!(host.db.number("SELECT attempts FROM ai_engine_tool_calls"), 2);
}

/// A page sends all that was decided there, also what somebody decided elsewhere meanwhile.
async fn what_was_decided_already_holds_up_no_other_decision<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    let call = |id: &str, door: u32| {
        json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "open",
            "arguments": json!({"door": door}).to_string(), "status": "completed",
        })
    };
    host.fake.reply(Reply::text("Let me see.").item(call("c1", 12)).item(call("c2", 13)));
    let run = ask(&host, &thread).await;
    drop(read(run.events(&host.engine).ui_message_stream()).await);
    let request = agreed(&shown(&host, &thread).await);
    let pending = thread.pending(&host.engine).await.unwrap();
    let calls = host.user.tool_calls(&host.engine);
    calls.approve(pending[0].id).await.unwrap();
    host.fake.reply(Reply::text("They are open."));
    let decided = calls.decide(request.decisions()).await.unwrap();
    assert_eq!(decided.len(), 2);
    assert_eq!(host.engine.answer(run.id).await.unwrap().run.status.as_str(), "completed");
    let otherwise = calls.reject(pending[1].id, "no").await;
    assert!(matches!(otherwise, Err(ai_engine::Error::Decided { .. })), "{otherwise:?}");

    // Nobody decided in time: a client of AG-UI has nothing to say but that it does not agree.
    host.fake.reply(opens(14));
    let run = ask(&host, &thread).await;
    let waits = read(run.events(&host.engine).ag_ui("page", "run")).await;
    host.db.execute("UPDATE ai_engine_tool_calls SET decide_until = 1 WHERE finished_at IS NULL");
    let interrupt = &waits.last().unwrap()["outcome"]["interrupts"][0]["id"];
    let body = json!({
        "threadId": "page", "runId": "next",
        "resume": [{"interruptId": interrupt, "status": "cancelled"}],
    });
    let request: AgUiRequest = serde_json::from_value(body).unwrap();
    host.fake.reply(Reply::text("I see."));
    for _ in 0..2 {
        calls.decide(request.decisions()).await.unwrap();
    }
    assert_eq!(host.engine.answer(run.id).await.unwrap().run.status.as_str(), "completed");
    calls.decide(request.decisions()).await.unwrap();
}

async fn what_a_page_carries_out_itself_goes_on_with_its_output<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    let pays = || {
        Reply::text("Let me see.").item(json!({
            "type": "function_call", "id": "fc_1", "call_id": "c1", "name": "pay",
            "arguments": "{}", "status": "completed",
        }))
    };
    let pay = json!({"type": "function", "name": "pay", "parameters": {"type": "object"}});
    for of_ag_ui in [false, true] {
        host.fake.reply(pays());
        let request = host.teller.ai_engine_run(&host.engine, &thread, "Pay");
        let pay = pay.clone();
        let run = request.definition(move |usual| usual.tool(pay.clone())).await.unwrap().run;
        let decisions = if of_ag_ui {
            let waits = read(run.events(&host.engine).ag_ui("page", "run")).await;
            let call = &waits.last().unwrap()["outcome"]["pendingToolCallIds"][0];
            // What was told of another call stands before it.
            let body = json!({"threadId": "page", "runId": "next", "messages": [
                {"id": "call-1-output", "role": "tool", "toolCallId": "1", "content": "told"},
                {"id": "new", "role": "tool", "toolCallId": call, "content": r#"{"paid": 3}"#},
            ]});
            let request: AgUiRequest = serde_json::from_value(body).unwrap();
            request.decisions()
        } else {
            let told = read(run.events(&host.engine).ui_message_stream()).await;
            let mut answer = shown(&host, &thread).await;
            let finish = told.iter().find(|chunk| chunk["type"] == "finish").unwrap();
            assert_eq!(
                finish["messageMetadata"]["awaitingOutput"],
                answer.metadata.as_ref().unwrap()["awaitingOutput"]
            );
            let is_call = |part: &&mut Value| part["type"] == "dynamic-tool";
            let part = answer.parts.iter_mut().find(is_call).unwrap();
            part["state"] = "output-available".into();
            part["output"] = json!({"paid": 3});
            agreed(&answer).decisions()
        };
        assert_eq!(decisions.len(), 1, "{decisions:?}");
        host.fake.reply(Reply::text("Paid."));
        host.user.tool_calls(&host.engine).decide(decisions).await.unwrap();
        let answer = host.engine.answer(run.id).await.unwrap();
        assert_eq!(answer.run.status.as_str(), "completed");
        // The engine's own outputs are none of the page's.
        assert_eq!(agreed(&shown(&host, &thread).await).decisions(), []);
    }
    let told = host.db.texts("SELECT output AS line FROM ai_engine_tool_calls ORDER BY id");
    assert_eq!(told, [r#"{"paid":3}"#, r#"{"paid": 3}"#]);
}
