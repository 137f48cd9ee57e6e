//! Runs on threads: their events, their ends, tools, and who has the thread meanwhile.

use serde_json::{Value, json};

use super::{Client, FakeOpenAi, Gate, Reply, error_of};

pub(super) fn call() -> Value {
    json!({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{\"a\":1}"})
}

pub(super) fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

/// The last word about the run itself.
pub(super) fn run_of(events: &[(String, Value)]) -> &Value {
    &events.iter().rfind(|(_, object)| object["object"] == "thread.run").unwrap().1
}

pub(super) fn text_of(message: &Value) -> String {
    let parts = message["content"].as_array().unwrap().iter();
    parts.filter_map(|part| part["text"]["value"].as_str()).collect()
}

/// A server, its client, an assistant, and a thread in which the user said hello.
pub(super) async fn setting() -> (FakeOpenAi, Client, Value, String) {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let assistant = client.new_assistant(json!({"model": "m", "instructions": "Sing."})).await;
    let thread = client.new_thread("Hello").await;
    (fake, client, json!({"assistant_id": assistant}), thread)
}

/// Asks until the run has this status. It is a matter of turns of the server's tasks.
async fn comes_to(client: &Client, path: &str, status: &str) -> Value {
    loop {
        let (_, run) = client.get(path).await;
        if run["status"] == status {
            return run;
        }
        let going = ["queued", "in_progress"].iter().any(|going| run["status"] == *going);
        assert!(going, "{run}");
    }
}

#[tokio::test]
async fn a_run_is_streamed_and_kept() {
    let (fake, client, ask, thread) = setting().await;
    fake.reply(Reply::text("Hi there").usage(7, 2));
    let path = format!("/threads/{thread}/runs");
    let (events, clean) = client.run_events(&path, ask).await;
    assert!(clean);
    assert_eq!(
        names(&events),
        [
            "thread.run.created",
            "thread.run.queued",
            "thread.run.in_progress",
            "thread.run.step.created",
            "thread.run.step.in_progress",
            "thread.message.created",
            "thread.message.in_progress",
            "thread.message.delta",
            "thread.message.delta",
            "thread.message.completed",
            "thread.run.step.completed",
            "thread.run.completed",
            "done",
        ]
    );
    assert!(
        events
            .iter()
            .all(|(_, object)| object.get("type").is_none_or(|kind| kind == "message_creation"))
    );
    let delta = json!({"content": [{"index": 0, "type": "text", "text": {"value": "there"}}]});
    assert_eq!(events[8].1["delta"], delta);
    let run = run_of(&events);
    assert!(run["id"].as_str().unwrap().starts_with("run_"));
    assert_eq!((&run["status"], &run["instructions"]), (&json!("completed"), &json!("Sing.")));
    assert_eq!(
        run["usage"],
        json!({"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
    );
    let here = format!("{path}/{}", run["id"].as_str().unwrap());
    assert_eq!(client.get(&here).await, (200, run.clone()));
    let (_, listed) = client.get(&path).await;
    assert_eq!(listed["data"], json!([run]));
    assert_eq!(fake.thread_runs(&thread), Some(vec![run.clone()]));

    let messages = fake.thread_messages(&thread).unwrap();
    assert_eq!((messages.len(), text_of(&messages[1]).as_str()), (2, "Hi there"));
    assert_eq!((&messages[1], &messages[1]["run_id"]), (&events[9].1, &run["id"]));
    let of_run = format!("/threads/{thread}/messages?run_id={}", run["id"].as_str().unwrap());
    assert_eq!(client.get(&of_run).await.1["data"], json!([messages[1]]));
    let (_, steps) = client.get(&format!("{here}/steps")).await;
    assert_eq!(
        steps["data"][0]["step_details"]["message_creation"]["message_id"],
        messages[1]["id"]
    );
    let step = format!("{here}/steps/{}", steps["first_id"].as_str().unwrap());
    assert_eq!(client.get(&step).await.1, steps["data"][0]);
}

#[tokio::test]
async fn a_run_goes_on_without_a_stream_and_without_a_client() {
    let (fake, client, ask, thread) = setting().await;
    let path = format!("/threads/{thread}/runs");
    let gate = Gate::new();
    fake.reply(Reply::text("Hi there").hold_after("Hi "));
    let (status, queued) = client.post(&path, ask.clone()).await;
    assert_eq!((status, &queued["status"]), (200, &json!("queued")));
    fake.held("Hi ").await;
    let here = format!("{path}/{}", queued["id"].as_str().unwrap());
    assert_eq!(client.get(&here).await.1["status"], "in_progress");
    fake.release("Hi ");
    comes_to(&client, &here, "completed").await;

    fake.reply(
        Reply::text("Once more").hold_after("Once ").disconnect_at(9).hold_at(9, gate.clone()),
    );
    let left = async {
        fake.held("Once ").await;
        fake.release("Once ");
        gate.reached().await;
        gate.open();
    };
    let ((events, clean), ()) = tokio::join!(client.run_events(&path, ask), left);
    assert!(!clean, "cut: {events:?}");
    let here = format!("{path}/{}", run_of(&events)["id"].as_str().unwrap());
    comes_to(&client, &here, "completed").await;
    let messages = fake.thread_messages(&thread).unwrap();
    let texts: Vec<String> = messages.iter().map(text_of).collect();
    assert_eq!(texts, ["Hello", "Hi there", "Once more"]);
}

#[tokio::test]
async fn a_run_waits_for_the_outputs_of_its_tools() {
    let (fake, client, ask, thread) = setting().await;
    let path = format!("/threads/{thread}/runs");
    fake.reply(Reply::text("I look.").item(call()).usage(7, 2));
    let (events, _) = client.run_events(&path, ask).await;
    let kinds = names(&events);
    assert_eq!(kinds[kinds.len() - 2..], ["thread.run.requires_action", "done"]);
    let run = run_of(&events).clone();
    let wanted = &run["required_action"]["submit_tool_outputs"]["tool_calls"];
    let function = json!({"name": "look", "arguments": "{\"a\":1}"});
    assert_eq!(*wanted, json!([{"id": "call_1", "type": "function", "function": function}]));
    let pieces = events.iter().filter(|(name, _)| name == "thread.run.step.delta");
    let pieces: Vec<&Value> =
        pieces.map(|(_, event)| &event["delta"]["step_details"]["tool_calls"][0]).collect();
    assert_eq!((&pieces[0]["id"], pieces.len()), (&json!("call_1"), 3));
    let arguments = pieces.iter().filter_map(|piece| piece["function"]["arguments"].as_str());
    assert_eq!(arguments.collect::<String>(), "{\"a\":1}");

    let here = format!("{path}/{}", run["id"].as_str().unwrap());
    let submit = format!("{here}/submit_tool_outputs");
    let wrong = client.post(&submit, json!({"tool_outputs": []})).await;
    assert_eq!(
        error_of(&wrong),
        (400, "", "Expected tool outputs for call_ids [\"call_1\"], got []")
    );
    fake.reply(Reply::text("Stars.").usage(9, 1));
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "Bright"}]});
    let (events, _) = client.run_events(&submit, outputs.clone()).await;
    let kinds = names(&events);
    assert_eq!(
        kinds[..3],
        ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]
    );
    assert_eq!(events[0].1["step_details"]["tool_calls"][0]["function"]["output"], "Bright");
    let done = run_of(&events);
    assert_eq!((&done["status"], &done["required_action"]), (&json!("completed"), &Value::Null));
    assert_eq!(done["usage"]["total_tokens"], 19, "both parts of it");
    assert_eq!(fake.last_input().lines(), ["function_call_output: Bright"]);
    let again = client.post(&submit, outputs).await;
    let text = "Runs in status \"completed\" do not accept tool outputs.";
    assert_eq!(error_of(&again), (400, "", text));
    let (_, steps) = client.get(&format!("{here}/steps?order=asc")).await;
    let kinds: Vec<&Value> =
        steps["data"].as_array().unwrap().iter().map(|step| &step["type"]).collect();
    assert_eq!(kinds, ["message_creation", "tool_calls", "message_creation"]);
}

