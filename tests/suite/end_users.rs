//! For whom a call is: told by hashes that are the same in every process, wherever the owner's conversation goes.

use std::collections::BTreeSet;

use ai_engine::openai::Protocol;
use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, EngineBuilder, History, Identify, OpenAi,
    RunStatus, prelude::*,
};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    an_owner_is_the_same_end_user_in_every_process_and_protocol,
    an_end_user_is_not_to_be_guessed,
    a_conversation_has_a_cache_key_of_its_own,
    nobody_is_told_unless_the_host_says_so_or_it_is_openai,
    what_the_host_says_itself_wins,
    a_thread_that_goes_to_another_server_stays_the_same_end_users,
    a_run_that_another_process_left_is_for_the_same_end_user,
    a_title_is_asked_for_the_same_end_user,
    a_server_that_refuses_a_name_is_not_sent_it_again,
);

const MEMBERS: [&str; 2] = ["safety_identifier", "prompt_cache_key"];
const SALT: &str = "a secret of the host";

fn client(fake: &FakeOpenAi, protocol: Protocol) -> OpenAi {
    fake.openai_builder().protocol(protocol).build().unwrap()
}

fn told<B: ai_engine::Database>(builder: EngineBuilder<B>) -> EngineBuilder<B> {
    builder.identify(Identify::Everywhere).identify_salt(SALT)
}

/// Another process, which speaks this protocol.
fn process<D: TestDatabase>(host: &Host<D>, protocol: Protocol) -> AiEngine {
    let client = client(&host.fake, protocol);
    engine(&host.db, &host.fake, &host.hub, |builder| told(builder).openai(client))
}

/// What the last call sent of the two.
fn sent_last(fake: &FakeOpenAi) -> [Option<String>; 2] {
    let body = bodies(fake).pop().unwrap();
    MEMBERS.map(|name| body.get(name).map(|value| value.as_str().unwrap().to_owned()))
}

/// The bodies of all calls of a model.
fn bodies(fake: &FakeOpenAi) -> Vec<Value> {
    let calls = ["/responses", "/chat/completions", "/runs"];
    let requests = fake.requests().into_iter().filter(|request| {
        request.method == "POST" && calls.iter().any(|call| request.path.ends_with(call))
    });
    requests.filter_map(|request| request.body).collect()
}

async fn ask<D: TestDatabase>(
    host: &Host<D>,
    engine: &AiEngine,
    thread: &AssistantThread,
) -> [Option<String>; 2] {
    let run = host.teller.ai_engine_run(engine, thread, "Tell me").await.unwrap().run;
    assert_eq!(run.status, RunStatus::Completed);
    sent_last(&host.fake)
}

fn bob() -> User {
    User { id: 2, name: "Bob".to_owned() }
}

async fn an_owner_is_the_same_end_user_in_every_process_and_protocol<D: TestDatabase>(db: D) {
    let host = Host::with(db, told).await;
    let mut seen = Vec::new();
    for protocol in [Protocol::Responses, Protocol::ChatCompletions] {
        for _ in 0..2 {
            let engine = process(&host, protocol);
            let thread = host.thread().await;
            let [user, key] = ask(&host, &engine, &thread).await.map(Option::unwrap);
            assert_eq!((user.len(), key.len()), (64, 64), "OpenAI takes no more");
            assert_eq!(ask(&host, &engine, &thread).await, [Some(user.clone()), Some(key)]);
            let chat = host.user.chats(&engine).create().await.unwrap();
            chat.run(&engine, "test-model", "Hello").await.unwrap();
            assert_eq!(sent_last(&host.fake)[0].as_ref(), Some(&user));
            seen.push(user);

            let thread = bob().assistant_threads(&engine).create().await.unwrap();
            let [other, _] = ask(&host, &engine, &thread).await;
            assert_ne!(other.as_ref(), seen.last(), "another owner is another one");
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
    // The older protocol has neither; the fake refuses what that does not know.
    let engine = process(&host, Protocol::Assistants);
    let thread = host.thread().await;
    assert_eq!(ask(&host, &engine, &thread).await, [None, None]);
}

async fn an_end_user_is_not_to_be_guessed<D: TestDatabase>(db: D) {
    let host = Host::with(db, told).await;
    let thread = host.thread().await;
    let salted = ask(&host, &host.engine, &thread).await.map(Option::unwrap);
    let with = |salt: &'static str| {
        engine(&host.db, &host.fake, &host.hub, |builder| told(builder).identify_salt(salt))
    };
    let other = ask(&host, &with("another secret"), &thread).await.map(Option::unwrap);
    let none = ask(&host, &with(""), &thread).await.map(Option::unwrap);
    let values: Vec<&String> = salted.iter().chain(&other).chain(&none).collect();
    assert_eq!(
        values.iter().collect::<BTreeSet<_>>().len(),
        6,
        "a secret makes all of them others"
    );
    // SHA-256 of `1`, of `User1` and of `User:1`.
    let guesses = [
        "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
        "27a534a25cf745b6c985eb782079a6fe8641b00003dada14f392a2d01b9c790a",
        "3a8a0a54bb5cbabcf412804ff212ce52a66d2aeafafca2efca87b11fa28d5f75",
    ];
    for value in values {
        assert!(!guesses.contains(&&**value));
        assert!(!value.contains("User") && value.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

async fn a_conversation_has_a_cache_key_of_its_own<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| told(builder).history(History::Conversation)).await;
    let (first, second) = (host.thread().await, host.thread().await);
    let [user, key] = ask(&host, &host.engine, &first).await;
    let [same, other] = ask(&host, &host.engine, &second).await;
    assert_eq!(user, same);
    assert_ne!(key, other);
    assert_eq!(ask(&host, &host.engine, &first).await, [user, key]);
    // The numbers of threads and chats are counted apart.
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    assert_eq!(chat.id, first.id);
    chat.run(&host.engine, "test-model", "Hello").await.unwrap();
    assert_ne!(sent_last(&host.fake)[1], ask(&host, &host.engine, &first).await[1]);
}

async fn nobody_is_told_unless_the_host_says_so_or_it_is_openai<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    assert_eq!(ask(&host, &host.engine, &thread).await, [None, None]);
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        told(builder).identify(Identify::Nowhere)
    });
    assert_eq!(ask(&host, &engine, &thread).await, [None, None]);
}

