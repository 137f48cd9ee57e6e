//! Calls as odd servers say them: beside text in any order, without ids, twice, by unknown names, of the provider's own tools.

use ai_engine::openai::Protocol;

use super::*;

on_each_database!(
    text_and_calls_come_in_any_order_in_every_protocol,
    calls_without_ids_are_carried_out,
    a_tool_that_the_assistant_does_not_use_is_not_carried_out,
    a_person_decides_on_the_providers_own_tools,
);

/// An engine with the tools, in this protocol.
async fn speaking<D: TestDatabase>(db: &D, protocol: Protocol) -> (Host<D>, Done) {
    let (host, done) = (Host::speaking(db.another(), protocol).await, Done::default());
    let (state, meeting) = (done.clone(), Meeting(Arc::new(tokio::sync::Barrier::new(2))));
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        let openai = host.fake.openai_builder().protocol(protocol).build().unwrap();
        let builder = builder.openai(openai).state(state).state(meeting);
        builder.tool::<Look>().tool::<Open>().tool::<Meet>()
    });
    (Host { engine, ..host }, done)
}

async fn text_and_calls_come_in_any_order_in_every_protocol<D: TestDatabase>(db: D) {
    let (hall, attic) = (json!({"room": "hall"}), json!({"room": "attic"}));
    for protocol in [Protocol::Responses, Protocol::ChatCompletions, Protocol::Assistants] {
        for reply in [
            Reply::text("").without_message().item(call("c1", "look", &hall)),
            Reply::text("I look.").item(call("c1", "look", &hall)),
            Reply::text("I look.").item(call("c1", "look", &hall)).item(call("c2", "look", &attic)),
        ] {
            let (host, done) = speaking(&db, protocol).await;
            let thread = host.thread().await;
            host.fake.reply(reply.clone());
            host.fake.reply(Reply::text("A hall."));
            let answer = ask(&host, &thread).await.unwrap();
            assert_eq!(answer.run.status, RunStatus::Completed, "{protocol}: {:?}", answer.run);
            assert_eq!(answer.messages.last().unwrap().content, "A hall.", "{protocol}");
            let shown = host.fake.requests().pop().unwrap().body.unwrap().to_string();
            assert_eq!(done.all().len(), shown.matches("seen").count(), "{protocol}: {shown}");
            assert!(!done.all().is_empty());
        }
    }
}

async fn calls_without_ids_are_carried_out<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let bare =
        |room: &str| json!({"type": "function_call", "name": "look", "arguments": {"room": room}});
    host.fake.reply(Reply::text("I look.").item(bare("hall")).item(bare("attic")));
    host.fake.reply(Reply::text("Two rooms."));
    let answer = ask(&host, &thread).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed, "{:?}", answer.run);
    assert_eq!(done.all().len(), 2, "{:?}", done.all());
}

async fn a_tool_that_the_assistant_does_not_use_is_not_carried_out<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(asks([("c", "look", json!({"room": "hall"}))]));
    host.fake.reply(Reply::text("I see."));
    let request = host.teller.ai_engine_run(&host.engine, &thread, "What is there?");
    let answer = request.definition(AssistantDefinition::uses::<Open>).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(outputs(&host)[0].1, "there is no tool \"look\"; there are: open");
    assert_eq!(done.all(), [] as [&str; 0], "the engine has it, and this assistant does not");
}

async fn a_person_decides_on_the_providers_own_tools<D: TestDatabase>(db: D) {
    let (host, _) = start(db).await;
    let own =
        json!({"type": "mcp", "server_label": "crm", "server_url": "https://crm.example/mcp"});
    for agrees in [true, false] {
        let thread = host.thread().await;
        let request = json!({
            "type": "mcp_approval_request", "id": "mcpr_1", "server_label": "crm", "name": "close_deal",
            "arguments": "{\"deal\":7}",
        });
        host.fake.reply(Reply::text("").without_message().item(request));
        host.fake.reply(Reply::text("Very well."));
        let tool = own.clone();
        let asked = host.teller.ai_engine_run(&host.engine, &thread, "Close it");
        let answer = asked.definition(move |usual| usual.tool(tool.clone())).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::RequiresAction);
        let call = host.user.tool_calls(&host.engine).waiting().await.unwrap().remove(0);
        assert_eq!((&*call.name, &*call.arguments), ("close_deal", r#"{"deal":7}"#));
        if agrees {
            // The provider carries out what it was asked for, and takes no other arguments.
            let changed = host.engine.tool_calls().approve_with(call.id, json!({"deal": 8})).await;
            let Err(Error::Invalid { field: "arguments", reason, .. }) = &changed else {
                panic!("{changed:?}")
            };
            assert!(reason.contains("provider"), "{reason}");
            host.engine.approve(call.id).await.unwrap();
        } else {
            host.engine.reject(call.id, "not today").await.unwrap();
        }
        let answer = host.engine.answer(call.run_id).await.unwrap();
        assert_eq!(answer.text(), "Very well.");
        let sent = host.fake.requests().pop().unwrap().body.unwrap();
        let told = sent["input"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&told["type"], &told["approve"]),
            (&json!("mcp_approval_response"), &json!(agrees))
        );
    }
}
