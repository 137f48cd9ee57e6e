//! The fake against the Open Responses specification: the cases that its compliance suite sends over HTTP, plus the order
//! of a stream's events. Nothing is scripted but where it says so: what a newcomer starts has to pass.
//!
//! Source of the cases: <https://www.openresponses.org/compliance>. Its WebSocket and compaction cases are not here: the
//! fake has neither.

mod schema;

use std::time::Duration;

use ai_engine::testing::{API_KEY, FakeOpenAi, Reply};
use serde_json::{Value, json};

use schema::{assert_event, assert_response};

/// A red dot.
const IMAGE: &str = "data:image/png;base64,\
    iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

struct Client {
    fake: FakeOpenAi,
    http: reqwest::Client,
}

impl Client {
    async fn new() -> Self {
        let fake = FakeOpenAi::start().await.unwrap();
        fake.demo_pace(Duration::ZERO);
        Self { fake, http: reqwest::Client::new() }
    }

    async fn text(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> String {
        let request = self
            .http
            .request(method, format!("{}{path}", self.fake.base_url()))
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/json");
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        text
    }

    /// A response as one object, checked.
    async fn create(&self, mut body: Value) -> Value {
        body["model"] = json!("demo");
        body["stream"] = json!(false);
        let text = self.text(reqwest::Method::POST, "/responses", Some(&body)).await;
        let response = serde_json::from_str(&text).unwrap();
        assert_response(&response);
        assert_eq!(response["status"], "completed");
        assert_ne!(response["output"], json!([]));
        response
    }

    /// A response as events, each checked, and all in order.
    async fn stream(&self, mut body: Value) -> Vec<Value> {
        body["model"] = json!("demo");
        body["stream"] = json!(true);
        let text = self.text(reqwest::Method::POST, "/responses", Some(&body)).await;
        let frames = text.split_terminator("\n\n");
        let events: Vec<Value> = frames
            .map(|frame| {
                let (name, data) = frame.split_once('\n').unwrap();
                let event: Value =
                    serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                assert_eq!(name.strip_prefix("event: "), event["type"].as_str());
                event
            })
            .collect();
        assert_order(&events);
        events
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Numbers count from 0 without a gap; the response begins, is in progress, and ends once, as the last event; an item is
/// added before anything is said of it and done after all of that, one after the other; its last form is in the
/// response's output.
fn assert_order(events: &[Value]) {
    for (number, event) in events.iter().enumerate() {
        assert_event(event);
        assert_eq!(event["sequence_number"], number);
    }
    let kinds = kinds(events);
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
    let [created, .., last] = events else { panic!("{kinds:?}") };
    assert_eq!(last["type"], "response.completed");
    assert_eq!(kinds.iter().filter(|kind| **kind == "response.completed").count(), 1);
    assert_eq!(created["response"]["id"], last["response"]["id"]);
    assert_eq!(created["response"]["output"], json!([]));

    let mut output: Vec<Value> = Vec::new();
    let mut open: Option<String> = None;
    let mut written = String::new();
    for event in &events[2..events.len() - 1] {
        assert_eq!(event["output_index"], output.len(), "{event}");
        let id = |value: &Value| value.as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(open.replace(id(&event["item"]["id"])), None);
                assert_eq!(event["item"]["status"], "in_progress");
                written.clear();
            }
            "response.output_item.done" => {
                assert_eq!(open.take(), Some(id(&event["item"]["id"])));
                assert_eq!(event["item"]["status"], "completed");
                output.push(event["item"].clone());
            }
            kind => {
                assert_eq!(open, Some(id(&event["item_id"])), "{event}");
                match kind.rsplit('.').next().unwrap() {
                    "delta" => written += event["delta"].as_str().unwrap(),
                    "done" if kind.contains("arguments") => assert_eq!(event["arguments"], written),
                    "done" if kind.contains("output_text") => assert_eq!(event["text"], written),
                    "done" => assert_eq!(event["part"]["text"], written),
                    _ => {}
                }
            }
        }
    }
    assert_eq!(open, None);
    assert_eq!(last["response"]["output"], json!(output));
}

fn said(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": text})
}

fn text_of(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap()
}

/// "What is the weather" with a tool that knows.
fn weather() -> Value {
    json!({
        "input": [said("user", "How is the weather in Lisbon?")],
        "tools": [{
            "type": "function", "name": "get_weather", "description": "The weather at a place.",
            "parameters": {
                "type": "object", "required": ["place", "unit", "days", "hourly"],
                "properties": {
                    "place": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]},
                    "days": {"type": "integer"}, "hourly": {"type": "boolean"},
                    "remark": {"type": "string"},
                },
            },
        }],
    })
}

