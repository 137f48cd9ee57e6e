//! What the fake provider answers, against the same description.

use ai_engine::testing::{FakeOpenAi, Reply};
use serde_json::{Value, json};

use super::{Description, Raw, as_described, call, check_events, look, reasoning};

#[tokio::test]
async fn the_fakes_objects_follow_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    let answers = async |method: &str, path: &str, body: Option<Value>, schema: &str| {
        let answer = Raw::send(&fake, method, path, body.as_ref()).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        let value = answer.json();
        description.check(schema, &as_described(value.clone()));
        value
    };
    let said = |role: &str| json!({"type": "message", "role": role, "content": "Hi"});

    let conversation = answers(
        "POST",
        "/conversations",
        Some(json!({"metadata": {"a": "b"}})),
        "ConversationResource",
    )
    .await;
    let here = format!("/conversations/{}", conversation["id"].as_str().unwrap());
    let items = format!("{here}/items");
    answers("GET", &here, None, "ConversationResource").await;
    answers("GET", &items, None, "ConversationItemList").await;
    let call = call();
    let output = json!({"type": "function_call_output", "call_id": "call_1", "output": "Stars."});
    let new = json!({"items": [said("system"), said("user"), said("assistant"), call, output]});
    answers("POST", &items, Some(new), "ConversationItemList").await;
    let body =
        json!({"model": "m", "input": "Hi", "conversation": conversation["id"], "tools": [look()]});
    fake.reply(Reply::text("Hello.").item(reasoning()).item(self::call()));
    let response = answers("POST", "/responses", Some(body), "Response").await;
    answers("GET", &format!("/responses/{}", response["id"].as_str().unwrap()), None, "Response")
        .await;
    let page =
        answers("GET", &format!("{items}?limit=3&order=asc"), None, "ConversationItemList").await;
    let item = format!("{items}/{}", page["first_id"].as_str().unwrap());
    answers("GET", &item, None, "ConversationItem").await;
    answers("DELETE", &item, None, "ConversationResource").await;
    answers("DELETE", &here, None, "DeletedConversationResource").await;

    for (method, path, body) in [
        ("GET", &*here, None),
        ("POST", "/responses", Some(json!({"model": "m", "input": 1}))),
        (
            "POST",
            "/responses",
            Some(json!({"model": "m", "input": "Hi", "previous_response_id": "resp_none"})),
        ),
        ("POST", "/conversations", Some(json!({"metadata": {"n": 1}}))),
    ] {
        let refused = Raw::send(&fake, method, path, body.as_ref()).await;
        assert!((400..500).contains(&refused.status), "{}", refused.body);
        description.check("ErrorResponse", &refused.json());
    }
}

/// What the description names for a response but need not be there: `output_text` is made up by client libraries, the
/// others concern features that a request has to ask for.
const OPTIONAL: [&str; 4] = ["moderation", "output_text", "prompt", "prompt_cache_options"];

/// Few properties of a response are required, but the service always sends nearly all.
#[tokio::test]
async fn the_fakes_responses_have_every_property() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    let named = description.properties("Response");
    let echoed = json!({
        "prompt_cache_key": "tenant-1", "prompt_cache_retention": "24h", "safety_identifier": "user-1",
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "user": "ada",
    });
    for settings in [json!({}), echoed] {
        for store in [true, false] {
            let mut body = json!({"model": "m", "input": "Hi", "store": store});
            body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
            fake.reply(Reply::text("Hello."));
            let response = Raw::send(&fake, "POST", "/responses", Some(&body)).await.json();
            description.check("Response", &as_described(response.clone()));
            let missing =
                |name: &&&str| !OPTIONAL.contains(*name) && response.get(**name).is_none();
            let missing: Vec<_> = named.iter().filter(missing).collect();
            assert!(missing.is_empty(), "{response:#} lacks {missing:?}");
            for (name, value) in settings.as_object().unwrap() {
                assert_eq!(&response[name], value, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn the_fakes_streams_follow_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    let stream = async |reply: Reply| {
        fake.reply(reply);
        let body = json!({
            "model": "m", "stream": true, "instructions": "Sing.", "metadata": {"a": "b"},
            "tools": [look()], "input": [{"type": "message", "role": "user", "content": "Hi"}],
        });
        let answer = Raw::send(&fake, "POST", "/responses", Some(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        check_events(description, &answer.events())
    };
    let ends = |kinds: &[String], end: &str| assert_eq!(kinds.last().unwrap(), end);

    ends(&stream(Reply::text("Once upon a time.").keepalive_at(5)).await, "response.completed");
    ends(
        &stream(Reply::text("I look.").item(reasoning()).item(call())).await,
        "response.completed",
    );
    ends(&stream(Reply::text("").item(call()).without_message()).await, "response.completed");
    ends(
        &stream(Reply::text("Once upon").incomplete("max_output_tokens")).await,
        "response.incomplete",
    );
    let failed = stream(Reply::text("Once").failed("server_error", "It broke.")).await;
    ends(&failed, "response.failed");
    assert_eq!(failed[failed.len() - 2], "error");
}