#[tokio::test]
async fn one_run_has_the_thread_to_itself() {
    let (fake, client, ask, thread) = setting().await;
    let (path, messages) =
        (format!("/threads/{thread}/runs"), format!("/threads/{thread}/messages"));
    fake.reply(Reply::text("Hi there").hold_after("Hi "));
    let (_, run) = client.post(&path, ask.clone()).await;
    let id = run["id"].as_str().unwrap();
    let said = json!({"role": "user", "content": "Wait"});
    let busy = client.post(&path, ask.clone()).await;
    assert_eq!(
        error_of(&busy),
        (400, "", &*format!("Thread {thread} already has an active run {id}."))
    );
    let busy = client.post(&messages, said.clone()).await;
    let text = format!("Can't add messages to {thread} while a run {id} is active.");
    assert_eq!(error_of(&busy), (400, "", &*text));
    fake.release("Hi ");
    comes_to(&client, &format!("{path}/{id}"), "completed").await;
    assert_eq!(client.post(&messages, said).await.0, 200);
    assert_eq!(client.post(&path, ask).await.0, 200);
}

#[tokio::test]
async fn a_run_brings_its_thread() {
    let (fake, client, mut ask, _) = setting().await;
    ask["thread"] = json!({"messages": [{"role": "user", "content": "How is the weather?"}]});
    fake.reply_to("weather", Reply::text("It rains.").reply_model("m-9"));
    let (events, _) = client.run_events("/threads/runs", ask.clone()).await;
    assert_eq!(run_of(&events)["model"], "m-9");
    assert_eq!(names(&events)[..2], ["thread.created", "thread.run.created"]);
    let thread = events[0].1["id"].as_str().unwrap();
    let messages = fake.thread_messages(thread).unwrap();
    assert_eq!(
        messages.iter().map(text_of).collect::<Vec<_>>(),
        ["How is the weather?", "It rains."]
    );

    // Its answer is lost on the way; the run is not.
    fake.reply_to("weather", Reply::text("It rains.").disconnect_at(0));
    assert!(client.send("POST", "/threads/runs", Some(&ask)).await.is_err());
    let thread = fake.thread_ids().pop().unwrap();
    let id = fake.thread_runs(&thread).unwrap().pop().unwrap()["id"].clone();
    let here = format!("/threads/{thread}/runs/{}", id.as_str().unwrap());
    comes_to(&client, &here, "completed").await;
}

