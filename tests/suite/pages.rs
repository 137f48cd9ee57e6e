//! What pages read: the AI SDK's stream, AG-UI's, and the history tell of a run what the database holds, wherever they begin.

mod decisions;
mod places;

use ai_engine::testing::{Gate, Reply};
use ai_engine::ui::{AgUiRequest, ChatRequest, UiMessage, UiStream};
use ai_engine::{
    AiEngine, Approval, AssistantDefinition, AssistantThread, Content, EngineBuilder, Page, Run,
    ToolContext, ToolError,
    prelude::*,
    schemars::{self, JsonSchema},
};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    an_answer_with_a_tool_is_told_in_both_protocols_and_in_the_history,
    a_run_that_waits_ends_its_stream_and_goes_on_behind_it,
    a_stream_that_the_shutdown_ends_is_told_on_by_another_process,
    a_page_that_comes_back_is_given_the_history_and_the_rest,
    a_text_that_turned_out_another_is_shown_once,
    what_a_page_sends_is_read_or_refused_by_name,
);

/// Opens a door.
#[derive(Debug, Deserialize, JsonSchema)]
struct Open {
    door: u32,
}

impl Tool for Open {
    const NAME: &'static str = "open";
    type Output = Value;

    async fn call(self, _: &ToolContext<'_>) -> Result<Value, ToolError> {
        if self.door == 0 {
            return Err(ToolError::new("there is no such door"));
        }
        Ok(json!({"open": self.door}))
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        if self.door > 10 { Approval::Needed } else { Approval::NotNeeded }
    }
}

fn tooled<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    engine(&host.db, &host.fake, &host.hub, EngineBuilder::tool::<Open>)
}

async fn start<D: TestDatabase>(db: D) -> (Host<D>, AssistantThread) {
    let host = Host::new(db).await;
    let host = Host { engine: tooled(&host), ..host };
    let thread = host.thread().await;
    (host, thread)
}

fn opens(door: u32) -> Reply {
    let arguments = json!({"door": door}).to_string();
    Reply::text("Let me see.").item(json!({
        "type": "function_call", "id": "fc_1", "call_id": "c1", "name": "open",
        "arguments": arguments, "status": "completed",
    }))
}

async fn ask<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Run {
    let request = host.teller.ai_engine_run(&host.engine, thread, "Open it");
    request.definition(AssistantDefinition::uses::<Open>).submit().await.unwrap()
}

/// The events of a body, each a line of data; `[DONE]` as a text. And whether it broke off.
async fn read_to_the_end(stream: UiStream) -> (Vec<Value>, bool) {
    let mut pieces: Vec<_> = stream.collect().await;
    let broken = pieces.pop_if(|last| last.is_err()).is_some();
    let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
    let text = String::from_utf8(pieces.concat()).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let event = |line| serde_json::from_str(line).unwrap_or_else(|_| json!({"type": line}));
    (lines.map(event).collect(), broken)
}

async fn read(stream: UiStream) -> Vec<Value> {
    let (told, broken) = read_to_the_end(stream).await;
    assert!(!broken, "{told:?}");
    told
}

/// Their kinds; a text may come in any number of pieces.
fn kinds(chunks: &[Value]) -> Vec<&str> {
    let kinds = chunks.iter().map(|chunk| chunk["type"].as_str().unwrap());
    let mut kinds: Vec<&str> = kinds.filter(|kind| *kind != "message-metadata").collect();
    kinds.dedup();
    kinds
}

fn texts(chunks: &[Value]) -> String {
    let deltas = chunks.iter().filter(|chunk| {
        ["text-delta", "TEXT_MESSAGE_CONTENT"].contains(&chunk["type"].as_str().unwrap())
    });
    deltas.map(|delta| delta["delta"].as_str().unwrap()).collect()
}