async fn what_the_host_says_itself_wins<D: TestDatabase>(db: D) {
    let host = Host::with(db, told).await;
    for protocol in [Protocol::Responses, Protocol::ChatCompletions] {
        let engine = process(&host, protocol);
        let thread = host.thread().await;
        let usual = ask(&host, &engine, &thread).await;
        for (name, expected) in [
            ("safety_identifier", [Some("mine".to_owned()), usual[1].clone()]),
            ("prompt_cache_key", [usual[0].clone(), Some("mine".to_owned())]),
            ("user", [None, None]),
        ] {
            let own = move |usual: AssistantDefinition| usual.parameter(name, json!("mine"));
            let asked = host.teller.ai_engine_run(&engine, &thread, "Tell me").definition(own);
            asked.await.unwrap();
            assert_eq!(sent_last(&host.fake), expected, "{name} in {protocol}");
            assert_eq!(bodies(&host.fake).pop().unwrap()[name], "mine");
        }
    }
}

async fn a_thread_that_goes_to_another_server_stays_the_same_end_users<D: TestDatabase>(db: D) {
    let other = FakeOpenAi::start().await.unwrap();
    let chatting = client(&other, Protocol::ChatCompletions);
    let host = Host::with(db, |builder| {
        told(builder).history(History::Conversation).provider("other", chatting)
    });
    let host = host.await;
    let thread = host.thread().await;
    let here = ask(&host, &host.engine, &thread).await;
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").provider("other");
    assert_eq!(asked.await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(sent_last(&other), here);
    assert_eq!(ask(&host, &host.engine, &thread).await, here);
    // And so does one that is asked because the first failed.
    host.fake.reply(Reply::status(401, json!({"error": {"message": "no"}})));
    let behind = |usual: AssistantDefinition| usual.fallback("other", "small");
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").definition(behind);
    assert_eq!(asked.await.unwrap().run.provider.as_deref(), Some("other"));
    assert_eq!(sent_last(&other), here);
}

async fn a_run_that_another_process_left_is_for_the_same_end_user<D: TestDatabase>(db: D) {
    for places in [None, Some(1)] {
        let host = Host::with(db.another(), |builder| match places {
            Some(places) => told(builder).max_concurrent_runs(places),
            None => told(builder),
        });
        let host = host.await;
        let thread = host.thread().await;
        let usual = ask(&host, &host.engine, &thread).await;
        let run = submit_undriven(&host, &thread);
        host.engine.drive(run.id).await.unwrap();
        assert_eq!(host.engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
        assert_eq!((sent_last(&host.fake), bodies(&host.fake).len()), (usual, 2));
    }
}

async fn a_title_is_asked_for_the_same_end_user<D: TestDatabase>(db: D) {
    let titles = AssistantDefinition::new("title-model");
    let host = Host::with(db, |builder| told(builder).titles(titles)).await;
    let thread = host.thread().await;
    host.fake.reply_to("The title of this conversation", Reply::text("A story"));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    until(|| bodies(&host.fake).len() == 2).await;
    let [asked, title] = <[Value; 2]>::try_from(bodies(&host.fake)).unwrap();
    assert_eq!(title["model"], "title-model");
    assert!(asked["safety_identifier"].is_string());
    assert_eq!(title["safety_identifier"], asked["safety_identifier"]);
    // It begins with other words than the conversation.
    assert!(asked["prompt_cache_key"].is_string() && title["prompt_cache_key"].is_null());
}

async fn a_server_that_refuses_a_name_is_not_sent_it_again<D: TestDatabase>(db: D) {
    let host = Host::with(db, told).await;
    for (protocol, history) in [
        (Protocol::Responses, History::Local),
        (Protocol::Responses, History::Conversation),
        (Protocol::ChatCompletions, History::Local),
    ] {
        let client = client(&host.fake, protocol);
        let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
            told(builder).openai(client).history(history)
        });
        let thread = host.thread().await;
        // So Azure answers for models of other makers.
        let refusal = "Unrecognized request argument supplied: prompt_cache_key";
        let refusal =
            json!({"error": {"message": refusal, "code": "unrecognized_request_argument"}});
        host.fake.reply(Reply::status(400, refusal));
        let before = bodies(&host.fake).len();
        let [user, key] = ask(&host, &engine, &thread).await;
        assert!(user.is_some() && key.is_none());
        assert_eq!(bodies(&host.fake).len(), before + 2, "it is sent again without");
        assert_eq!(ask(&host, &engine, &thread).await, [user, None]);
        assert_eq!(bodies(&host.fake).len(), before + 3, "it is remembered");
    }
}
