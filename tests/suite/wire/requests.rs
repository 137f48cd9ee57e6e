//! Each request that the engine makes in the life of a thread, in each protocol, against OpenAI's own API description: calls with all
//! that a definition can say, with parts and for whom they are, titles, another provider after a failure, cancellation, deletion.

use std::collections::BTreeSet;

use ai_engine::openai::Protocol;
use ai_engine::testing::{FakeOpenAi, Gate, Reply, Request};
use ai_engine::{
    AssistantDefinition, Content, EngineBuilder, History, Identify, OpenAi, Role, RunStatus,
    prelude::*,
};
use serde_json::json;

use super::{call, carry_out, look, openapi::Description, reasoning};
use crate::support::*;

/// An assistant that says all that every protocol knows.
struct Bard {
    id: i32,
}

ai_engine::record! { Bard { id: i32 } as "Bard" }

impl Assistable for Bard {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new("gpt-5.4-mini")
            .name("Homer")
            .description("A singer.")
            .instructions("You sing.")
            .temperature(0.7)
            .top_p(0.9)
            .max_output_tokens(500)
            .max_prompt_tokens(10_000)
            // With any other at OpenAI, Chat Completions takes no functions.
            .reasoning(json!({"effort": "none"}))
            .metadata("tenant", "t-1")
            .tool(look())
            .parameter("parallel_tool_calls", false)
    }
}

/// What a message of a user may have beside its text, where the description has a form for it.
fn content(protocol: Protocol) -> Content {
    let content = Content::text("What is this?").image_url("https://example.org/tree.jpg");
    if protocol == Protocol::Assistants {
        return content;
    }
    let content = content.image("image/png", *b"\x89PNG").file_id("file-abc").file(
        "report.pdf",
        "application/pdf",
        *b"%PDF",
    );
    match protocol {
        Protocol::ChatCompletions => content.audio("mp3", *b"ID3"),
        _ => content,
    }
}

fn client(fake: &FakeOpenAi, protocol: Protocol) -> OpenAi {
    fake.openai_builder().protocol(protocol).build().unwrap()
}

/// All that is sent to a server that speaks `protocol`, and to one that is asked when it fails.
async fn sent(protocol: Protocol, history: Option<History>) -> (Vec<Request>, Vec<Request>) {
    let behind = FakeOpenAi::start().await.unwrap();
    let other = client(&behind, Protocol::ChatCompletions);
    let host = Host::with(Sqlite::fresh(), |builder| builder).await;
    let configure = |builder: EngineBuilder<_>| {
        let builder = builder.openai(client(&host.fake, protocol)).provider("behind", other);
        let builder = builder.identify(Identify::Everywhere).identify_salt("salt");
        let titles = AssistantDefinition::new("gpt-5.4-nano").max_output_tokens(300);
        let builder = builder.titles(titles);
        match history {
            Some(history) => builder.history(history),
            None => builder,
        }
    };
    let engine = engine(&host.db, &host.fake, &host.hub, configure);
    let (bard, thread) = (Bard { id: 1 }, host.thread().await);
    host.fake.reply_to("The title of this conversation", Reply::text("Stars"));
    thread.messages(&engine).create(Role::System, "Be brief.").await.unwrap();
    for (breaks_off, question, reply) in [
        (false, Content::from("first"), Reply::text("I look.").item(reasoning()).item(call())),
        (false, Content::from("second"), Reply::text("Stars.").item(reasoning())),
        (true, Content::from("third"), Reply::text("And a moon.").disconnect_at(6)),
        (false, content(protocol), Reply::text("A tree.")),
    ] {
        host.fake.reply(reply);
        let asked = bard.ai_engine_run(&engine, &thread, question).await;
        assert!(asked.is_ok() || breaks_off, "{asked:?}");
        host.fake.reply_to(
            if protocol == Protocol::Assistants { "came of call" } else { "first" },
            Reply::text("I see."),
        );
        carry_out(&engine, &thread).await;
    }
    let titled = "SELECT count(*) FROM ai_engine_assistant_threads WHERE title = 'Stars'";
    until(|| host.db.number(titled) == 1).await;

    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, Gate::new()));
    let run = bard.ai_engine_run(&engine, &thread, "Sing").submit().await.unwrap();
    until(|| host.fake.requests().iter().any(|request| request.body_says("Sing"))).await;
    thread.cancel(&engine).await.unwrap();
    assert_eq!(engine.answer(run.id).await.unwrap().run.status, RunStatus::Cancelled);

    let chat = host.user.chats(&engine).create().await.unwrap();
    host.fake.reply(Reply::status(401, json!({"error": {"message": "no"}})));
    let request = chat.run(&engine, "gpt-5.4-mini", "Hello");
    let request = request.definition(|usual| usual.fallback("behind", "gpt-5.4-nano"));
    assert_eq!(request.await.unwrap().run.provider.as_deref(), Some("behind"));
    host.user.chats(&engine).destroy(chat.id).await.unwrap();
    host.user.assistant_threads(&engine).destroy(thread.id).await.unwrap();
    until_deleted(&host.db).await;
    (host.fake.requests(), behind.requests())
}

