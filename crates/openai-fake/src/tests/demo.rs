use std::time::Duration;

use serde_json::json;

use super::{Client, FakeOpenAi, story, text_of};

async fn quick_demo() -> (FakeOpenAi, Client) {
    let fake = FakeOpenAi::start().await.unwrap();
    fake.demo_pace(Duration::ZERO);
    let client = Client::of(&fake);
    (fake, client)
}

#[tokio::test]
async fn it_tells_a_story_about_the_subject() {
    let (_fake, client) = quick_demo().await;
    for subject in ["a lighthouse", "dragons", "İstanbul"] {
        let (_, response) = client.post("/responses", story(subject)).await;
        let text = text_of(&response);
        assert!(text.starts_with("(demo model) Here is a story about"), "{text}");
        assert!(text.contains(subject), "{text}");
        let words = text.split_whitespace().count();
        assert!((120..=190).contains(&words), "{words} words");
        let (_, again) = client.post("/responses", story(subject)).await;
        assert_eq!(text_of(&again), text);
    }
}

#[tokio::test]
async fn it_remembers_what_the_conversation_holds() {
    let (_fake, client) = quick_demo().await;
    let id = client.new_conversation().await;
    let mut request = story("a lighthouse");
    request["conversation"] = json!(id);
    client.post("/responses", request.clone()).await;
    request["input"] = json!("What did I ask?");
    let (_, response) = client.post("/responses", request).await;
    let text = text_of(&response);
    let recalled = "Earlier you asked: \"Tell me a story about a lighthouse\". ";
    assert!(text.contains(recalled), "{text}");

    let input = json!([
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": [{"type": "input_text", "text": "Second"}]},
    ]);
    let request = json!({"model": "m", "input": input});
    let (_, response) = client.post("/responses", request).await;
    assert!(text_of(&response).contains("Earlier you asked: \"First\". "));
}

#[tokio::test]
async fn it_stops_at_the_limit() {
    let (_fake, client) = quick_demo().await;
    let mut request = story("a lighthouse");
    request["max_output_tokens"] = json!(16);
    let (_, response) = client.post("/responses", request).await;
    assert_eq!(response["status"], "incomplete");
    assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(text_of(&response).chars().count(), 64);
    assert_eq!(response["usage"]["output_tokens"], 16);
}

#[tokio::test]
async fn it_calls_the_tool_that_is_meant() {
    let (_fake, client) = quick_demo().await;
    let tool = |name: &str| json!({"type": "function", "name": name});
    let tools = json!([{"type": "web_search"}, tool("roll_dice"), tool("get_weather")]);
    let dice = json!({"type": "function", "name": "roll_dice"});
    for (text, choice, called) in [
        ("How is the weather?", json!("auto"), json!("get_weather")),
        ("How is the weather?", json!(null), json!("get_weather")),
        ("How is the weather?", json!("none"), json!(null)),
        ("How is the weather?", dice, json!("roll_dice")),
        ("Get me a leather coat.", json!("auto"), json!(null)),
        ("Hello", json!("required"), json!("roll_dice")),
    ] {
        let request = json!({"model": "m", "input": text, "tools": tools, "tool_choice": choice});
        let (status, response) = client.post("/responses", request).await;
        assert_eq!(status, 200, "{response}");
        assert_eq!(response["output"][0]["name"], called, "{text} {choice}");
        assert_eq!(response["output"].as_array().unwrap().len(), 1);
    }
}

/// A question may be asked twice in one conversation; each call is answered by its own id.
#[tokio::test]
async fn its_calls_have_ids_of_their_own() {
    let (_fake, client) = quick_demo().await;
    let id = client.new_conversation().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let tools = json!([{"type": "function", "name": "get_weather"}]);
        let request = json!({
            "model": "m", "conversation": id, "input": "How is the weather?", "tools": tools,
        });
        let (_, response) = client.post("/responses", request).await;
        let call_id = response["output"][0]["call_id"].clone();
        let output =
            json!({"type": "function_call_output", "call_id": call_id, "output": "Sunny."});
        let request = json!({"model": "m", "conversation": id, "input": [output]});
        let (status, response) = client.post("/responses", request).await;
        assert_eq!(status, 200, "{response}");
        assert!(text_of(&response).contains("Sunny."));
        ids.push(call_id);
    }
    assert_ne!(ids[0], ids[1]);
}