async fn an_answer_with_a_tool_is_told_in_both_protocols_and_in_the_history<D: TestDatabase>(
    db: D,
) {
    let (host, thread) = start(db).await;
    for (door, outcome, result) in [
        (7, "tool-output-available", r#"{"open":7}"#),
        (0, "tool-output-error", "there is no such door"),
    ] {
        host.fake.reply(opens(door));
        host.fake.reply(Reply::text("Done."));
        let run = ask(&host, &thread).await;
        // One that begins with the run, and one that comes when all is over, in another process.
        let live = read(run.events(&host.engine).ui_message_stream()).await;
        let later = tooled(&host);
        let stored = read(run.events(&later).ui_message_stream()).await;
        let step = ["text-start", "text-delta", "text-end"];
        let told = kinds(&stored).join(" ");
        let expected = [
            &["start", "start-step", "tool-input-available", outcome],
            &step[..],
            &["finish-step", "start-step"],
            &step,
            &["finish-step", "finish", "[DONE]"],
        ];
        assert_eq!(told, expected.concat().join(" "));
        assert_eq!((texts(&live), texts(&stored)), ("Let me see.Done.".into(), texts(&live)));
        assert_eq!(kinds(&live).last(), Some(&"[DONE]"));
        let call = stored.iter().find(|chunk| chunk["type"] == "tool-input-available").unwrap();
        assert_eq!((&call["toolName"], &call["input"]), (&json!("open"), &json!({"door": door})));

        let history = thread.ui_messages(&host.engine, Page::default()).await.unwrap().items;
        let answer = history.last().unwrap();
        assert_eq!((&*answer.id, answer.text()), (&*format!("run-{}", run.id), texts(&live)));
        let parts: Vec<&str> =
            answer.parts.iter().map(|part| part["type"].as_str().unwrap()).collect();
        assert_eq!(parts, ["step-start", "dynamic-tool", "text", "step-start", "text"]);

        let told = read(run.events(&later).ag_ui("page", "run")).await;
        let text = ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"];
        let call = ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"];
        let expected = [&["RUN_STARTED"], &call[..], &text, &text, &["RUN_FINISHED"]].concat();
        assert_eq!(kinds(&told), expected);
        let found = told.iter().find(|event| event["type"] == "TOOL_CALL_RESULT").unwrap();
        assert!(found["content"].as_str().unwrap().contains(result), "{found}");
        host.fake.verify();
    }
}

async fn a_run_that_waits_ends_its_stream_and_goes_on_behind_it<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    host.fake.reply(opens(12));
    let run = ask(&host, &thread).await;
    let told = read(run.events(&host.engine).ui_message_stream()).await;
    let end = ["finish-step", "finish", "[DONE]"];
    assert_eq!(kinds(&told)[kinds(&told).len() - 3..], end);
    assert!(kinds(&told).contains(&"tool-approval-request"));
    let shown = thread.ui_messages(&host.engine, Page::default()).await.unwrap().items;
    let is_call = |part: &&Value| part["type"] == "dynamic-tool";
    let call = shown.last().unwrap().parts.iter().find(is_call).unwrap();
    assert_eq!(call["state"], "approval-requested");
    let waits = read(run.events(&host.engine).ag_ui("page", "run")).await;
    let outcome = &waits.last().unwrap()["outcome"];
    assert_eq!(outcome["type"], "interrupt");

    // The page as the AI SDK leaves it, and sends it.
    let finish = told.iter().find(|chunk| chunk["type"] == "finish").unwrap();
    let place = &finish["messageMetadata"]["cursor"];
    let loaded = shown.last().unwrap().metadata.as_ref().unwrap();
    assert_eq!(
        (place, &loaded["cursor"]),
        (&loaded["cursor"], place),
        "also for a page loaded now"
    );
    assert!(place.is_string());
    let mut answer: UiMessage = shown.last().unwrap().clone();
    let call = answer.parts.iter_mut().find(|part| part["type"] == "dynamic-tool").unwrap();
    call["state"] = "approval-responded".into();
    call["approval"]["approved"] = true.into();
    answer.metadata = Some(finish["messageMetadata"].clone());
    let body = json!({"id": "1", "messages": [answer], "trigger": "submit-message"});
    let request: ChatRequest = serde_json::from_value(body).unwrap();
    host.fake.reply(Reply::text("It is open."));
    host.user.tool_calls(&host.engine).decide(request.decisions()).await.unwrap();
    let cursor = request.cursor();
    let rest = run.events(&host.engine).resume(cursor.as_deref()).await.unwrap();
    let rest = read(rest.ui_message_stream()).await;
    let text = ["text-start", "text-delta", "text-end"];
    let start: &[&str] = &["start", "tool-output-available", "start-step"];
    let expected = [start, &text, &["finish-step", "finish", "[DONE]"]].concat();
    assert_eq!(kinds(&rest), expected);
    assert_eq!(texts(&rest), "It is open.", "nothing is told again");

    // A page whose request was answered into the void sends it again.
    let again = host.user.tool_calls(&host.engine).decide(request.decisions()).await.unwrap();
    assert_eq!((again[0].run_id, again[0].status.as_str()), (run.id, "completed"));
    let resumed: AgUiRequest = serde_json::from_value(json!({
        "threadId": "page", "runId": "next", "messages": [],
        "resume": [
            {"interruptId": outcome["interrupts"][0]["id"], "status": "resolved"},
            {"interruptId": "2.0", "status": "cancelled"},
            {"interruptId": "3.1", "status": "resolved", "payload": {"approved": false, "reason": "no"}},
        ],
    }))
    .unwrap();
    let refused = |reason: &str| ai_engine::Decision::reject(reason);
    let id = outcome["interrupts"][0]["toolCallId"].as_str().unwrap().parse().unwrap();
    let expected = vec![
        (id, ai_engine::Decision::approve().asked_after(0)),
        (2, refused("The user does not agree.").asked_after(0)),
        (3, refused("no").asked_after(1)),
    ];
    assert_eq!(resumed.decisions(), expected);
}