trait BodySays {
    fn body_says(&self, text: &str) -> bool;
}

impl BodySays for Request {
    fn body_says(&self, text: &str) -> bool {
        self.body.as_ref().is_some_and(|body| body.to_string().contains(text))
    }
}

/// Checks all of them; which operations they were, each as `POST /threads/{thread_id}/runs`.
fn operations(description: &Description, requests: &[Request]) -> BTreeSet<String> {
    let check = |request: &Request| {
        let path = request.path.strip_prefix("/v1").unwrap();
        let path = path.split('?').next().unwrap();
        let (template, operation) = description
            .operation(&request.method, path)
            .unwrap_or_else(|| panic!("{} {path} is not described", request.method));
        match operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() {
            Some(schema) => {
                let schema = schema.rsplit('/').next().unwrap();
                let body = request.body.as_ref().unwrap();
                description.check(schema, body);
                let known = description.properties(schema);
                for name in body.as_object().unwrap().keys() {
                    assert!(known.contains(&**name), "{schema} has no {name}");
                }
            }
            None => assert!(
                request.body.as_ref().is_none_or(|body| *body == json!({})),
                "{} {path} has no body: {:?}",
                request.method,
                request.body
            ),
        }
        format!("{} {template}", request.method)
    };
    requests.iter().map(check).collect()
}

fn tells(requests: &[Request]) -> usize {
    let told = |request: &&Request| {
        let body = request.body.as_ref();
        body.is_some_and(|body| body["safety_identifier"].is_string())
    };
    requests.iter().filter(told).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_each_protocol_follows_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    for (protocol, history, expected) in [
        (Protocol::Responses, Some(History::Local), &["POST /responses"][..]),
        (
            Protocol::Responses,
            Some(History::Conversation),
            &[
                "DELETE /conversations/{conversation_id}",
                "DELETE /conversations/{conversation_id}/items/{item_id}",
                "GET /conversations/{conversation_id}/items",
                "POST /conversations",
                "POST /responses",
            ],
        ),
        (Protocol::ChatCompletions, None, &["POST /chat/completions"]),
        (
            Protocol::Assistants,
            None,
            &[
                "DELETE /assistants/{assistant_id}",
                "DELETE /threads/{thread_id}",
                "GET /threads/{thread_id}/messages",
                "POST /assistants",
                "POST /threads",
                "POST /threads/{thread_id}/runs",
                "POST /threads/{thread_id}/runs/{run_id}/cancel",
            ],
        ),
    ] {
        let (requests, behind) = sent(protocol, history).await;
        let made = operations(description, &requests);
        let missing: Vec<_> = expected.iter().filter(|name| !made.contains(**name)).collect();
        assert!(missing.is_empty(), "{protocol}: {missing:?} were not made: {made:?}");
        assert_eq!(operations(description, &behind).len(), 1);
        let told = if protocol == Protocol::Assistants { 0 } else { 7 };
        assert!(tells(&requests) >= told && (told > 0 || tells(&requests) == 0), "{protocol}");
        assert_eq!(tells(&behind), 1, "and who is asked instead is told, too");
    }
}

/// The description has no sound in a message of the Responses API, so what is sent of it there is in no schema.
#[test]
fn sound_is_described_for_chat_completions_alone() {
    let Some(description) = Description::find() else {
        return;
    };
    let sound = json!({"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}});
    let body = |name: &str| json!({"model": "m", name: [{"role": "user", "content": [sound]}]});
    description.check("CreateChatCompletionRequest", &body("messages"));
    assert!(!description.errors("CreateResponse", &body("input")).is_empty());
}
