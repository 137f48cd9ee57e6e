//! Chat Completions: whole and streamed.

use serde_json::{Value, json};

use super::{Client, ErrorEvent, FakeOpenAi, Gate, Reply};

fn ask(question: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": question}]})
}

/// The chunks of a streamed completion, which has to end with `[DONE]`.
async fn chunks(client: &Client, body: Value) -> Vec<Value> {
    let (chunks, done) = client.chat(body).await;
    assert!(done, "{chunks:?}");
    chunks
}

/// What a member of the deltas of one choice comes to.
fn told(chunks: &[Value], choice: usize, name: &str) -> String {
    let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().unwrap());
    let mine = choices.filter(|found| found["index"] == choice);
    mine.filter_map(|choice| choice["delta"][name].as_str()).collect()
}

fn call() -> Value {
    json!({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{\"a\":1}"})
}

#[tokio::test]
async fn a_completion_is_streamed_in_chunks() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("Hello there").usage(7, 2));
    let mut body = ask("Hi");
    body["stream_options"] = json!({"include_usage": true, "include_obfuscation": false});
    let chunks = chunks(&client, body).await;
    assert_eq!(chunks.len(), 5, "role, two words, the end, the usage: {chunks:?}");
    assert!(chunks[0]["id"].as_str().unwrap().starts_with("chatcmpl-"));
    for chunk in &chunks {
        assert_eq!(
            (&chunk["id"], &chunk["object"]),
            (&chunks[0]["id"], &json!("chat.completion.chunk"))
        );
        assert_eq!(chunk["model"], "m");
    }
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(told(&chunks, 0, "content"), "Hello there");
    let delta =
        json!({"index": 0, "delta": {"content": "there"}, "logprobs": null, "finish_reason": null});
    assert_eq!((&chunks[2]["choices"][0], &chunks[2]["usage"]), (&delta, &Value::Null));
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        (&chunks[4]["choices"], &chunks[4]["usage"]["total_tokens"]),
        (&json!([]), &json!(9))
    );
}

#[tokio::test]
async fn usage_comes_only_if_it_is_asked_for() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply_always(Reply::text("Hello"));
    let unasked = chunks(&client, ask("Hi")).await;
    assert!(unasked.iter().all(|chunk| chunk.get("usage").is_none()), "{unasked:?}");
    let (_, whole) = client.post("/chat/completions", ask("Hi")).await;
    assert_eq!(whole["usage"]["completion_tokens"], 2);
    fake.reply(Reply::text("Hello").without_usage());
    let (_, whole) = client.post("/chat/completions", ask("Hi")).await;
    assert_eq!(whole.get("usage"), None);
}

#[tokio::test]
async fn a_reply_says_the_same_in_both_protocols() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let refusal = json!({"type": "message", "content": [
        {"type": "output_text", "text": "Well. ", "annotations": []},
        {"type": "refusal", "refusal": "No."},
    ]});
    let reply = Reply::text("I look.").thoughts("Hm, well").item(call()).item(refusal);
    fake.reply_always(reply.final_text("I look up."));
    let (_, response) = client.post("/responses", json!({"model": "m", "input": "Hi"})).await;
    assert_eq!(super::text_of(&response), "Hm, wellWell. I look up.");

    let (status, whole) = client.post("/chat/completions", ask("Hi")).await;
    assert_eq!(status, 200);
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let called = json!([{
        "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"a\":1}"},
    }]);
    let message = json!({
        "role": "assistant", "content": "Well. I look up.", "refusal": "No.", "annotations": [],
        "reasoning_content": "Hm, well", "tool_calls": called,
    });
    assert_eq!(choice["message"], message);

    let chunks = chunks(&client, ask("Hi")).await;
    assert_eq!(told(&chunks, 0, "content"), "Well. I look.", "what was streamed");
    assert_eq!(told(&chunks, 0, "refusal"), "No.");
    assert_eq!(told(&chunks, 0, "reasoning_content"), "Hm, well");
    let pieces = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"].get("tool_calls"));
    let pieces: Vec<&Value> = pieces.map(|calls| &calls[0]).collect();
    assert_eq!(
        (&pieces[0]["id"], &pieces[0]["function"]["name"]),
        (&json!("call_1"), &json!("look"))
    );
    assert!(pieces.iter().all(|piece| piece["index"] == 0));
    assert!(pieces[1..].iter().all(|piece| piece.get("id").is_none()), "{pieces:?}");
    let arguments = pieces.iter().filter_map(|piece| piece["function"]["arguments"].as_str());
    assert_eq!(arguments.collect::<String>(), "{\"a\":1}");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn several_choices_are_told_side_by_side() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply_always(Reply::text("One two").incomplete("max_output_tokens"));
    let mut body = ask("Hi");
    body["n"] = json!(3);
    let (_, whole) = client.post("/chat/completions", body.clone()).await;
    assert_eq!(whole["choices"].as_array().unwrap().len(), 3);
    let chunks = chunks(&client, body).await;
    for choice in 0..3 {
        assert_eq!(told(&chunks, choice, "content"), "One two");
        assert_eq!(whole["choices"][choice]["message"]["content"], "One two");
        assert_eq!(whole["choices"][choice]["finish_reason"], "length");
    }
    let ends = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "length");
    assert_eq!(ends.count(), 3);
}