async fn a_stream_that_the_shutdown_ends_is_told_on_by_another_process<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    // It only reads: it must not be the one that drives the run.
    let other = tooled(&host);
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = ask(&host, &thread).await;
    let of_run = || run.events(&other);
    let streams = [of_run().ui_message_stream(), of_run().ag_ui("page", "run")];
    let ended = streams.map(|stream| tokio::spawn(read_to_the_end(stream)));
    gate.reached().await;
    other.shutdown(std::time::Duration::ZERO).await.unwrap();
    for ended in ended {
        let (told, broken) = ended.await.unwrap();
        assert!(broken, "a page takes a body that just ends for a whole answer: {told:?}");
    }
    gate.open();
    let told = read(run.events(&tooled(&host)).ui_message_stream()).await;
    assert_eq!((texts(&told).as_str(), kinds(&told).last()), ("Once upon", Some(&"[DONE]")));
}

async fn a_page_that_comes_back_is_given_the_history_and_the_rest<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    host.fake.reply(Reply::text("Once upon a time."));
    let first = ask(&host, &thread).await;
    host.engine.answer(first.id).await.unwrap();
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["And ", "then"]).hold_at(5, gate.clone()));
    let run = ask(&host, &thread).await;
    let begun = run.clone().until_text(&host.engine, "And ").await;
    begun.unwrap();
    let active = thread.active_run(&host.engine).await.unwrap().unwrap();
    assert_eq!(active.id, run.id);
    let reading =
        tokio::spawn(read(active.events(&tooled(&host)).ag_ui_with_history("page", "run")));
    gate.open();
    let told = reading.await.unwrap();
    assert_eq!(kinds(&told)[..2], ["RUN_STARTED", "MESSAGES_SNAPSHOT"]);
    let snapshot = told[1]["messages"].as_array().unwrap();
    let roles: Vec<&str> = snapshot.iter().map(|said| said["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    let known = snapshot[3]["content"].as_str().unwrap().to_owned();
    assert_eq!(known + &texts(&told), "And then");
    assert_eq!(kinds(&told).last(), Some(&"RUN_FINISHED"));
    assert!(thread.active_run(&host.engine).await.unwrap().is_none());
}

/// In AG-UI the whole history is sent then: what it holds of later messages is not told once more.
async fn a_text_that_turned_out_another_is_shown_once<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    host.fake.reply(opens(7));
    host.fake.reply(Reply::text("It is open."));
    let run = ask(&host, &thread).await;
    host.engine.answer(run.id).await.unwrap();
    let mut events = run.events(&host.engine);
    let place = loop {
        let event = events.next().await.unwrap().unwrap();
        if event.name() == "message_appended" {
            break event.cursor.to_string();
        }
    };
    // A reader that was given another text of the same length.
    let segments = place.split('.').map(|segment| match segment.rsplit_once(':') {
        Some((known, _)) if known.contains(':') => format!("{known}:1"),
        _ => segment.to_owned(),
    });
    let place = segments.collect::<Vec<_>>().join(".").parse().unwrap();
    let told = read(run.events(&tooled(&host)).after(place).ag_ui("page", "run")).await;
    let snapshot = told.iter().find(|event| event["type"] == "MESSAGES_SNAPSHOT").unwrap();
    let mut page = snapshot["messages"].as_array().unwrap().clone();
    let behind = told.iter().skip_while(|event| event["type"] != "MESSAGES_SNAPSHOT");
    for event in behind.filter(|event| event["type"] == "TEXT_MESSAGE_CONTENT") {
        let said = page.iter_mut().find(|said| said["id"] == event["messageId"]).unwrap();
        let text = said["content"].as_str().unwrap().to_owned() + event["delta"].as_str().unwrap();
        said["content"] = text.into();
    }
    let texts: Vec<&str> = page.iter().filter_map(|said| said["content"].as_str()).collect();
    assert_eq!(texts, ["Open it", r#"{"open":7}"#, "Let me see.", "It is open."]);
    assert_eq!(kinds(&told).last(), Some(&"RUN_FINISHED"));
}

async fn what_a_page_sends_is_read_or_refused_by_name<D: TestDatabase>(db: D) {
    let chat = |messages: Value| -> ChatRequest {
        serde_json::from_value(json!({"id": "1", "messages": messages, "other": 1})).unwrap()
    };
    let user = |parts: Value| chat(json!([{"id": "x", "role": "user", "parts": parts}]));
    let picture = "data:image/png;base64,iVBORw0KGgo=";
    let asked = user(json!([
        {"type": "text", "text": "What is "},
        {"type": "text", "text": "this?"},
        {"type": "file", "mediaType": "image/png", "url": picture},
        {"type": "file", "mediaType": "image/png", "url": "https://example.com/a.png"},
    ]));
    let png = vec![0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
    let expected = Content::text("What is this?").image("image/png", png);
    assert_eq!(asked.question().unwrap(), expected.image_url("https://example.com/a.png"));
    let broken =
        user(json!([{"type": "file", "mediaType": "image/png", "url": "data:image/png,x"}]));
    let paper = json!({"mediaType": "application/pdf", "url": "https://example.com/a.pdf"});
    let paper =
        user(json!([{"type": "file", "mediaType": paper["mediaType"], "url": paper["url"]}]));
    for (request, says) in [
        (chat(json!([])), "messages"),
        (chat(json!([{"id": "run-7", "role": "assistant", "parts": []}])), "messages"),
        (broken, "base64"),
        (paper, "picture"),
    ] {
        let error = request.question().unwrap_err();
        assert_eq!(error.http_status(), 422);
        assert!(error.to_string().contains(says), "{error}");
    }
    for (named, wanted) in [("run-7", Some(Some(7))), ("7", None), ("message-7", None)] {
        let body = json!({"id": "1", "trigger": "regenerate-message", "messageId": named});
        let request: ChatRequest = serde_json::from_value(body).unwrap();
        assert_eq!(request.run_id().ok(), wanted);
    }
    assert_eq!(chat(json!([])).run_id().unwrap(), None);

    // Asked anew in its place, or in place of one that only the page knows; and decided about with a question behind it.
    let part = json!({"type": "dynamic-tool", "state": "approval-responded", "approval": {"id": "5.0", "approved": true}});
    let sent = |id: Option<&str>| -> ChatRequest {
        let messages = json!([
            {"id": "run-7", "role": "assistant", "parts": [part], "metadata": {"cursor": "t1.1"}},
            {"id": "run-8", "role": "assistant", "parts": [], "metadata": {"cursor": "t1.2"}},
            {"id": id.unwrap_or("x"), "role": "user", "parts": [{"type": "text", "text": "Hi"}]},
        ]);
        serde_json::from_value(json!({"id": "1", "messageId": id, "messages": messages})).unwrap()
    };
    assert_eq!(sent(Some("message-3")).edited().unwrap(), Some(3));
    assert_eq!(sent(None).edited().unwrap(), None);
    let refused = sent(Some("x-7")).edited().unwrap_err();
    assert_eq!(refused.http_status(), 422);
    assert!(sent(None).decisions().is_empty(), "it was asked something else");
    let about = sent(Some("run-7"));
    assert_eq!(about.edited().unwrap(), None);
    let approved = ai_engine::Decision::approve().asked_after(0);
    assert_eq!((about.decisions(), about.cursor()), (vec![(5, approved)], Some("t1.1".to_owned())));

    let ag_ui = |content: Value| -> AgUiRequest {
        let messages = json!([{"id": "x", "role": "user", "content": content}]);
        serde_json::from_value(json!({"threadId": "t", "runId": "r", "messages": messages}))
            .unwrap()
    };
    assert_eq!(ag_ui(json!("Hi")).question().unwrap(), Content::text("Hi"));
    let parts = json!([
        {"type": "text", "text": "Hi"},
        {"type": "image", "source": {"type": "url", "value": "https://example.com/a.png"}},
    ]);
    let expected = Content::text("Hi").image_url("https://example.com/a.png");
    assert_eq!(ag_ui(parts).question().unwrap(), expected);
    let video = json!([{"type": "video", "source": {"type": "url", "value": "x"}}]);
    assert_eq!(ag_ui(video).question().unwrap_err().http_status(), 422);
    drop(db);
}
