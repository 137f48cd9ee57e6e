//! What a test asks of the fake itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde_json::json;

use super::{Client, FakeOpenAi, Reply, error_of, text_of};
use crate::Input;

fn question(text: &str) -> serde_json::Value {
    json!({"model": "m", "input": text})
}

/// What a panic said.
fn panic_of(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("it does not panic");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn the_last_input_reads_like_a_conversation() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    assert_eq!(fake.last_input(), Input::default());
    client.post("/responses", question("Hello")).await;
    assert_eq!(fake.last_input().lines(), ["user: Hello"]);
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "c", "output": "It rains"});
    let parts =
        json!([{"type": "input_text", "text": "And "}, {"type": "input_text", "text": "now?"}]);
    let body = json!({"model": "m", "instructions": "Be brief", "input": [
        {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}, call, output,
        {"type": "reasoning", "summary": []}, {"role": "user", "content": parts},
    ]});
    client.post("/responses", body.clone()).await;
    client.get("/models").await;
    let input = fake.last_input();
    let lines = [
        "user: Hello",
        "assistant: Hi",
        "function_call: f {}",
        "function_call_output: It rains",
        "reasoning",
        "user: And now?",
    ];
    assert_eq!(input.lines(), lines);
    assert_eq!(input.texts("user"), ["Hello", "And now?"]);
    assert_eq!((input.question().as_str(), input.model.as_str()), ("And now?", "m"));
    assert_eq!(input.instructions.as_deref(), Some("Be brief"));
    assert_eq!(json!(input.items), body["input"]);
    assert_eq!(fake.inputs().len(), 2);
}

#[tokio::test]
async fn a_reply_waits_after_the_words_until_it_is_released() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    for background in [false, true] {
        // The words end within one, and items and keepalives come before them.
        let reply = Reply::text("Mix flour and water").keepalive_at(1);
        let reply = reply.item(json!({"type": "reasoning", "summary": []}));
        let (first, second) = (format!("Mix fl{background}"), format!("Mix fl{background}our a"));
        let text = format!("Mix fl{background}our and water");
        let reply = Reply { deltas: Reply::text(&text).deltas, ..reply };
        fake.reply(reply.hold_after(&second).hold_after(&first));
        let mut stream =
            client.stream(json!({"model": "m", "input": "x", "background": background})).await;
        let mut said = String::new();
        for stop in [&first, &second] {
            while said != *stop {
                let event = stream.next().await.unwrap().unwrap();
                said += event["delta"].as_str().unwrap_or_default();
                assert!(stop.starts_with(said.as_str()), "{said:?} went past {stop:?}");
            }
            let held = tokio::time::timeout(Duration::from_secs(20), fake.held(stop));
            held.await.expect("it does not wait");
            assert!(futures_util::FutureExt::now_or_never(stream.next()).is_none());
            fake.release(stop);
        }
        let events = stream.all().await;
        assert_eq!(text_of(&events.last().unwrap()["response"]), text);
    }
}

#[tokio::test]
async fn a_hold_may_be_released_before_it_is_reached_and_holds_what_is_not_streamed() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("One two").hold_after("One two"));
    let answer = client.post("/responses", question("x"));
    let holds = async {
        fake.held("One two").await;
        fake.release("One two");
    };
    assert_eq!(text_of(&tokio::join!(answer, holds).0.1), "One two");
    fake.reply(Reply::text("Three").hold_after(""));
    fake.release("");
    assert_eq!(text_of(&client.post("/responses", question("x")).await.1), "Three");
}

#[tokio::test]
async fn words_that_no_reply_says_or_waits_after_are_named() {
    let fake = FakeOpenAi::start().await.unwrap();
    let said = panic_of(|| drop(Reply::text("One two").hold_after("tow")));
    assert!(said.contains("\"tow\"") && said.contains("\"One two\""), "{said}");
    fake.reply(Reply::text("One two").hold_after("One "));
    let said = panic_of(|| fake.release("One"));
    assert!(said.contains("after \"One\"") && said.contains("[\"One \"]"), "{said}");
}

#[tokio::test]
async fn what_is_expected_is_answered_once_in_any_order() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.expect("bread", Reply::text("Mix flour"));
    fake.expect("oven", Reply::text("200 degrees"));
    fake.expect("bread", Reply::text("And water"));
    for (asked, answered) in
        [("The oven?", "200 degrees"), ("Some bread", "Mix flour"), ("More bread", "And water")]
    {
        assert_eq!(text_of(&client.post("/responses", question(asked)).await.1), answered);
    }
    // What is scripted besides is no surprise.
    fake.reply(Reply::text("Hm"));
    assert_eq!(text_of(&client.post("/responses", question("x")).await.1), "Hm");
    fake.verify();
}

#[tokio::test]
async fn what_is_not_expected_is_refused_and_fails_the_test_in_its_own_thread() {
    for verify in [true, false] {
        let fake = FakeOpenAi::start().await.unwrap();
        let client = Client::of(&fake);
        fake.expect("bread", Reply::text("Mix flour"));
        fake.expect("oven", Reply::text("200 degrees"));
        let refused = client.post("/responses", question("Some cake?")).await;
        let (status, code, message) = error_of(&refused);
        assert_eq!((status, code), (400, "unexpected_request"));
        assert!(message.contains("\"Some cake?\""), "{message}");
        client.post("/responses", question("Some bread")).await;
        // It is still told, and no more than once, when the handle that tells is not the last one.
        let another = fake.clone();
        let said = if verify {
            panic_of(|| fake.verify())
        } else {
            drop(fake);
            panic_of(|| drop(another))
        };
        let wanted = "the model was not asked what the test expects:\
            \n  not expected, of \"m\": user: Some cake?\n  never asked: \"oven\"";
        assert_eq!(said, wanted);
    }
}

#[tokio::test]
async fn a_test_that_fails_for_another_reason_says_that_one() {
    let fake = FakeOpenAi::start().await.unwrap();
    fake.expect("bread", Reply::text("Mix flour"));
    let said = panic_of(move || {
        let _fake = fake;
        panic!("{}", "the test's own".to_owned());
    });
    assert_eq!(said, "the test's own");
}