/// The call, with arguments that its parameters allow.
fn assert_weather_call(call: &Value) {
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")));
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    let parameters = &weather()["tools"][0]["parameters"];
    assert!(jsonschema::is_valid(parameters, &arguments), "{arguments}");
}

#[tokio::test]
async fn a_text_is_answered() {
    let client = Client::new().await;
    let response = client.create(json!({"input": [said("user", "Greet me.")]})).await;
    assert!(text_of(&response).contains("Greet me."));
    let id = response["id"].as_str().unwrap();
    let stored = client.text(reqwest::Method::GET, &format!("/responses/{id}"), None).await;
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), response);
}

#[tokio::test]
async fn phases_of_earlier_messages_are_kept() {
    let client = Client::new().await;
    let mut input =
        [said("assistant", "I look it up."), said("assistant", "Seven."), said("user", "Again?")];
    input[0]["phase"] = json!("commentary");
    input[1]["phase"] = json!("final_answer");
    let response = client.create(json!({"input": input})).await;
    let path = format!("/responses/{}/input_items?order=asc", response["id"].as_str().unwrap());
    let items: Value =
        serde_json::from_str(&client.text(reqwest::Method::GET, &path, None).await).unwrap();
    let phases: Vec<&Value> =
        items["data"].as_array().unwrap().iter().map(|item| &item["phase"]).collect();
    assert_eq!(json!(phases), json!(["commentary", "final_answer", null]));
}

#[tokio::test]
async fn an_answers_phases_are_said() {
    let client = Client::new().await;
    let message = |id: &str, phase: &str| {
        json!({
            "type": "message", "id": id, "role": "assistant", "status": "completed", "phase": phase,
            "content": [{"type": "output_text", "text": "Seven.", "annotations": [], "logprobs": []}],
        })
    };
    let messages = [message("msg_1", "commentary"), message("msg_2", "final_answer")];
    let [first, second] = messages.clone();
    let reply = Reply::text("").item(first).item(second).without_message();
    client.fake.reply_always(reply);
    let body = json!({"input": [said("user", "How many?")]});
    assert_eq!(client.create(body.clone()).await["output"], json!(messages));
    let events = client.stream(body).await;
    assert_eq!(events.last().unwrap()["response"]["output"], json!(messages));
}

#[tokio::test]
async fn a_text_is_streamed() {
    let client = Client::new().await;
    let events = client.stream(json!({"input": [said("user", "Count to five.")]})).await;
    let mut kinds = kinds(&events);
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
}

#[tokio::test]
async fn a_system_message_is_taken() {
    let client = Client::new().await;
    let input = [said("system", "Speak like a sailor."), said("user", "Greet me.")];
    assert!(text_of(&client.create(json!({"input": input})).await).contains("Greet me."));
}

#[tokio::test]
async fn a_tool_is_called() {
    let client = Client::new().await;
    let response = client.create(weather()).await;
    let call = response["output"].as_array().unwrap().last().unwrap();
    assert_weather_call(call);

    // Its output is answered with words.
    let mut body = weather();
    body["previous_response_id"] = response["id"].clone();
    body["input"] = json!([
        {"type": "function_call_output", "call_id": call["call_id"], "output": "Sunny."},
    ]);
    assert!(text_of(&client.create(body).await).contains("Sunny."));
}

#[tokio::test]
async fn a_tools_call_is_streamed() {
    let client = Client::new().await;
    let events = client.stream(weather()).await;
    let mut kinds = kinds(&events);
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_weather_call(&events.last().unwrap()["response"]["output"][0]);
}

#[tokio::test]
async fn an_image_is_taken() {
    let client = Client::new().await;
    let content = json!([
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": IMAGE},
    ]);
    let input = json!([{"type": "message", "role": "user", "content": content}]);
    assert!(text_of(&client.create(json!({"input": input})).await).contains("What is this?"));
}

#[tokio::test]
async fn earlier_turns_are_known() {
    let client = Client::new().await;
    let input = [
        said("user", "I am called Ada."),
        said("assistant", "Hello Ada."),
        said("user", "What am I called?"),
    ];
    assert!(text_of(&client.create(json!({"input": input})).await).contains("I am called Ada."));
}

/// The checks above can fail.
#[tokio::test]
async fn a_response_that_lacks_a_field_is_refused() {
    let client = Client::new().await;
    let whole = client.create(json!({"input": [said("user", "Hi")]})).await;
    for name in ["presence_penalty", "user", "usage", "output", "store"] {
        let mut response = whole.clone();
        response.as_object_mut().unwrap().remove(name);
        let checked = std::panic::catch_unwind(|| assert_response(&response));
        assert!(checked.is_err(), "{name}");
    }
}