#[tokio::test]
async fn an_error_comes_in_the_stream_or_as_a_status() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let failed = || Reply::text("One two").failed("server_error", "Sorry.");
    let error =
        json!({"message": "Sorry.", "type": "server_error", "param": null, "code": "server_error"});
    for (shape, ends) in [(ErrorEvent::Nested, true), (ErrorEvent::Untyped, false)] {
        fake.reply(failed().error_event(shape));
        let (chunks, done) = client.chat(ask("Hi")).await;
        assert_eq!((chunks.len(), done), (4, ends), "{chunks:?}");
        assert_eq!(chunks[3], json!({"error": error}));
    }
    fake.reply(failed().error_event(ErrorEvent::Flat));
    let (chunks, done) = client.chat(ask("Hi")).await;
    assert_eq!(
        (&chunks[3]["object"], &chunks[3]["message"], done),
        (&json!("error"), &json!("Sorry."), false)
    );
    fake.reply(Reply::deltas([""; 0]).failed("server_error", "Sorry."));
    let (chunks, _) = client.chat(ask("Hi")).await;
    assert_eq!(chunks, [json!({"error": error})], "nothing is begun");
    fake.reply(failed());
    assert_eq!(client.post("/chat/completions", ask("Hi")).await, (500, json!({"error": error})));
    fake.reply(failed().failed("rate_limit_exceeded", "Slow down."));
    assert_eq!(client.post("/chat/completions", ask("Hi")).await.0, 429);
}

#[tokio::test]
async fn servers_differ() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("Hello").ignore_stream());
    let mut body = ask("Hi");
    body["stream"] = json!(true);
    let (_, whole) = client.post("/chat/completions", body).await;
    assert_eq!(whole["object"], "chat.completion");
    fake.reply(Reply::text("Hello").thoughts("Hm").thoughts_field("reasoning"));
    let thinking = chunks(&client, ask("Hi")).await;
    assert_eq!(told(&thinking, 0, "reasoning"), "Hm");
    fake.reply(Reply::text("Hello").rate_limits(3, 4));
    let answer = client.send("POST", "/chat/completions", Some(&ask("Hi"))).await.unwrap();
    assert_eq!(answer.headers()["x-ratelimit-remaining-requests"], "3");
    fake.reply(Reply::text("Hello").keepalive_at(1).comment_at(2));
    let alive = chunks(&client, ask("Hi")).await;
    assert_eq!((&alive[1]["choices"], told(&alive, 0, "content").as_str()), (&json!([]), "Hello"));
}

#[tokio::test]
async fn gates_and_cuts_count_the_chunks() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let gate = Gate::new();
    fake.reply(Reply::text("One two three").hold_at(2, gate.clone()).disconnect_at(3));
    let streamed = client.chat(ask("Hi"));
    let opened = async {
        gate.reached().await;
        gate.open();
    };
    let ((chunks, done), ()) = tokio::join!(streamed, opened);
    assert_eq!((told(&chunks, 0, "content").as_str(), done), ("One two ", false));
    fake.reply(Reply::text("One two three").hold_after("One "));
    let (_, ()) = tokio::join!(client.chat(ask("Hi")), async {
        fake.held("One ").await;
        fake.release("One ");
    });
    assert_eq!(fake.responses_created(), 2);
}

#[tokio::test]
async fn the_input_of_a_chat_reads_like_that_of_a_response() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let called = json!([{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]);
    let body = json!({"model": "m", "messages": [
        {"role": "system", "content": "Sing."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"role": "assistant", "content": null, "tool_calls": called},
        {"role": "tool", "tool_call_id": "call_1", "content": "Stars"},
        {"role": "assistant", "content": "Stars."},
        {"role": "user", "content": "And now?"},
    ]});
    fake.expect("And now?", Reply::text("A moon."));
    let (_, answer) = client.post("/chat/completions", body).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "A moon.");
    fake.verify();
    let input = fake.last_input();
    assert_eq!(input.instructions.as_deref(), Some("Sing."));
    let lines = ["user: Look", "function_call: look {}", "function_call_output: Stars"];
    assert_eq!(input.lines()[..3], lines);
    assert_eq!(input.lines()[3..], ["assistant: Stars.", "user: And now?"]);
    assert_eq!(input.items[0]["content"][1]["type"], "input_image");
    let answer = client.post("/chat/completions", ask("What else?")).await;
    assert_eq!(super::error_of(&answer).1, "unexpected_request");
    fake.shared().script().take_findings();
}
