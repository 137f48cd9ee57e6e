use std::time::Duration;

use serde_json::json;

use super::{Client, FakeOpenAi, Gate, Reply, story};

async fn bytes(reply: Reply) -> Vec<u8> {
    let fake = FakeOpenAi::start().await.unwrap();
    fake.reply(reply);
    Client::of(&fake).streamed_bytes(story("x")).await
}

async fn text(reply: Reply) -> String {
    String::from_utf8(bytes(reply).await).unwrap()
}

#[tokio::test]
async fn raw_bytes_and_a_mark_go_out_as_they_are() {
    let body = bytes(Reply::text("a").byte_order_mark().raw_event_at(1, *b"data: \xff\n\n")).await;
    assert!(body.starts_with(b"\xef\xbb\xbfevent: response.created\n"));
    let found = body.windows(9).filter(|window| window == b"data: \xff\n\n").count();
    assert_eq!(found, 1);
}

#[tokio::test]
async fn lines_take_other_forms() {
    let usual = text(Reply::text("a").usage(1, 1)).await;
    let crlf = text(Reply::text("a").usage(1, 1).crlf()).await;
    assert_eq!(crlf.matches('\n').count(), crlf.matches("\r\n").count());
    assert_eq!(crlf.lines().count(), usual.lines().count());
    let unnamed = text(Reply::text("a").without_event_lines()).await;
    assert!(unnamed.starts_with("data: {"));
    assert!(!unnamed.contains("event:"));
    assert_eq!(unnamed.matches("\n\n").count(), 9);
}

#[tokio::test]
async fn chunks_cut_wherever_they_end() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    for size in [1, 3, 7] {
        fake.reply(Reply::text("aé漢🦀").chunks_of(size));
        let mut stream = client.stream(story("x")).await;
        let (mut body, mut split) = (Vec::new(), false);
        while let Some(chunk) = stream.response.chunk().await.unwrap() {
            assert!(chunk.len() <= size);
            split |= std::str::from_utf8(&chunk).is_err();
            body.extend_from_slice(&chunk);
        }
        let body = String::from_utf8(body).unwrap();
        assert!(split && body.contains("aé漢🦀"), "{body}");
    }
}

#[tokio::test]
async fn an_event_is_cut_short_or_made_long() {
    let body = text(Reply::text("a").malformed_at(4)).await;
    let events: Vec<&str> = body.split_terminator("\n\n").collect();
    for (number, event) in events.iter().enumerate() {
        let data = event.split_once("data: ").unwrap().1;
        let parsed = serde_json::from_str::<serde_json::Value>(data);
        assert_eq!(parsed.is_ok(), number != 4, "{event}");
    }
    let body = text(Reply::text("a").padded_at(4, 200_000).padded_at(5, 10).chunks_of(1000)).await;
    let events: Vec<&str> = body.split_inclusive("\n\n").collect();
    assert_eq!((events.len(), events[4].len()), (9, 200_000));
    let data = events[4].split_once("data: ").unwrap().1;
    let event: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(event["delta"], "a");
    assert!(events[5].len() < 500, "an event is never made shorter");
}

#[tokio::test]
async fn redirects_and_limits_are_headers() {
    let fake = FakeOpenAi::start().await.unwrap();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let http = http.build().unwrap();
    let url = format!("{}/responses", fake.base_url());
    let send = async |reply: Reply| {
        fake.reply(reply);
        let request = http.post(&url).header("authorization", "Bearer k");
        let request = request.header("openai-organization", "org-1");
        request.body(story("x").to_string()).send().await.unwrap()
    };
    let answer = send(Reply::redirect(307, "http://127.0.0.2/v1")).await;
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], "http://127.0.0.2/v1");
    let answer = send(Reply::text("a").rate_limits(3, 4)).await;
    assert_eq!(answer.headers()["x-ratelimit-remaining-requests"], "3");
    assert_eq!(answer.headers()["x-ratelimit-reset-tokens"], "6m0s");
    assert_eq!(answer.headers()["openai-organization"], "org-1");
    let answer = Client::of(&fake).send("GET", "/conversations/none", None).await.unwrap();
    assert!(!answer.headers().contains_key("openai-organization"), "only if asked for");
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_come_while_the_client_waits() {
    let slow = || Reply::text("a b").first_token_after(Duration::from_secs(100));
    let body = text(slow().keepalive_every(Duration::from_secs(30))).await;
    let kinds: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds[4..8], ["keepalive", "keepalive", "keepalive", "response.output_text.delta"]);
    assert!(body.contains("\"sequence_number\":12"), "they are numbered: {body}");
    let body = text(slow().comment_every(Duration::from_secs(30)).comment_at(0)).await;
    assert!(body.starts_with(": still here\n\nevent: response.created\n"), "{body}");
    assert_eq!(body.matches(": still here\n\n").count(), 4);
    assert!(body.contains("\"sequence_number\":9"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn comments_come_from_a_stalled_stream_too() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    for background in [false, true] {
        fake.reply(Reply::text("a").stall_at(2).comment_every(Duration::from_secs(1)));
        let request = json!({"model": "m", "input": "x", "background": background});
        let mut stream = client.stream(request).await;
        let mut body = Vec::new();
        while !body.ends_with(b": still here\n\n: still here\n\n") {
            body.extend_from_slice(&stream.response.chunk().await.unwrap().unwrap());
        }
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text.matches("event: ").count(), 2, "{text}");
    }
}

#[tokio::test]
async fn gates_hold_while_keepalives_come() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let gate = Gate::new();
    let reply = Reply::text("a b").hold_at(5, gate.clone());
    fake.reply(reply.keepalive_every(Duration::from_millis(1)));
    let mut stream = client.stream(story("x")).await;
    for _ in 0..7 {
        stream.next().await.unwrap().unwrap();
    }
    gate.reached().await;
    gate.open();
    let rest = stream.all().await;
    let delta = rest.iter().find(|event| event["type"] == "response.output_text.delta").unwrap();
    assert_eq!(delta["delta"], "b", "nothing is lost or repeated");
}

#[tokio::test]
async fn the_wire_is_as_bad_in_every_protocol() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let assistant = client.new_assistant(json!({"model": "m"})).await;
    let said = json!([{"role": "user", "content": "x"}]);
    let chat = json!({"model": "m", "stream": true, "messages": said});
    let run = json!({"assistant_id": assistant, "stream": true, "thread": {"messages": said}});
    // The number of the first word, and a sign of life.
    for (path, body, word, alive) in [
        ("/chat/completions", chat, 1, "\"choices\":[],"),
        ("/threads/runs", run, 8, ": keepalive\r\n"),
    ] {
        let bad =
            Reply::text("aé漢🦀 b").crlf().chunks_of(3).keepalive_at(word).malformed_at(word + 2);
        fake.reply(bad.raw_event_at(0, ": hello\r\n\r\n").header("x-a", "b"));
        let mut response = client.send("POST", path, Some(&body)).await.unwrap();
        assert_eq!(response.headers()["x-a"], "b");
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            assert!(chunk.len() <= 3, "{path}");
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(": hello\r\n\r\n") && text.contains(alive), "{text}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let broken = data.filter(|data| {
            *data != "[DONE]" && serde_json::from_str::<serde_json::Value>(data).is_err()
        });
        let broken: Vec<&str> = broken.collect();
        assert_eq!(broken.len(), 1, "{text}");
        assert!(text.contains("aé漢🦀 ") && !text.contains("\"b\""), "{text}");
    }
}