#[tokio::test]
async fn the_input_of_a_run_is_what_was_said_since_the_last_one() {
    let (fake, client, mut ask, thread) = setting().await;
    let path = format!("/threads/{thread}/runs");
    let refusal = json!({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]});
    fake.reply(Reply::text("Hi.").item(refusal).thoughts("Hm"));
    client.run_events(&path, ask.clone()).await;
    let input = fake.last_input();
    assert_eq!((input.model.as_str(), input.instructions.as_deref()), ("m", Some("Sing.")));
    assert_eq!(input.lines(), ["user: Hello"]);
    let messages = fake.thread_messages(&thread).unwrap();
    assert_eq!((messages.len(), &messages[1]["content"][0]["refusal"]), (3, &json!("No.")));

    let said = json!({"role": "user", "content": "And you?"});
    client.post(&format!("/threads/{thread}/messages"), said).await;
    ask["additional_messages"] = json!([{"role": "user", "content": "Well?"}]);
    ask["additional_instructions"] = json!("Loudly.");
    fake.demo_pace(std::time::Duration::ZERO);
    let (events, _) = client.run_events(&path, ask).await;
    let input = fake.last_input();
    assert_eq!(input.lines(), ["user: And you?", "user: Well?"]);
    assert_eq!(input.instructions.as_deref(), Some("Sing.\nLoudly."));
    let message = fake.thread_messages(&thread).unwrap().pop().unwrap();
    assert!(
        text_of(&message).contains("Earlier you asked: \"Hello\", then \"And you?\"."),
        "{message}"
    );
    assert_eq!(run_of(&events)["status"], "completed");
    assert_eq!(fake.responses_created(), 2);
}
